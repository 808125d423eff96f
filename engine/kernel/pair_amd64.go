package kernel

//go:noescape
func scoresPairAVX512(dst, q, keys *float32, dim, groups int)

//go:noescape
func softmaxPairAVX512(scores *float32, tokens int, state *pairState)

//go:noescape
func accumulatePairAVX512(acc, weights *float32, values *uint16, factor *float32, dim, tokens int)
