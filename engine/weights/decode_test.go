package weights

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/model"
)

func TestMXFP4Scales(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	tests := map[string]struct {
		scale byte
		want  []float32 // of 0, 0.5, 1, 1.5, 2, 3, 4, 6
	}{
		"0 is 2^-127, a subnormal":             {0, []float32{0, 0x1p-128, 0x1p-127, 0x1.8p-127, 0x1p-126, 0x1.8p-126, 0x1p-125, 0x1.8p-125}},
		"1 is 2^-126":                          {1, []float32{0, 0x1p-127, 0x1p-126, 0x1.8p-126, 0x1p-125, 0x1.8p-125, 0x1p-124, 0x1.8p-124}},
		"127 is one":                           {127, []float32{0, 0.5, 1, 1.5, 2, 3, 4, 6}},
		"128 is two":                           {128, []float32{0, 1, 2, 3, 4, 6, 8, 12}},
		"254 is 2^127, beyond which is no end": {254, []float32{0, 0x1p126, 0x1p127, 0x1.8p127, inf, inf, inf, inf}},
		"255 is not a number":                  {255, []float32{nan, nan, nan, nan, nan, nan, nan, nan}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := MXFP4{Experts: 1, Rows: 1, Cols: 32, Scales: []byte{tc.scale}, Blocks: []byte{
				0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe, // all sixteen codes, then zeros
				0, 0, 0, 0, 0, 0, 0, 0,
			}}
			row := make([]float32, 32)
			m.Row(0, 0, row)
			for i, want := range tc.want {
				for code, w := range map[int]float32{i: want, i + 8: -want} {
					if got := row[code]; got != w && !(math.IsNaN(float64(got)) && math.IsNaN(float64(w))) {
						t.Errorf("code %d is %g, want %g", code, got, w)
					}
				}
			}
			if math.Signbit(float64(row[0])) || tc.scale != 255 && !math.Signbit(float64(row[8])) {
				t.Error("zero has the wrong sign")
			}
		})
	}
}

func TestMXFP4FindsItsRow(t *testing.T) {
	m := MXFP4{Experts: 2, Rows: 3, Cols: 64, Blocks: make([]byte, 2*3*2*16), Scales: make([]byte, 2*3*2)}
	for i := range m.Scales {
		m.Scales[i] = byte(120 + i)
	}
	m.Blocks[(1*3+2)*2*16+16+5] = 0x2f // expert 1, row 2, second block: elements 32+10 and 32+11
	row := make([]float32, 64)
	m.Row(1, 2, row)
	want := make([]float32, 64)
	want[42], want[43] = -6*0x1p4, 1*0x1p4 // scale 131
	if diff := cmp.Diff(want, row); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

func TestMatrixRow(t *testing.T) {
	want := []float32{1, -2, 0.5, 0}
	tests := map[string]struct {
		dtype model.DType
		data  []byte
	}{
		"BF16": {model.BF16, little16(0x3f80, 0xc000, 0x3f00, 0)},
		"F16":  {model.F16, little16(0x3c00, 0xc000, 0x3800, 0)},
		"F32":  {model.F32, little32(0x3f800000, 0xc0000000, 0x3f000000, 0)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := Matrix{Rows: 2, Cols: 4, DType: tc.dtype, Data: append(make([]byte, len(tc.data)), tc.data...)}
			got := make([]float32, 4)
			m.Row(1, got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("row (-want +got):\n%s", diff)
			}
		})
	}
}

func little16(values ...uint16) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

func little32(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

func TestHalfToFloat(t *testing.T) {
	tests := map[string]struct {
		half uint16
		want float64
	}{
		"the largest":             {0x7bff, 65504},
		"the smallest normal":     {0x0400, 0x1p-14},
		"the smallest at all":     {0x0001, 0x1p-24},
		"the largest subnormal":   {0x03ff, 1023 * 0x1p-24},
		"minus the smallest":      {0x8001, -0x1p-24},
		"infinity":                {0x7c00, math.Inf(1)},
		"minus infinity":          {0xfc00, math.Inf(-1)},
		"a third, as near as can": {0x3555, 0.333251953125},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := float64(halfToFloat(tc.half)); got != tc.want {
				t.Errorf("%g, want %g", got, tc.want)
			}
		})
	}
	if got := halfToFloat(0x7e00); !math.IsNaN(float64(got)) {
		t.Errorf("NaN became %g", got)
	}
}
