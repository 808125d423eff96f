package weights

import "math"

const (
	blockValues = 32              // values that share one scale
	blockBytes  = blockValues / 2 // two values a byte
)

// MXFP4 is one matrix per expert in 4-bit floats: 32 neighbours of a row share a power of two.
//
// value = FP4[nibble] × 2^(scale−127); byte j of a block holds element 2j in its low and 2j+1 in its high nibble.
// A scale of 255 stands for NaN (OCP Microscaling 1.0, 5.4.1) and makes the whole block NaN, zeros included; it is
// passed on rather than refused, because finding one would mean reading every page of the file at start-up. Scale 254
// overflows to infinity for magnitudes of 2 and more, scales 0 and 1 give subnormals, both as in the official decoder.
type MXFP4 struct {
	Experts, Rows, Cols int
	Blocks              []byte // [Experts, Rows, Cols/32, 16]
	Scales              []byte // [Experts, Rows, Cols/32]
}

// RowBytes returns the stored form of a row: its blocks of 16 bytes, and one scale for each.
func (m MXFP4) RowBytes(expert, row int) (blocks, scales []byte) {
	n := m.Cols / blockValues
	at := (expert*m.Rows + row) * n
	return m.Blocks[at*blockBytes : (at+n)*blockBytes], m.Scales[at : at+n]
}

// Row decodes a row of an expert into dst, which holds at least Cols values.
func (m MXFP4) Row(expert, row int, dst []float32) {
	blocks, scales := m.RowBytes(expert, row)
	for b, s := range scales {
		scale := scaleValues[s]
		packed := (*[blockBytes]byte)(blocks[b*blockBytes:])
		out := (*[blockValues]float32)(dst[b*blockValues:])
		for j, v := range packed {
			out[2*j] = fp4Values[v&15] * scale
			out[2*j+1] = fp4Values[v>>4] * scale
		}
	}
}

// fp4Values are the sixteen E2M1 numbers; the upper half has the sign bit set.
var fp4Values = [16]float32{
	0, 0.5, 1, 1.5, 2, 3, 4, 6,
	float32(math.Copysign(0, -1)), -0.5, -1, -1.5, -2, -3, -4, -6,
}

// scaleValues are the E8M0 scales: 2^(s−127), and NaN for 255. 2^-127 is a float32 subnormal, which is exact.
var scaleValues = func() (v [256]float32) {
	for s := range 255 {
		v[s] = float32(math.Ldexp(1, s-127))
	}
	v[255] = float32(math.NaN())
	return v
}()
