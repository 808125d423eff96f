//go:build !amd64

package kernel

func scoresPairAVX512(_, _, _ *float32, _, _ int) { panic(noPairs) }

func softmaxPairAVX512(*float32, int, *pairState) { panic(noPairs) }

func accumulatePairAVX512(_, _ *float32, _ *uint16, _ *float32, _, _ int) { panic(noPairs) }

const noPairs = "kernel: no assembly for pairs of tokens on this architecture"
