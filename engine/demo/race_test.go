//go:build race

package demo_test

// raceDetector makes the forward pass twenty times slower: one conversation has to do.
const raceDetector = true
