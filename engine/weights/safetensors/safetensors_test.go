package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

func TestReadRefuses(t *testing.T) {
	entry := func(dtype, shape string, begin, end uint64) string {
		return fmt.Sprintf(`{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, dtype, shape, begin, end)
	}
	one := func(dtype, shape string, begin, end uint64) []byte {
		return weightstest.Frame(`{"a":`+entry(dtype, shape, begin, end)+`}`, make([]byte, 8))
	}
	two := func(begin, end, size uint64) []byte {
		return weightstest.Frame(`{"a":`+entry("U8", "[4]", 0, 4)+`,"b":`+entry("U8", fmt.Sprintf("[%d]", end-begin), begin, end)+`}`, make([]byte, size))
	}
	oversized := binary.LittleEndian.AppendUint64(nil, maxHeaderBytes+1)
	tests := map[string]struct {
		file []byte
		want string
	}{
		"nothing":                      {nil, "0 bytes long"},
		"half a length":                {[]byte{1, 2, 3}, "3 bytes long"},
		"a length beyond the file":     {weightstest.Frame("{}", nil)[:9], "header length 2, want at most the 1 bytes that follow"},
		"a length beyond all bounds":   {append(oversized, '{', '}'), "want at most 16777216: not a safetensors file"},
		"a length of all ones":         {[]byte(strings.Repeat("\xff", 16)), "not a safetensors file"},
		"a zip archive":                {[]byte("PK\x03\x04\x14\x00\x00\x00\x08\x00 pytorch_model.bin"), "not a safetensors file"},
		"a header that is a list":      {weightstest.Frame("[]", nil), "not a JSON object"},
		"a header that is binary":      {weightstest.Frame("\x00\x01\x02", nil), "not a JSON object"},
		"a header cut short":           {weightstest.Frame(`{"a":`, nil), `tensor "a": header entry`},
		"a header not closed":          {weightstest.Frame(`{"a":`+entry("U8", "[8]", 0, 8), make([]byte, 8)), "header is not JSON"},
		"text after the header":        {weightstest.Frame(`{} x`, nil), `"x" follows the header's JSON object, want spaces only`},
		"metadata of numbers":          {weightstest.Frame(`{"__metadata__":{"a":1}}`, nil), "__metadata__ is not an object of strings"},
		"two tensors of one name":      {weightstest.Frame(`{"a":`+entry("U8", "[8]", 0, 8)+`,"a":`+entry("U8", "[8]", 0, 8)+`}`, make([]byte, 8)), `tensor "a": named twice`},
		"an entry of text":             {weightstest.Frame(`{"a":"b"}`, nil), `tensor "a": header entry`},
		"no type":                      {weightstest.Frame(`{"a":{"shape":[1],"data_offsets":[0,1]}}`, []byte{0}), `type "" is not one of safetensors`},
		"an unknown type":              {one("Q4", "[8]", 0, 8), `tensor "a": type "Q4" is not one of safetensors`},
		"no shape":                     {one("U8", "null", 0, 8), "shape has 0 dimensions"},
		"a shape of many dimensions":   {one("U8", "[1,1,1,1,1,1,1,1,8]", 0, 8), "shape has 9 dimensions"},
		"a negative dimension":         {one("U8", "[-8]", 0, 8), "shape [-8] has no size"},
		"two negative dimensions":      {one("U8", "[-2,-4]", 0, 8), "shape [-2 -4] has no size"},
		"a dimension beyond integers":  {one("U8", "[99999999999999999999]", 0, 8), "header entry"},
		"a product beyond integers":    {one("F32", "[4294967296,4294967296]", 0, 0), "has no size in bytes"},
		"a product that wraps to size": {one("U8", "[9223372036854775807,2,4]", 0, 8), "has no size in bytes"},
		"an offset before the data":    {weightstest.Frame(`{"a":{"dtype":"U8","shape":[8],"data_offsets":[-8,0]}}`, make([]byte, 8)), "want begin and end"},
		"offsets swapped":              {one("U8", "[8]", 8, 0), "want begin and end"},
		"one offset":                   {weightstest.Frame(`{"a":{"dtype":"U8","shape":[8],"data_offsets":[0]}}`, make([]byte, 8)), "want begin and end"},
		"a span unlike the shape":      {one("F32", "[8]", 0, 8), "data_offsets span 8 bytes, want 32 for F32 [8]"},
		"an end beyond the file":       {one("U8", "[9]", 0, 9), `tensor "a": ends at byte 9 of the data, want at most 8: truncated`},
		"an end beyond all files":      {one("U8", "[9223372036854775807]", 0, math.MaxInt64), "truncated"},
		"an overlap":                   {two(2, 6, 6), `tensor "b": begins at byte 2 of the data, want 4: overlaps its neighbour`},
		"a gap":                        {two(5, 8, 8), `tensor "b": begins at byte 5 of the data, want 4: leaves a gap`},
		"bytes before the first":       {one("U8", "[4]", 4, 8), "want 0: leaves a gap"},
		"bytes after the last":         {two(4, 8, 9), "1 bytes follow the last tensor"},
		"data without tensors":         {weightstest.Frame("{}", make([]byte, 3)), "3 bytes follow the last tensor"},
		"more tensors than bounded":    {weightstest.Frame(manyTensors(), nil), "header names more than"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Read(bytes.NewReader(tc.file), int64(len(tc.file)))
			wantSentence(t, err, tc.want)
		})
	}
}

func manyTensors() string {
	var b strings.Builder
	b.WriteString("{")
	for i := range maxTensors + 1 {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i)
	}
	b.WriteString("}")
	return b.String()
}

func TestReadTakes(t *testing.T) {
	few := []weightstest.Tensor{{Name: "a", DType: "BF16", Shape: []int{2, 3}, Data: make([]byte, 12)}, {Name: "b", DType: "U8", Shape: []int{1}, Data: []byte{1}}}
	tests := map[string]struct {
		file []byte
		want int
	}{
		"an empty file":     {weightstest.Frame("{}", nil), 0},
		"padding":           {weightstest.Frame("{}      ", nil), 0},
		"a scalar":          {weightstest.Frame(`{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, make([]byte, 4)), 1},
		"an empty tensor":   {weightstest.Frame(`{"a":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]}}`, nil), 1},
		"any order of data": {weightstest.Frame(`{"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, make([]byte, 6)), 2},
		"what is written":   {weightstest.Safetensors(few), len(few)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tensors, err := Read(bytes.NewReader(tc.file), int64(len(tc.file)))
			if err != nil {
				t.Fatal(err)
			}
			if len(tensors) != tc.want {
				t.Errorf("%d tensors, want %d", len(tensors), tc.want)
			}
		})
	}
}

// FuzzRead checks that an accepted header tiles the file exactly.
func FuzzRead(f *testing.F) {
	f.Add(weightstest.Safetensors([]weightstest.Tensor{{Name: "a", DType: "BF16", Shape: []int{2, 3}, Data: make([]byte, 12)}}))
	f.Add(weightstest.Frame("{}", nil))
	f.Add(weightstest.Frame(`{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[1],"data_offsets":[8,9]}} `, make([]byte, 9)))
	f.Add(weightstest.Frame(`{"a":{"dtype":"U8","shape":[9223372036854775807,2,4],"data_offsets":[0,8]}}`, make([]byte, 8)))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff{}"))
	f.Fuzz(func(t *testing.T, file []byte) {
		tensors, err := Read(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		at := int64(lengthBytes) + int64(binary.LittleEndian.Uint64(file))
		for _, e := range tensors {
			if e.Begin != at || e.End < e.Begin {
				t.Errorf("tensor %q takes the bytes from %d to %d, want them from %d", e.Name, e.Begin, e.End, at)
			}
			at = e.End
		}
		if at != int64(len(file)) {
			t.Errorf("header and tensors make up %d of %d bytes", at, len(file))
		}
	})
}

// wantSentence checks that an error is one line that holds the text.
func wantSentence(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line with %q", err, text)
	}
}
