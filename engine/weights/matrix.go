package weights

import (
	"encoding/binary"
	"math"

	"github.com/gptoss/gptoss-operator/engine/model"
)

// Matrix is a two-dimensional tensor in its stored type. The zero Matrix is empty.
type Matrix struct {
	Rows, Cols int
	DType      model.DType // BF16, F16 or F32
	Data       []byte      // row-major, little-endian
}

// Row decodes row r into dst, which holds at least Cols values.
func (m Matrix) Row(r int, dst []float32) {
	stride := m.Cols * elementSize(m.DType)
	decode(m.DType, m.Data[r*stride:(r+1)*stride], dst[:m.Cols])
}

// decode widens little-endian floats to float32; src holds exactly len(dst) elements.
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
	}
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

// elementSize returns the bytes of one element, or 0 for a type that safetensors does not have.
func elementSize(t model.DType) int {
	switch t {
	case "BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0":
		return 1
	case "U16", "I16", model.F16, model.BF16:
		return 2
	case "U32", "I32", model.F32:
		return 4
	case "U64", "I64", "F64":
		return 8
	}
	return 0
}
