package kernel

// haveAssembly says that [Select] may choose more than plain Go.
const haveAssembly = true

// kind is a format of packed weights.
type kind uint8

const (
	kindMXFP4 kind = iota
	kindInt8
)

// mulTileAssembly multiplies a tile with as many of the first rows of x as one
// kernel takes, and returns how many. out is zero on entry. The caller has checked
// that every row of x has as many blocks as the tile.
func mulTileAssembly(v variant, f kind, out *tileSums, scales, weights []byte, x [][]Block) int {
	n := min(len(x), maxTokens)
	if n > 4 && (n < maxTokens || v == avx2) {
		n = 4
	}
	var rows [maxTokens]*Block
	for t := range n {
		rows[t] = &x[t][0]
	}
	s, w, blocks := &scales[0], &weights[0], len(x[0])
	if v == avx512 {
		mulTileAVX512(n, f, out, s, w, &rows, blocks)
	} else {
		mulTileAVX2(n, f, out, s, w, &rows, blocks)
	}
	return n
}

func mulTileAVX512(n int, f kind, out *tileSums, s, w *byte, rows *[maxTokens]*Block, blocks int) {
	switch {
	case f == kindMXFP4 && n == 1:
		mulMXFP4x1AVX512(out, s, w, rows, blocks)
	case f == kindMXFP4 && n == 2:
		mulMXFP4x2AVX512(out, s, w, rows, blocks)
	case f == kindMXFP4 && n == 3:
		mulMXFP4x3AVX512(out, s, w, rows, blocks)
	case f == kindMXFP4 && n == 4:
		mulMXFP4x4AVX512(out, s, w, rows, blocks)
	case f == kindMXFP4:
		if !mulMXFP4x8ShiftAVX512(out, s, w, rows, blocks) {
			mulMXFP4x8AVX512(out, s, w, rows, blocks)
		}
	case n == 1:
		mulInt8x1AVX512(out, s, w, rows, blocks)
	case n == 2:
		mulInt8x2AVX512(out, s, w, rows, blocks)
	case n == 3:
		mulInt8x3AVX512(out, s, w, rows, blocks)
	case n == 4:
		mulInt8x4AVX512(out, s, w, rows, blocks)
	default:
		mulInt8x8AVX512(out, s, w, rows, blocks)
	}
}

func mulTileAVX2(n int, f kind, out *tileSums, s, w *byte, rows *[maxTokens]*Block, blocks int) {
	switch {
	case f == kindMXFP4 && n == 1:
		mulMXFP4x1AVX2(out, s, w, rows, blocks)
	case f == kindMXFP4 && n == 2:
		mulMXFP4x2AVX2(out, s, w, rows, blocks)
	case f == kindMXFP4 && n == 3:
		mulMXFP4x3AVX2(out, s, w, rows, blocks)
	case f == kindMXFP4:
		mulMXFP4x4AVX2(out, s, w, rows, blocks)
	case n == 1:
		mulInt8x1AVX2(out, s, w, rows, blocks)
	case n == 2:
		mulInt8x2AVX2(out, s, w, rows, blocks)
	case n == 3:
		mulInt8x3AVX2(out, s, w, rows, blocks)
	default:
		mulInt8x4AVX2(out, s, w, rows, blocks)
	}
}

//go:noescape
func mulMXFP4x1AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x2AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x3AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x4AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x8AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

// mulMXFP4x8ShiftAVX512 is mulMXFP4x8AVX512 for ordinary scales; what it writes for others means nothing.
//
//go:noescape
func mulMXFP4x8ShiftAVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int) (ordinary bool)

//go:noescape
func mulInt8x1AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x2AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x3AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x4AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x8AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x1AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x2AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x3AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x4AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x1AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x2AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x3AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x4AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func quantiseAssembly(dst *Block, x *float32, blocks int)

//go:noescape
func sumSquaresAssembly(sums *[lanes]float32, x *float32, n int)

//go:noescape
func dotAssembly(sums *[dotLanes]float32, a, b *float32, n int)

//go:noescape
func scaleByAssembly(dst, x, weight *float32, factor float32, n int)

//go:noescape
func axpyAssembly(dst *float32, a float32, x *float32, n int)

//go:noescape
func swigluAssembly(dst, gateUp *float32, n int)

//go:noescape
func ropeAssembly(x, cos, sin *float32, half, heads int)

//go:noescape
func widenAssembly(dst *float32, src *uint16, n int)

//go:noescape
func scoresAssembly(dst, q, keys *float32, dim, groups int)

//go:noescape
func softmaxStepAssembly(scores *float32, tokens int, state *softmaxState)

//go:noescape
func accumulateAssembly(acc, weights *float32, values *uint16, factor *float32, dim, tokens int)

// assemblyPeak says whether Peak and Read are more than plain Go.
func (k Kernel) assemblyPeak() bool { return k.variant >= avx2 }

// peak runs so many rounds and returns the operations of one.
func (k Kernel) peak(rounds int) (operations int64) {
	switch {
	case k.variant >= avx512:
		peakAVX512(rounds)
		return 16 * 2 * 64 // VPDPBUSD, 64 bytes each
	case k.variant >= avx2:
		peakAVX2(rounds)
		return 16 * 2 * 32 // VPMADDUBSW, 32 bytes each
	}
	return peakGeneric(rounds)
}

//go:noescape
func peakAVX2(rounds int)

//go:noescape
func peakAVX512(rounds int)

// readAssembly returns the exclusive or of the 64-bit words of so many blocks of [readBlock] bytes.
func readAssembly(data *byte, blocks int) uint64 { return readAVX2(data, blocks) }

//go:noescape
func readAVX2(data *byte, blocks int) uint64
