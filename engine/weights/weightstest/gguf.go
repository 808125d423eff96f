package weightstest

import (
	"fmt"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/gguf"
)

// Pair is a key of GGUF metadata with its value.
type Pair = gguf.Pair

// WriteGGUF writes a GGUF file of version 3 with the default alignment. Shapes have the slowest dimension first.
func WriteGGUF(metadata []Pair, tensors []Tensor) []byte {
	file, places, _ := ggufHead(metadata, tensors)
	for i, t := range tensors {
		file = append(file, make([]byte, places[i].Offset-int64(len(file)))...)
		file = append(file, t.Data...)
	}
	for len(file)%32 != 0 {
		file = append(file, 0)
	}
	return file
}

// SparseGGUF writes a file whose tensors are holes: it looks as large as it says and takes no space.
func SparseGGUF(path string, metadata []Pair, tensors []Tensor) error {
	head, _, size := ggufHead(metadata, tensors)
	return writeSparse(path, head, size)
}

// ggufHead returns the head of a file, where its tensors belong and how many bytes they take in all.
func ggufHead(metadata []Pair, tensors []Tensor) (head []byte, places []gguf.Tensor, size int64) {
	for _, t := range tensors {
		place := gguf.Tensor{Name: t.Name, Type: typeCodes[t.DType], Size: t.size()}
		if t.Data != nil {
			place.Size = int64(len(t.Data))
		}
		for _, n := range t.Shape {
			place.Shape = append(place.Shape, int64(n))
		}
		places = append(places, place)
		size += (place.Size + 31) / 32 * 32
	}
	head, err := gguf.Head(metadata, places)
	if err != nil {
		panic("weightstest: " + err.Error())
	}
	return head, places, size
}

var typeCodes = map[model.DType]gguf.Type{
	model.F32: gguf.F32, model.F16: gguf.F16, model.Q8_0: gguf.Q8_0, model.BF16: gguf.BF16, model.MXFP4: gguf.MXFP4, "Q4_K": 12,
}

// GGUF writes tensors as a GGUF file with MXFP4 experts and the rest in the types that it has.
func GGUF(c model.Config, tensors []Tensor) []byte {
	return WriteGGUF(Metadata(c), GGUFTensors(c, tensors))
}

// Metadata returns the keys that describe a model.
func Metadata(c model.Config) []Pair {
	pairs := []Pair{
		{Key: "general.architecture", Value: "gpt-oss"},
		{Key: "gpt-oss.block_count", Value: uint32(c.Layers)},
		{Key: "gpt-oss.context_length", Value: uint32(c.MaxContext)},
		{Key: "gpt-oss.embedding_length", Value: uint32(c.HiddenSize)},
		{Key: "gpt-oss.expert_feed_forward_length", Value: uint32(c.IntermediateSize)},
		{Key: "gpt-oss.expert_count", Value: uint32(c.Experts)},
		{Key: "gpt-oss.expert_used_count", Value: uint32(c.ActiveExperts)},
		{Key: "gpt-oss.attention.head_count", Value: uint32(c.Heads)},
		{Key: "gpt-oss.attention.head_count_kv", Value: uint32(c.KVHeads)},
		{Key: "gpt-oss.attention.key_length", Value: uint32(c.HeadDim)},
		{Key: "gpt-oss.attention.value_length", Value: uint32(c.HeadDim)},
		{Key: "gpt-oss.attention.layer_norm_rms_epsilon", Value: float32(c.RMSNormEps)},
		{Key: "gpt-oss.attention.sliding_window", Value: uint32(c.SlidingWindow)},
		{Key: "gpt-oss.rope.freq_base", Value: float32(c.RopeTheta)},
		{Key: "gpt-oss.rope.scaling.type", Value: "yarn"},
		{Key: "gpt-oss.rope.scaling.factor", Value: float32(c.YaRNFactor)},
		{Key: "gpt-oss.rope.scaling.original_context_length", Value: uint32(c.OriginalContext)},
		{Key: "gpt-oss.rope.scaling.yarn_beta_fast", Value: float32(c.YaRNBetaFast)},
		{Key: "gpt-oss.rope.scaling.yarn_beta_slow", Value: float32(c.YaRNBetaSlow)},
	}
	if c.WindowLayers != nil {
		pairs = append(pairs, Pair{Key: "gpt-oss.attention.sliding_window_pattern", Value: c.WindowLayers})
	}
	if len(c.EOSTokenIDs) > 0 {
		pairs = append(pairs, Pair{Key: "tokenizer.ggml.eos_token_id", Value: uint32(c.EOSTokenIDs[0])})
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
