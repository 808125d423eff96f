package weightstest

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/model"
)

// Pair is a key of GGUF metadata with its value: uint32, uint64, int32, float32, bool, string, []string, []int32, []bool.
type Pair struct {
	Key   string
	Value any
}

// WriteGGUF writes a GGUF file of version 3 with the default alignment. Shapes have the slowest dimension first.
func WriteGGUF(metadata []Pair, tensors []Tensor) []byte {
	file, _ := ggufHead(metadata, tensors)
	for _, t := range tensors {
		file = pad(append(file, t.Data...))
	}
	return file
}

// SparseGGUF writes a file whose tensors are holes: it looks as large as it says and takes no space.
func SparseGGUF(path string, metadata []Pair, tensors []Tensor) error {
	head, size := ggufHead(metadata, tensors)
	return writeSparse(path, head, size)
}

func ggufHead(metadata []Pair, tensors []Tensor) (head []byte, size int64) {
	head = append([]byte("GGUF"), 3, 0, 0, 0)
	head = binary.LittleEndian.AppendUint64(head, uint64(len(tensors)))
	head = binary.LittleEndian.AppendUint64(head, uint64(len(metadata)))
	for _, p := range metadata {
		head = appendValue(appendText(head, p.Key), p.Value, true)
	}
	for _, t := range tensors {
		head = appendText(head, t.Name)
		head = binary.LittleEndian.AppendUint32(head, uint32(len(t.Shape)))
		for i := range t.Shape {
			head = binary.LittleEndian.AppendUint64(head, uint64(t.Shape[len(t.Shape)-1-i]))
		}
		head = binary.LittleEndian.AppendUint32(head, typeCodes[t.DType])
		head = binary.LittleEndian.AppendUint64(head, uint64(size))
		n := t.size()
		if t.Data != nil {
			n = int64(len(t.Data))
		}
		size += (n + 31) / 32 * 32
	}
	return pad(head), size
}

var typeCodes = map[model.DType]uint32{model.F32: 0, model.F16: 1, model.Q8_0: 8, model.BF16: 30, model.MXFP4: 39, "Q4_K": 12}

func pad(b []byte) []byte {
	for len(b)%32 != 0 {
		b = append(b, 0)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// appendValue appends a value, after the number of its type if typed.
func appendValue(b []byte, v any, typed bool) []byte {
	kind := func(n uint32) {
		if typed {
			b = binary.LittleEndian.AppendUint32(b, n)
		}
	}
	switch v := v.(type) {
	case uint16:
		kind(2)
		return binary.LittleEndian.AppendUint16(b, v)
	case uint32:
		kind(4)
		return binary.LittleEndian.AppendUint32(b, v)
	case int32:
		kind(5)
		return binary.LittleEndian.AppendUint32(b, uint32(v))
	case float32:
		kind(6)
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	case bool:
		kind(7)
		if v {
			return append(b, 1)
		}
		return append(b, 0)
	case string:
		kind(8)
		return appendText(b, v)
	case uint64:
		kind(10)
		return binary.LittleEndian.AppendUint64(b, v)
	case []string:
		return appendArray(b, 8, v)
	case []int32:
		return appendArray(b, 5, v)
	case []bool:
		return appendArray(b, 7, v)
	}
	panic(fmt.Sprintf("weightstest: a value of type %T", v))
}

func appendArray[T any](b []byte, code uint32, values []T) []byte {
	b = binary.LittleEndian.AppendUint32(b, 9)
	b = binary.LittleEndian.AppendUint32(b, code)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(values)))
	for _, v := range values {
		b = appendValue(b, v, false)
	}
	return b
}

// GGUF writes tensors as a GGUF file with MXFP4 experts and the rest in the types that it has.
func GGUF(c model.Config, tensors []Tensor) []byte {
	return WriteGGUF(Metadata(c), GGUFTensors(c, tensors))
}

