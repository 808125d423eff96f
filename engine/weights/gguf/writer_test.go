package gguf

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHeadPlacesTensors gives every tensor a place of its own, at multiples of 32 from the start of the file on.
func TestHeadPlacesTensors(t *testing.T) {
	tensors := []Tensor{
		{Name: "a", Type: F16, Shape: []int64{3, 5}},
		{Name: "b", Type: Q8_0, Shape: []int64{64}},
		{Name: "c", Type: 12, Shape: []int64{7}, Size: 1},
		{Name: "d", Type: F32, Shape: []int64{8}},
	}
	head, err := Head(nil, tensors)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(len(head))
	if n%32 != 0 {
		t.Errorf("a head of %d bytes, want a multiple of 32", n)
	}
	var got [][2]int64
	for _, x := range tensors {
		got = append(got, [2]int64{x.Offset - n, x.Size})
	}
	if diff := cmp.Diff([][2]int64{{0, 30}, {32, 68}, {128, 1}, {160, 32}}, got); diff != "" {
		t.Errorf("offsets and sizes (-want +got):\n%s", diff)
	}
}

func TestHeadRefuses(t *testing.T) {
	tests := map[string]struct {
		pairs   []Pair
		tensors []Tensor
		want    string
	}{
		"a value of another type": {[]Pair{{"k", 1}}, nil, `key "k": a value of type int, which is not written`},
		"half a block":            {nil, []Tensor{{Name: "t", Type: MXFP4, Shape: []int64{2, 48}}}, `tensor "t": rows of 48 elements, want a multiple of 32`},
		"an unknown type":         {nil, []Tensor{{Name: "t", Type: 99, Shape: []int64{2}}}, `tensor "t": type 99 is not known`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Head(tc.pairs, tc.tensors); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}
