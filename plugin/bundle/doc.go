// Package bundle packs files for a bug report and leaves out of them what is secret: every value of every Secret that could be
// read, in each of the forms in which it may turn up, and whatever looks like a key or token.
package bundle
