package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/model"
)

// Scales of the expert weights, whose four-bit values are uniformly random with a deviation of 2.9: one step per
// input for gate and up, so that the clamped SwiGLU sees values around 1, and little for down.
const (
	gateUpScale = 127 - 5
	downScale   = 127 - 8
)

// tensors returns the model as a safetensors file: BF16, and MXFP4 for the experts.
func (n *network) tensors() ([]byte, error) {
	var data []byte
	header := object{{"__metadata__", map[string]string{"format": "pt"}}}
	for _, t := range n.Tensors() {
		content, err := n.content(t)
		if err != nil {
			return nil, err
		}
		header = append(header, field{t.Name, object{
			{"dtype", t.DType},
			{"shape", t.Shape},
			{"data_offsets", []int{len(data), len(data) + len(content)}},
		}})
		data = append(data, content...)
	}
	text, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	for len(text)%8 != 0 { // the data starts aligned
		text = append(text, ' ')
	}
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(file, text...), data...), nil
}

func (n *network) content(t model.Tensor) ([]byte, error) {
	count := 1
	for _, d := range t.Shape {
		count *= d
	}
	switch {
	case strings.HasSuffix(t.Name, "_blocks"):
		packed := make([]byte, count)
		for i := range packed {
			packed[i] = byte(n.random.Uint32())
		}
		return packed, nil
	case strings.HasSuffix(t.Name, "gate_up_proj_scales"):
		return []byte(strings.Repeat(string(rune(gateUpScale)), count)), nil
	case strings.HasSuffix(t.Name, "down_proj_scales"):
		return []byte(strings.Repeat(string(rune(downScale)), count)), nil
	}
	values := n.values[t.Name]
	if len(values) != count {
		return nil, fmt.Errorf("tensor %q: %d values, want %d", t.Name, len(values), count)
	}
	packed := make([]byte, 0, 2*count)
	for _, v := range values {
		packed = binary.LittleEndian.AppendUint16(packed, bfloat16(v))
	}
	return packed, nil
}

// bfloat16 rounds to the nearest, ties to even.
func bfloat16(v float64) uint16 {
	bits := math.Float32bits(float32(v))
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
