package weights

import (
	"errors"
	"io/fs"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/mapping"
)

// Checkpoint is an opened model. Its tensors may lie in mapped memory: do not touch them after Close.
type Checkpoint struct {
	Config     model.Config
	Layout     Layout
	Embedding  Matrix // [vocab, hidden]
	Layers     []Layer
	FinalNorm  []float32   // [hidden]
	LMHead     Matrix      // [vocab, hidden]
	Vocabulary *Vocabulary // of a GGUF file that has one; else nil, and tokenizer.json lies in Files

	fsys  fs.FS
	files []*mapping.Memory
}

// Layer is one transformer block: attention, then a mixture of experts.
type Layer struct {
	AttentionNorm []float32 // [hidden]
	Query         Linear    // [heads × head_dim, hidden]
	Key           Linear    // [kv_heads × head_dim, hidden]
	Value         Linear    // [kv_heads × head_dim, hidden]
	Sinks         []float32 // [heads]
	Output        Linear    // [hidden, heads × head_dim]
	MLPNorm       []float32 // [hidden]
	Router        Linear    // [experts, hidden]
	GateUp        Experts   // [experts, 2 × intermediate, hidden]; gate on even rows, up on odd ones
	Down          Experts   // [experts, hidden, intermediate]
}

// Linear is a weight [out, in] with a bias [out].
type Linear struct {
	Weight Matrix
	Bias   []float32
}

// Experts is one linear map per expert, with a row of biases for each.
type Experts struct {
	Weight MXFP4  // [experts, out, in]
	Bias   Matrix // [experts, out]

	// Other holds the weights of a GGUF file, as they lie there, instead of Weight, which is then empty. There are n
	// matrices, one or two (gate and up): row r of an expert is row r/n of the expert in matrix r%n, which has the rows
	// of all experts one after the other.
	Other []Matrix
}

// Rows returns the rows of one expert.
func (e Experts) Rows() int { return e.Bias.Cols }

// Cols returns the width of a row.
func (e Experts) Cols() int {
	if len(e.Other) > 0 {
		return e.Other[0].Cols
	}
	return e.Weight.Cols
}

// Row decodes a row of an expert into dst, which holds at least Cols values.
func (e Experts) Row(expert, row int, dst []float32) {
	n := len(e.Other)
	if n == 0 {
		e.Weight.Row(expert, row, dst)
		return
	}
	e.Other[row%n].Row(expert*(e.Rows()/n)+row/n, dst)
}

// Vocabulary is the tokenizer of a GGUF file as it is stored there: byte-level BPE.
type Vocabulary struct {
	Tokens []string // by id, in GPT-2's printable form of bytes
	Merges []string // "left right", the first with the highest rank
	Types  []int32  // by id: 1 normal, 3 control, 4 user-defined, 5 unused; empty where the file does not say
	Pre    string   // how text is split before the merges; "gpt-4o" for gpt-oss
	BOS    int32    // -1 if there is none
	EOS    int32    // -1 if there is none
}

// Files returns the folder that the checkpoint was opened from: tokenizer.json and generation_config.json lie there.
// For OpenAI's own layout the folder above is looked into as well.
func (c *Checkpoint) Files() fs.FS { return c.fsys }

// Close releases the files. It is safe to call twice, not while a forward pass runs.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, f := range c.files {
		errs = append(errs, f.Close())
	}
	c.files = nil
	return errors.Join(errs...)
}

// assemble fills the typed form from tensors that were checked, in the layouts that name them as Hugging Face does.
func (c *Checkpoint) assemble(s store) {
	c.Embedding = s.matrix(model.EmbeddingName)
	c.FinalNorm = s.vector(model.FinalNormName)
	c.LMHead = s.matrix(model.LMHeadName)
	c.Layers = make([]Layer, c.Config.Layers)
	for i := range c.Layers {
		p := model.LayerPrefix(i)
		c.Layers[i] = Layer{
			AttentionNorm: s.vector(p + "input_layernorm.weight"),
			Query:         s.linear(p + "self_attn.q_proj"),
			Key:           s.linear(p + "self_attn.k_proj"),
			Value:         s.linear(p + "self_attn.v_proj"),
			Sinks:         s.vector(p + "self_attn.sinks"),
			Output:        s.linear(p + "self_attn.o_proj"),
			MLPNorm:       s.vector(p + "post_attention_layernorm.weight"),
			Router:        s.linear(p + "mlp.router"),
			GateUp:        s.experts(p + "mlp.experts.gate_up_proj"),
			Down:          s.experts(p + "mlp.experts.down_proj"),
		}
	}
}
