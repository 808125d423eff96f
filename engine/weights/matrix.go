package weights

import (
	"encoding/binary"
	"math"

	"github.com/gptoss/gptoss-operator/engine/model"
)

// Matrix is a two-dimensional tensor in its stored type. The zero Matrix is empty.
type Matrix struct {
	Rows, Cols int
	DType      model.DType // BF16, F16 or F32; from GGUF files also Q8_0 and MXFP4, whose rows are whole blocks
	Data       []byte      // row-major, little-endian
}

// Row decodes row r into dst, which holds at least Cols values.
func (m Matrix) Row(r int, dst []float32) {
	stride := rowBytes(m.DType, m.Cols)
	decode(m.DType, m.Data[r*stride:(r+1)*stride], dst[:m.Cols])
}

// decode widens little-endian floats to float32; src holds exactly len(dst) elements, of the last two types in blocks.
func decode(t model.DType, src []byte, dst []float32) {
	switch t {
	case model.BF16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src)) << 16)
			src = src[2:]
		}
	case model.F16:
		for i := range dst {
			dst[i] = halfToFloat(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case model.F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case model.Q8_0:
		for ; len(dst) > 0; src, dst = src[q8Bytes:], dst[blockValues:] {
			scale := halfToFloat(binary.LittleEndian.Uint16(src))
			for i, v := range src[2:q8Bytes] {
				dst[i] = float32(int8(v)) * scale
			}
		}
	case model.MXFP4:
		for ; len(dst) > 0; src, dst = src[1+blockBytes:], dst[blockValues:] {
			scale := scaleValues[src[0]]
			for j, v := range src[1 : 1+blockBytes] {
				dst[j] = fp4Values[v&15] * scale
				dst[j+blockValues/2] = fp4Values[v>>4] * scale
			}
		}
	}
}

// q8Bytes is the size of a Q8_0 block.
const q8Bytes = 2 + blockValues

// rowBytes returns the bytes of n elements; of the types in blocks n is a whole number of them.
func rowBytes(t model.DType, n int) int {
	switch t {
	case model.Q8_0:
		return n / blockValues * q8Bytes
	case model.MXFP4:
		return n / blockValues * (1 + blockBytes)
	}
	return n * elementSize(t)
}

// halfToFloat widens an IEEE 754 binary16, subnormals, infinities and NaN included.
func halfToFloat(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 0: // zero or subnormal: fraction × 2^-24
		return math.Float32frombits(math.Float32bits(float32(fraction)*0x1p-24) | sign)
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// elementSize returns the bytes of one element of a type that does not come in blocks.
func elementSize(t model.DType) int {
	switch t {
	case model.U8:
		return 1
	case model.F16, model.BF16:
		return 2
	case model.F32:
		return 4
	}
	return 0
}

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

// interleave makes one matrix whose rows hold the columns of the given ones in turn, in float32.
func interleave(from []Matrix) Matrix {
	n := len(from)
	m := Matrix{Rows: from[0].Rows, Cols: n * from[0].Cols, DType: model.F32}
	m.Data = make([]byte, 4*m.Rows*m.Cols)
	row := make([]float32, from[0].Cols)
	for r := range m.Rows {
		for i, part := range from {
			part.Row(r, row)
			for j, v := range row {
				binary.LittleEndian.PutUint32(m.Data[4*(r*m.Cols+j*n+i):], math.Float32bits(v))
			}
		}
	}
	return m
}
