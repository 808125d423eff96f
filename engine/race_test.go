//go:build race

package engine

// raceDetector makes everything twenty times slower: the stress has to be short.
const raceDetector = true
