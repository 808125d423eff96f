package model

import "fmt"

// DType is an element type by its safetensors name.
type DType string

// The element types that checkpoints of gpt-oss use. The last two come in blocks of 32 and in GGUF files only.
const (
	BF16  DType = "BF16"
	F16   DType = "F16"
	F32   DType = "F32"
	U8    DType = "U8"    // MXFP4 blocks and scales, in tensors of their own
	Q8_0  DType = "Q8_0"  // 34 bytes: a binary16 scale, then 32 signed bytes
	MXFP4 DType = "MXFP4" // 17 bytes: an E8M0 scale, then 16 bytes, byte j with elements j (low nibble) and j+16
)

// Tensor is one tensor that a checkpoint must hold. Where DType is BF16, F16 and F32 serve as well.
type Tensor struct {
	Name  string // in the Hugging Face layout
	DType DType
	Shape []int
}

// Names of the tensors outside the layers.
const (
	EmbeddingName = "model.embed_tokens.weight"
	FinalNormName = "model.norm.weight"
	LMHeadName    = "lm_head.weight"
)

// LayerPrefix returns what the names of a layer's tensors start with, the dot included.
func LayerPrefix(layer int) string {
	return fmt.Sprintf("model.layers.%d.", layer)
}

// Tensors lists every tensor of the Hugging Face layout, in the order of the forward pass.
func (c Config) Tensors() []Tensor {
	tensors := make([]Tensor, 0, 3+19*c.Layers)
	tensors = append(tensors, Tensor{EmbeddingName, BF16, []int{c.VocabSize, c.HiddenSize}})
	for layer := range c.Layers {
		tensors = c.appendLayer(tensors, LayerPrefix(layer))
	}
	return append(tensors,
		Tensor{FinalNormName, BF16, []int{c.HiddenSize}},
		Tensor{LMHeadName, BF16, []int{c.VocabSize, c.HiddenSize}},
	)
}

func (c Config) appendLayer(tensors []Tensor, prefix string) []Tensor {
	hidden, inter := c.HiddenSize, c.IntermediateSize
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	dense := func(name string, shape ...int) { tensors = append(tensors, Tensor{prefix + name, BF16, shape}) }
	experts := func(name string, rows, cols int) {
		blocks := cols / mxfp4Block
		tensors = append(tensors,
			Tensor{prefix + name + "_blocks", U8, []int{c.Experts, rows, blocks, mxfp4Block / 2}},
			Tensor{prefix + name + "_scales", U8, []int{c.Experts, rows, blocks}},
			Tensor{prefix + name + "_bias", BF16, []int{c.Experts, rows}},
		)
	}
	dense("input_layernorm.weight", hidden)
	dense("self_attn.q_proj.weight", q, hidden)
	dense("self_attn.q_proj.bias", q)
	dense("self_attn.k_proj.weight", kv, hidden)
	dense("self_attn.k_proj.bias", kv)
	dense("self_attn.v_proj.weight", kv, hidden)
	dense("self_attn.v_proj.bias", kv)
	dense("self_attn.sinks", c.Heads)
	dense("self_attn.o_proj.weight", hidden, q)
	dense("self_attn.o_proj.bias", hidden)
	dense("post_attention_layernorm.weight", hidden)
	dense("mlp.router.weight", c.Experts, hidden)
	dense("mlp.router.bias", c.Experts)
	experts("mlp.experts.gate_up_proj", 2*inter, hidden) // gate on even rows, up on odd ones
	experts("mlp.experts.down_proj", hidden, inter)
	return tensors
}