// Metadata returns the keys that describe a model.
func Metadata(c model.Config) []Pair {
	pairs := []Pair{
		{"general.architecture", "gpt-oss"},
		{"gpt-oss.block_count", uint32(c.Layers)},
		{"gpt-oss.context_length", uint32(c.MaxContext)},
		{"gpt-oss.embedding_length", uint32(c.HiddenSize)},
		{"gpt-oss.expert_feed_forward_length", uint32(c.IntermediateSize)},
		{"gpt-oss.expert_count", uint32(c.Experts)},
		{"gpt-oss.expert_used_count", uint32(c.ActiveExperts)},
		{"gpt-oss.attention.head_count", uint32(c.Heads)},
		{"gpt-oss.attention.head_count_kv", uint32(c.KVHeads)},
		{"gpt-oss.attention.key_length", uint32(c.HeadDim)},
		{"gpt-oss.attention.value_length", uint32(c.HeadDim)},
		{"gpt-oss.attention.layer_norm_rms_epsilon", float32(c.RMSNormEps)},
		{"gpt-oss.attention.sliding_window", uint32(c.SlidingWindow)},
		{"gpt-oss.rope.freq_base", float32(c.RopeTheta)},
		{"gpt-oss.rope.scaling.type", "yarn"},
		{"gpt-oss.rope.scaling.factor", float32(c.YaRNFactor)},
		{"gpt-oss.rope.scaling.original_context_length", uint32(c.OriginalContext)},
		{"gpt-oss.rope.scaling.yarn_beta_fast", float32(c.YaRNBetaFast)},
		{"gpt-oss.rope.scaling.yarn_beta_slow", float32(c.YaRNBetaSlow)},
	}
	if c.WindowLayers != nil {
		pairs = append(pairs, Pair{"gpt-oss.attention.sliding_window_pattern", c.WindowLayers})
	}
	if len(c.EOSTokenIDs) > 0 {
		pairs = append(pairs, Pair{"tokenizer.ggml.eos_token_id", uint32(c.EOSTokenIDs[0])})
	}
	return pairs
}

// GGUFTensors gives tensors the names of GGUF, takes gate and up apart and repacks the experts. Tensors without data
// stay so.
func GGUFTensors(c model.Config, tensors []Tensor) []Tensor {
	rename := strings.NewReplacer(
		"model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output", "model.layers.", "blk.",
		"input_layernorm", "attn_norm", "self_attn.q_proj", "attn_q", "self_attn.k_proj", "attn_k",
		"self_attn.v_proj", "attn_v", "self_attn.o_proj", "attn_output", "self_attn.sinks", "attn_sinks.weight",
		"post_attention_layernorm", "post_attention_norm", "mlp.router", "ffn_gate_inp")
	var out []Tensor
	for _, t := range tensors {
		if !strings.Contains(t.Name, ".experts.") {
			out = append(out, Tensor{rename.Replace(t.Name), t.DType, t.Shape, t.Data})
		}
	}
	for i := range c.Layers {
		from, to := model.LayerPrefix(i)+"mlp.experts.", fmt.Sprintf("blk.%d.ffn_", i)
		for _, e := range []struct {
			from, to        string
			first, step     int // the rows that belong to the tensor
			rows, cols, all int
		}{
			{"gate_up_proj", "gate", 0, 2, c.IntermediateSize, c.HiddenSize, 2 * c.IntermediateSize},
			{"gate_up_proj", "up", 1, 2, c.IntermediateSize, c.HiddenSize, 2 * c.IntermediateSize},
			{"down_proj", "down", 0, 1, c.HiddenSize, c.IntermediateSize, c.HiddenSize},
		} {
			blocks, scales := find(tensors, from+e.from+"_blocks"), find(tensors, from+e.from+"_scales")
			bias := find(tensors, from+e.from+"_bias")
			weight := Tensor{to + e.to + "_exps.weight", model.MXFP4, []int{c.Experts, e.rows, e.cols}, nil}
			split := Tensor{to + e.to + "_exps.bias", bias.DType, []int{c.Experts, e.rows}, nil}
			size := len(bias.Data) / (c.Experts * e.all)
			for r := e.first; r < c.Experts*e.all && bias.Data != nil; r += e.step {
				split.Data = append(split.Data, bias.Data[r*size:(r+1)*size]...)
				for b := r * e.cols / 32; b < (r+1)*e.cols/32; b++ {
					weight.Data = append(weight.Data, scales.Data[b])
					weight.Data = append(weight.Data, shuffle(blocks.Data[b*16:(b+1)*16])...)
				}
			}
			out = append(out, weight, split)
		}
	}
	return out
}

// shuffle moves the 32 values of a block one by one from the pairs of safetensors to the halves of GGUF.
func shuffle(block []byte) []byte {
	var values [32]byte
	for j, v := range block {
		values[2*j], values[2*j+1] = v&15, v>>4
	}
	out := make([]byte, 16)
	for j := range out {
		out[j] = values[j] | values[j+16]<<4
	}
	return out
}
