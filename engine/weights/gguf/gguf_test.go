package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const keepAll = 1 << 20

func read(file []byte, maxArray int64) (*File, error) {
	return Read(bytes.NewReader(file), int64(len(file)), maxArray)
}

// build joins numbers and texts; a string is written with its length.
func build(fields ...any) []byte {
	file := []byte("GGUF")
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			file = append(binary.LittleEndian.AppendUint64(file, uint64(len(f))), f...)
		case []byte:
			file = append(file, f...)
		case uint64:
			file = binary.LittleEndian.AppendUint64(file, f)
		case int:
			file = binary.LittleEndian.AppendUint32(file, uint32(f))
		}
	}
	return file
}

// sample has every type of value, and two tensors.
func sample() []byte {
	head, err := Head([]Pair{
		{"text", "gpt-oss"},
		{"u16", uint16(9)},
		{"u32", uint32(7)},
		{"u64", uint64(1 << 40)},
		{"i32", int32(-3)},
		{"f32", float32(1e-5)},
		{"yes", true},
		{"texts", []string{"a", "", "ccc"}},
		{"ints", []int32{1, -2}},
		{"flags", []bool{true, false}},
	}, []Tensor{{Name: "a", Type: F32, Shape: []int64{2, 3}}, {Name: "b", Type: MXFP4, Shape: []int64{2, 3, 64}}})
	if err != nil {
		panic(err)
	}
	return append(head, make([]byte, 32+224)...)
}

