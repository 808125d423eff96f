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
	n := min(len(x), 4)
	var rows [maxTokens]*Block
	for t := range n {
		rows[t] = &x[t][0]
	}
	s, w, blocks := &scales[0], &weights[0], len(x[0])
	if v == dotprod {
		mulTileDotProd(n, f, out, s, w, &rows, blocks)
	} else {
		mulTileNEON(n, f, out, s, w, &rows, blocks)
	}
	return n
}

func mulTileDotProd(n int, f kind, out *tileSums, s, w *byte, rows *[maxTokens]*Block, blocks int) {
	switch {
	case f == kindMXFP4 && n == 1:
		mulMXFP4x1DotProd(out, s, w, rows, blocks)
	case f == kindMXFP4 && n == 2:
		mulMXFP4x2DotProd(out, s, w, rows, blocks)
	case f == kindMXFP4 && n == 3:
		mulMXFP4x3DotProd(out, s, w, rows, blocks)
	case f == kindMXFP4:
		mulMXFP4x4DotProd(out, s, w, rows, blocks)
	case n == 1:
		mulInt8x1DotProd(out, s, w, rows, blocks)
	case n == 2:
		mulInt8x2DotProd(out, s, w, rows, blocks)
	case n == 3:
		mulInt8x3DotProd(out, s, w, rows, blocks)
	default:
		mulInt8x4DotProd(out, s, w, rows, blocks)
	}
}

func mulTileNEON(n int, f kind, out *tileSums, s, w *byte, rows *[maxTokens]*Block, blocks int) {
	switch {
	case f == kindMXFP4 && n == 1:
		mulMXFP4x1NEON(out, s, w, rows, blocks)
	case f == kindMXFP4 && n == 2:
		mulMXFP4x2NEON(out, s, w, rows, blocks)
	case f == kindMXFP4 && n == 3:
		mulMXFP4x3NEON(out, s, w, rows, blocks)
	case f == kindMXFP4:
		mulMXFP4x4NEON(out, s, w, rows, blocks)
	case n == 1:
		mulInt8x1NEON(out, s, w, rows, blocks)
	case n == 2:
		mulInt8x2NEON(out, s, w, rows, blocks)
	case n == 3:
		mulInt8x3NEON(out, s, w, rows, blocks)
	default:
		mulInt8x4NEON(out, s, w, rows, blocks)
	}
}

//go:noescape
func mulMXFP4x1DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x2DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x3DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x4DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x1DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x2DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x3DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x4DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x1NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x2NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x3NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulMXFP4x4NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x1NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x2NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x3NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

//go:noescape
func mulInt8x4NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)

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

func (Kernel) assemblyPeak() bool { return false }

// peak runs so many rounds and returns the operations of one.
func (k Kernel) peak(rounds int) (operations int64) {
	switch k.variant {
	case dotprod:
		peakDotProd(rounds)
		return 16 * 2 * 16 // SDOT, 16 bytes each
	case neon:
		peakNEON(rounds)
		return 8 * 16 * 2 * 8 // SMULL and SMLAL, 8 bytes each
	}
	return peakGeneric(rounds)
}

//go:noescape
func peakDotProd(rounds int)

//go:noescape
func peakNEON(rounds int)

func readAssembly(*byte, int) uint64 { panic("kernel: reading has no assembly here") }
