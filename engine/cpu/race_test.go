//go:build race

package cpu

// longText is how many tokens of a recorded case are computed: the race detector makes that twenty times slower.
const longText = 300