func TestRead(t *testing.T) {
	file := sample()
	got, err := read(file, keepAll)
	if err != nil {
		t.Fatal(err)
	}
	end := int64(len(file))
	want := &File{
		Version: 3,
		Metadata: Metadata{
			"text": "gpt-oss", "u16": uint64(9), "u32": uint64(7), "u64": uint64(1 << 40), "i32": int64(-3),
			"f32": float32(1e-5), "yes": true, "texts": []string{"a", "", "ccc"}, "ints": []int64{1, -2}, "flags": []int64{1, 0},
		},
		Tensors: []Tensor{
			{"a", F32, []int64{2, 3}, end - 256, 24},
			{"b", MXFP4, []int64{2, 3, 64}, end - 224, 204},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}

	short, err := read(file, 2)
	if err != nil {
		t.Fatal(err)
	}
	want.Metadata["texts"] = Skipped(3)
	if diff := cmp.Diff(want, short); diff != "" {
		t.Errorf("file with short arrays only (-want +got):\n%s", diff)
	}
}

func TestReadTakesVersion2(t *testing.T) {
	f, err := read(build(2, uint64(0), uint64(1), "general.alignment", 4, 64), keepAll)
	if err != nil || f.Version != 2 {
		t.Errorf("file %v, error %v, want version 2", f, err)
	}
}

func TestReadRefuses(t *testing.T) {
	const huge = uint64(1) << 60
	key := func(fields ...any) []byte { return build(append([]any{3, uint64(0), uint64(1)}, fields...)...) }
	tensor := func(fields ...any) []byte {
		return append(build(append([]any{3, uint64(1), uint64(0)}, fields...)...), make([]byte, 128)...)
	}
	tests := map[string]struct {
		file []byte
		want string
	}{
		"nothing":                     {nil, "0 bytes long, want a GGUF file of at least 24"},
		"another format":              {bytes.Repeat([]byte("PK\x03\x04"), 20), "not a GGUF file"},
		"the first version":           {build(1, uint64(0), uint64(0), uint64(0)), "GGUF file of version 1, want 2 or 3"},
		"a later version":             {build(4, uint64(0), uint64(0), uint64(0)), "version 4"},
		"the other byte order":        {build(3<<24, uint64(0), uint64(0), uint64(0)), "big-endian"},
		"many tensors":                {build(3, huge, uint64(0), make([]byte, 40)), "claims 1152921504606846976 tensors, want at most 1 in a file of 64 bytes"},
		"many keys":                   {build(3, uint64(0), huge, make([]byte, 40)), "claims 1152921504606846976 keys, want at most 3 in a file of 64 bytes"},
		"a long key":                  {key(huge, make([]byte, 40)), "metadata: string of 1152921504606846976 bytes at byte 32, want at most 1024"},
		"a key cut short":             {key("abcdefghijklmnopqrstuvwxyz", 4), `key "abcdefghijklmnopqrstuvwxyz": field of 4 bytes at byte 62, want at most the 0 that can follow`},
		"a key twice":                 {build(3, uint64(0), uint64(2), "a", 4, 1, "a", 4, 1), `key "a": given twice`},
		"an unknown type":             {key("a", 13, uint64(0)), `key "a": value of type 13, want 0 to 12`},
		"a long text":                 {key("a", 8, huge), `key "a": string of 1152921504606846976 bytes`},
		"a text beyond the file":      {key("a", 8, uint64(100), make([]byte, 9)), `key "a": string of 100 bytes at byte 45, want at most the 9 that can follow`},
		"a long array":                {key("a", 9, 4, huge), `key "a": array of 1152921504606846976 elements at byte 49, want at most the 0 that can follow`},
		"a long array of texts":       {key("a", 9, 8, huge, make([]byte, 99)), "want at most the 12 that can follow"},
		"an array of arrays":          {key("a", 9, 9, uint64(1), make([]byte, 99)), `key "a": array of arrays, want none`},
		"an array of an unknown type": {key("a", 9, 77, uint64(1), make([]byte, 99)), `key "a": array of type 77`},
		"an array of huge numbers":    {key("a", 9, 10, uint64(1), uint64(math.MaxUint64)), "array holds 18446744073709551615"},
		"an alignment of zero":        {key("general.alignment", 4, 0), `key "general.alignment" is 0, want a power of two`},
		"an alignment of three":       {key("general.alignment", 4, 3), "want a power of two"},
		"an alignment without bound":  {key("general.alignment", 4, 1<<30), "want a power of two up to 1048576"},
		"an alignment of text":        {key("general.alignment", 8, "32"), `key "general.alignment" is a string, want an integer`},
		"many dimensions":             {tensor("t", 1<<31), `tensor "t": has 2147483648 dimensions, want at most 4`},
		"a dimension of zero":         {tensor("t", 1, uint64(0), 0, uint64(0)), `tensor "t": a dimension of 0, want at least 1`},
		"a dimension beyond integers": {tensor("t", 1, uint64(1<<63), 0, uint64(0)), "want at least 1 and below 2^63"},
		"a product beyond integers":   {tensor("t", 2, uint64(1<<40), uint64(1<<40), 0, uint64(0)), "has no size in bytes"},
		"an unknown element type":     {tensor("t", 1, uint64(32), 38, uint64(0)), `tensor "t": type 38 is not known`},
		"half a block":                {tensor("t", 1, uint64(48), 39, uint64(0)), `tensor "t": rows of 48 elements, want a multiple of 32 for MXFP4`},
		"a scalar in blocks":          {tensor("t", 0, 39, uint64(0)), "rows of 1 elements, want a multiple of 32"},
		"an offset askew":             {tensor("t", 1, uint64(1), 0, uint64(8)), `tensor "t": begins at byte 8 of the data, want a multiple of 32`},
		"an offset beyond the file":   {tensor("t", 1, uint64(1), 0, uint64(1<<40)), `tensor "t": 4 bytes at byte 1099511627776 of the data`},
		"an offset beyond integers":   {tensor("t", 1, uint64(1), 0, uint64(1<<63)), "want a smaller number"},
		"data cut short":              {tensor("t", 1, uint64(64), 0, uint64(0)), "truncated"},
		"a file without data":         {build(3, uint64(1), uint64(0), "t", 1, uint64(1), 0, uint64(0)), "of the data, which has 0: truncated"},
		"a tensor twice":              {twoTensors("a", "a", 32), `tensor "a": named twice`},
		"tensors on each other":       {twoTensors("a", "b", 0), "overlaps its neighbour"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := read(tc.file, keepAll)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("file %v, error %v, want one line with %q", f, err, tc.want)
			}
		})
	}
}

func twoTensors(first, second string, offset uint64) []byte {
	one := func(name string, at uint64) []byte { return build(name, 1, uint64(8), 0, at)[4:] }
	return build(3, uint64(2), uint64(0), one(first, 0), one(second, offset), make([]byte, 128))
}

