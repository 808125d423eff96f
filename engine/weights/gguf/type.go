package gguf

import "fmt"

// Type is how the elements of a tensor are stored, by its number in ggml.h.
type Type uint32

// The types that gpt-oss models use.
const (
	F32   Type = 0
	F16   Type = 1
	Q8_0  Type = 8 // 32 signed bytes after a binary16 scale
	BF16  Type = 30
	MXFP4 Type = 39 // 32 four-bit floats after an E8M0 scale; byte j holds elements j (low nibble) and j+16
)

// layout is the unit that a type comes in: so many values take so many bytes.
type layout struct {
	name   string
	values int64
	bytes  int64
}

// layouts has every type of ggml.h, so that a file with types that nobody here computes with can still be described.
var layouts = map[Type]layout{
	F32: {"F32", 1, 4}, F16: {"F16", 1, 2}, BF16: {"BF16", 1, 2}, Q8_0: {"Q8_0", 32, 34}, MXFP4: {"MXFP4", 32, 17},
	2: {"Q4_0", 32, 18}, 3: {"Q4_1", 32, 20}, 6: {"Q5_0", 32, 22}, 7: {"Q5_1", 32, 24}, 9: {"Q8_1", 32, 40},
	10: {"Q2_K", 256, 84}, 11: {"Q3_K", 256, 110}, 12: {"Q4_K", 256, 144}, 13: {"Q5_K", 256, 176},
	14: {"Q6_K", 256, 210}, 15: {"Q8_K", 256, 292}, 16: {"IQ2_XXS", 256, 66}, 17: {"IQ2_XS", 256, 74},
	18: {"IQ3_XXS", 256, 98}, 19: {"IQ1_S", 256, 50}, 20: {"IQ4_NL", 32, 18}, 21: {"IQ3_S", 256, 110},
	22: {"IQ2_S", 256, 82}, 23: {"IQ4_XS", 256, 136}, 24: {"I8", 1, 1}, 25: {"I16", 1, 2}, 26: {"I32", 1, 4},
	27: {"I64", 1, 8}, 28: {"F64", 1, 8}, 29: {"IQ1_M", 256, 56}, 34: {"TQ1_0", 256, 54}, 35: {"TQ2_0", 256, 66},
	40: {"NVFP4", 64, 36}, 41: {"Q1_0", 128, 18},
}

// String returns the type's name in ggml.
func (t Type) String() string {
	if l, ok := layouts[t]; ok {
		return l.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}
