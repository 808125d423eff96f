// Package arch holds the repository's own rules as tests: who may import whom,
// how long files and functions may be, and that every package says what it is for.
package arch
