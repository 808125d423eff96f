package weightstest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/model"
)

// Tensor is a tensor under its Hugging Face name.
type Tensor struct {
	Name  string
	DType model.DType
	Shape []int
	Data  []byte
}

// size returns the bytes of a tensor, which need not have data.
func (t Tensor) size() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= int64(d)
	}
	switch t.DType {
	case model.F32:
		return n * 4
	case model.F16, model.BF16:
		return n * 2
	case model.Q8_0:
		return n / 32 * 34
	case model.MXFP4:
		return n / 32 * 17
	}
	return n
}

// Safetensors writes tensors as a safetensors file.
func Safetensors(tensors []Tensor) []byte {
	head, _ := safetensorsHead(tensors)
	for _, t := range tensors {
		head = append(head, t.Data...)
	}
	return head
}

// SparseSafetensors writes a file whose tensors are holes: it looks as large as it says and takes no space.
func SparseSafetensors(path string, tensors []Tensor) error {
	head, size := safetensorsHead(tensors)
	return writeSparse(path, head, size)
}

func writeSparse(path string, head []byte, size int64) error {
	return errors.Join(os.WriteFile(path, head, 0o600), os.Truncate(path, int64(len(head))+size))
}

func safetensorsHead(tensors []Tensor) (head []byte, size int64) {
	var header bytes.Buffer
	header.WriteString(`{"__metadata__":{"format":"pt"}`)
	for _, t := range tensors {
		n := t.size()
		if t.Data != nil {
			n = int64(len(t.Data))
		}
		fmt.Fprintf(&header, `,%q:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, t.Name, t.DType, mustJSON(t.Shape), size, size+n)
		size += n
	}
	header.WriteString("}")
	return Frame(header.String(), nil), size
}

// Frame puts the length before the header of a safetensors file, and the data after it.
func Frame(header string, data []byte) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(file, header...), data...)
}

// ReadSafetensors takes a safetensors file apart.
func ReadSafetensors(file []byte) []Tensor {
	start := 8 + binary.LittleEndian.Uint64(file)
	var entries map[string]struct {
		DType   model.DType `json:"dtype"`
		Shape   []int       `json:"shape"`
		Offsets []uint64    `json:"data_offsets"`
	}
	if err := json.Unmarshal(file[8:start], &entries); err != nil {
		panic(err)
	}
	delete(entries, "__metadata__")
	var tensors []Tensor
	for name, e := range entries {
		tensors = append(tensors, Tensor{name, e.DType, e.Shape, file[start+e.Offsets[0] : start+e.Offsets[1]]})
	}
	slices.SortFunc(tensors, func(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) })
	return tensors
}

// Original writes tensors in OpenAI's own layout: config.json and model.safetensors, by name.
func Original(c model.Config, tensors []Tensor) map[string][]byte {
	config := map[string]any{
		"num_hidden_layers": c.Layers, "num_experts": c.Experts, "experts_per_token": c.ActiveExperts,
		"vocab_size": c.VocabSize, "hidden_size": c.HiddenSize, "intermediate_size": c.IntermediateSize,
		"swiglu_limit": c.SwiGLULimit, "head_dim": c.HeadDim, "num_attention_heads": c.Heads,
		"num_key_value_heads": c.KVHeads, "sliding_window": c.SlidingWindow,
		"initial_context_length": c.OriginalContext, "rope_theta": c.RopeTheta, "rope_scaling_factor": c.YaRNFactor,
		"rope_ntk_alpha": c.YaRNBetaSlow, "rope_ntk_beta": c.YaRNBetaFast,
	}
	return map[string][]byte{"config.json": mustJSON(config), "model.safetensors": Safetensors(OriginalTensors(c, tensors))}
}

// OriginalTensors gives tensors the names of OpenAI's own layout and joins query, key and value.
func OriginalTensors(c model.Config, tensors []Tensor) []Tensor {
	rename := strings.NewReplacer(
		"model.embed_tokens.weight", "embedding.weight", "model.norm.weight", "norm.scale", "lm_head", "unembedding",
		"model.layers.", "block.", "input_layernorm.weight", "attn.norm.scale", "self_attn.sinks", "attn.sinks",
		"self_attn.o_proj", "attn.out", "post_attention_layernorm.weight", "mlp.norm.scale", "mlp.router", "mlp.gate",
		"mlp.experts.gate_up_proj_bias", "mlp.mlp1_bias", "mlp.experts.down_proj_bias", "mlp.mlp2_bias",
		"mlp.experts.gate_up_proj_", "mlp.mlp1_weight.", "mlp.experts.down_proj_", "mlp.mlp2_weight.")
	var out []Tensor
	for _, t := range tensors {
		if !strings.Contains(t.Name, "_proj.") || strings.Contains(t.Name, ".o_proj.") {
			out = append(out, Tensor{rename.Replace(t.Name), t.DType, t.Shape, t.Data})
		}
	}
	for i := range c.Layers {
		for _, part := range []string{"weight", "bias"} {
			joined := Tensor{Name: fmt.Sprintf("block.%d.attn.qkv.%s", i, part)}
			for _, x := range "qkv" {
				t := find(tensors, fmt.Sprintf("%sself_attn.%c_proj.%s", model.LayerPrefix(i), x, part))
				if joined.Shape == nil {
					joined.DType, joined.Shape = t.DType, append([]int{0}, t.Shape[1:]...)
				}
				joined.Shape[0] += t.Shape[0]
				joined.Data = append(joined.Data, t.Data...)
			}
			out = append(out, joined)
		}
	}
	return out
}

// Shapes returns the tensors of a model without data.
func Shapes(c model.Config) []Tensor {
	var all []Tensor
	for _, t := range c.Tensors() {
		all = append(all, Tensor{Name: t.Name, DType: t.DType, Shape: t.Shape})
	}
	return all
}

func find(tensors []Tensor, name string) Tensor {
	i := slices.IndexFunc(tensors, func(t Tensor) bool { return t.Name == name })
	if i < 0 {
		panic("weightstest: no tensor " + name)
	}
	return tensors[i]
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
