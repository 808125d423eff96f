//go:build !race

package cpu

// longText is how many tokens of a recorded case are computed: all.
const longText = 1 << 20
