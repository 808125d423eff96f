//go:build !race

package reference

// longTexts is how many tokens a case may have that is read through all layouts.
const longTexts = 1 << 20
