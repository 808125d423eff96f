//go:build !race

package demo_test

// samples are the temperatures that each prompt is answered at.
var samples = []float64{0, 0.7, 1, 1, 1}