// TestReadAllocatesLittle lets short files claim much.
func TestReadAllocatesLittle(t *testing.T) {
	const huge = uint64(1) << 60
	files := map[string][]byte{
		"tensors":       build(3, huge, uint64(0), make([]byte, 40)),
		"keys":          build(3, uint64(0), huge, make([]byte, 40)),
		"a text":        build(3, uint64(0), uint64(1), "a", 8, uint64(maxText), make([]byte, 9)),
		"an array":      build(3, uint64(0), uint64(1), "a", 9, 0, huge, make([]byte, 40)),
		"texts":         build(3, uint64(0), uint64(1), "a", 9, 8, uint64(1<<20), make([]byte, 40)),
		"dimensions":    build(3, uint64(1), uint64(0), "a", math.MaxInt32, make([]byte, 40)),
		"a wide tensor": build(3, uint64(1), uint64(0), "a", 1, uint64(1<<59), 0, uint64(0), make([]byte, 40)),
	}
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			// The reader is told of a file of 60 GiB, as a sparse one is, whose data end after the few bytes.
			for _, size := range []int64{int64(len(file)), 60 << 30} {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, err := Read(bytes.NewReader(file), size, keepAll)
				runtime.ReadMemStats(&after)
				if err == nil {
					t.Errorf("a file of %d bytes was taken", size)
				}
				if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
					t.Errorf("allocated %d bytes for a file of %d, want at most a few megabytes", got, size)
				}
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	f, err := read(sample(), 2)
	if err != nil {
		t.Fatal(err)
	}
	m := f.Metadata
	if v, err := m.Int("i32"); v != -3 || err != nil {
		t.Errorf("i32 is %d, %v", v, err)
	}
	if v, err := m.Int("u64"); v != 1<<40 || err != nil {
		t.Errorf("u64 is %d, %v", v, err)
	}
	if v, err := m.Float("f32"); v != 1e-5 || err != nil {
		t.Errorf("f32 is %v, %v, want 1e-05", v, err)
	}
	if v, err := m.Float("u16"); v != 9 || err != nil {
		t.Errorf("u16 is %v, %v, want 9", v, err)
	}
	if v, err := m.Ints("flags"); !cmp.Equal(v, []int64{1, 0}) || err != nil {
		t.Errorf("flags are %v, %v", v, err)
	}
	if _, err := m.String("none"); !errors.Is(err, ErrMissing) {
		t.Errorf("error %v, want %v", err, ErrMissing)
	}
	m["big"] = uint64(math.MaxUint64)
	errs := map[string]error{}
	_, errs[`key "big" is 18446744073709551615, want a smaller number`] = m.Int("big")
	_, errs[`key "texts" is an array of 3 elements, want an array of strings`] = m.Strings("texts")
	_, errs[`key "yes" is a boolean, want an integer`] = m.Int("yes")
	_, errs[`key "u32" is an integer, want a string`] = m.String("u32")
	_, errs[`key "f32" is a float, want an array of integers`] = m.Ints("f32")
	_, errs[`key "ints" is an array of integers, want a number`] = m.Float("ints")
	for want, err := range errs {
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestTypeNames(t *testing.T) {
	for code, want := range map[Type]string{F32: "F32", MXFP4: "MXFP4", 12: "Q4_K", 99: "type 99"} {
		if got := code.String(); got != want {
			t.Errorf("type %d is %q, want %q", uint32(code), got, want)
		}
	}
}

// FuzzRead checks that the tensors of an accepted file lie in it.
func FuzzRead(f *testing.F) {
	f.Add(sample())
	f.Add(build(3, uint64(0), uint64(1), "a", 9, 8, uint64(2), "x", "y"))
	f.Add(build(2, uint64(1), uint64(0), "t", 2, uint64(32), uint64(2), 8, uint64(0), make([]byte, 128)))
	f.Add(twoTensors("a", "b", 64))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := read(file, 1000)
		if err != nil {
			return
		}
		for _, tensor := range got.Tensors {
			if tensor.Offset < 0 || tensor.Size <= 0 || tensor.Offset+tensor.Size > int64(len(file)) {
				t.Errorf("tensor %q takes %d bytes at %d of %d", tensor.Name, tensor.Size, tensor.Offset, len(file))
			}
		}
	})
}
