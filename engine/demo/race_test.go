//go:build race

package demo_test

// samples are the temperatures that each prompt is answered at: one, because the race detector makes the forward pass
// twenty times slower.
var samples = []float64{1}
