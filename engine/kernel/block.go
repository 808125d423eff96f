package kernel

import (
	"math"
)

// BlockLen is the number of columns that share one scale, in weights and activations alike.
const BlockLen = 32

// Block is 32 quantised activations: x[i] ≈ Scale·Q[i]. Assembly knows its layout:
// Q at byte 0, Scale at 32, Bias at 36, 40 bytes in all.
type Block struct {
	Q     [BlockLen]int8 // -127 to 127
	Scale float32
	// Bias is -16·ΣQ, what cancels the 16 that unsigned weights w+16 add to a dot product.
	Bias int32
}

// Blocks returns how many blocks hold a row of the given number of columns.
func Blocks(cols int) int { return (cols + BlockLen - 1) / BlockLen }

const (
	// tiny is the magnitude below which a whole block counts as zero, so that 127/max stays finite.
	tiny    = 0x1p-100
	absMask = 1<<31 - 1
	infBits = 0x7f800000
)

// Quantise writes x to dst, which must have Blocks(len(x)) blocks. Values are
// rounded to nearest, ties to even, on a grid of max|x|/127. Columns missing from
// the last block count as zeros. A block whose largest magnitude is below 2⁻¹⁰⁰
// becomes zeros of scale zero; one that holds a NaN or an infinity becomes zeros of
// scale NaN, so that everything computed from it is NaN.
func (k Kernel) Quantise(dst []Block, x []float32) {
	if len(dst) != Blocks(len(x)) {
		panic("kernel: Quantise: wrong number of blocks")
	}
	whole := len(x) / BlockLen
	if k.variant != generic {
		if whole > 0 {
			quantiseAssembly(&dst[0], &x[0], whole)
		}
	} else {
		for i := range whole {
			quantiseBlock(&dst[i], (*[BlockLen]float32)(x[i*BlockLen:]))
		}
	}
	if whole < len(dst) {
		var last [BlockLen]float32
		copy(last[:], x[whole*BlockLen:])
		quantiseBlock(&dst[whole], &last)
	}
}

func quantiseBlock(dst *Block, x *[BlockLen]float32) {
	// On magnitudes the order of the bits is the order of the numbers, with NaN above infinity.
	var largest uint32
	for _, v := range x {
		largest = max(largest, math.Float32bits(v)&absMask)
	}
	*dst = Block{}
	if largest >= infBits {
		dst.Scale = float32(math.NaN())
		return
	}
	top := math.Float32frombits(largest)
	if top < tiny {
		return
	}
	dst.Scale = top / 127
	inverse := 127 / top
	var sum int32
	for i, v := range x {
		q := int32(math.RoundToEven(float64(float32(v * inverse))))
		dst.Q[i] = int8(q)
		sum += q
	}
	dst.Bias = -16 * sum
}
