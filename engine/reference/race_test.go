//go:build race

package reference

// longTexts is how many tokens a case may have that is read through all layouts: the race detector makes the forward
// pass twenty times slower, and a case's layouts run the same code.
const longTexts = 1000
