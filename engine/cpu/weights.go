package cpu

import (
	"fmt"

	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/model"
)

// Weights is a model in the form that the kernels read. Its matrices are views of memory that somebody else owns and that must stay
// mapped while the weights are in use.
type Weights struct {
	Config    model.Config
	Embedding []uint16 // [vocab, hidden] in bfloat16
	Layers    []Layer
	FinalNorm []float32   // [hidden]
	LMHead    kernel.Int8 // [vocab, hidden]
}

// Layer is one transformer block.
type Layer struct {
	AttentionNorm []float32      // [hidden]
	QKV           kernel.Int8    // [(heads + 2 × kv_heads) × head_dim, hidden]: queries, keys, values
	QKVBias       []float32      // [(heads + 2 × kv_heads) × head_dim]
	Sinks         []float32      // [heads]
	Output        kernel.Int8    // [hidden, heads × head_dim], columns of zeros added up to a multiple of 32
	OutputBias    []float32      // [hidden]
	MLPNorm       []float32      // [hidden]
	Router        []float32      // [experts, hidden]
	RouterBias    []float32      // [experts]
	GateUp        []kernel.MXFP4 // per expert [2 × intermediate, hidden]; gate on even rows, up on odd ones
	GateUpBias    []float32      // [experts, 2 × intermediate]
	Down          []kernel.MXFP4 // per expert [hidden, intermediate]
	DownBias      []float32      // [experts, hidden]
}

// dimensions are the widths that follow from a configuration.
type dimensions struct {
	hidden, inter, query, keyValue, qkv int
}

func dimensionsOf(c model.Config) dimensions {
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	return dimensions{hidden: c.HiddenSize, inter: c.IntermediateSize, query: q, keyValue: kv, qkv: q + 2*kv}
}

// check reports the first part that does not have the shape the configuration asks for.
func (w *Weights) check() error {
	if err := w.Config.Validate(); err != nil {
		return err
	}
	c, d := w.Config, dimensionsOf(w.Config)
	switch {
	case len(w.Layers) != c.Layers:
		return fmt.Errorf("%d layers, want %d", len(w.Layers), c.Layers)
	case len(w.Embedding) != c.VocabSize*d.hidden:
		return fmt.Errorf("embedding of %d values, want %d×%d", len(w.Embedding), c.VocabSize, d.hidden)
	case len(w.FinalNorm) != d.hidden:
		return fmt.Errorf("final norm of %d values, want %d", len(w.FinalNorm), d.hidden)
	}
	if err := wantShape(&w.LMHead, "lm_head", c.VocabSize, d.hidden); err != nil {
		return err
	}
	for i := range w.Layers {
		if err := w.Layers[i].check(c, d); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
	}
	return nil
}

func (l *Layer) check(c model.Config, d dimensions) error {
	vectors := []struct {
		name      string
		got, want int
	}{
		{"attention norm", len(l.AttentionNorm), d.hidden},
		{"bias of qkv", len(l.QKVBias), d.qkv},
		{"sinks", len(l.Sinks), c.Heads},
		{"bias of the output projection", len(l.OutputBias), d.hidden},
		{"mlp norm", len(l.MLPNorm), d.hidden},
		{"router", len(l.Router), c.Experts * d.hidden},
		{"bias of the router", len(l.RouterBias), c.Experts},
		{"list of gate and up", len(l.GateUp), c.Experts},
		{"bias of gate and up", len(l.GateUpBias), c.Experts * 2 * d.inter},
		{"list of down", len(l.Down), c.Experts},
		{"bias of down", len(l.DownBias), c.Experts * d.hidden},
	}
	for _, v := range vectors {
		if v.got != v.want {
			return fmt.Errorf("%s of %d values, want %d", v.name, v.got, v.want)
		}
	}
	if err := wantShape(&l.QKV, "qkv", d.qkv, d.hidden); err != nil {
		return err
	}
	if err := wantShape(&l.Output, "output projection", d.hidden, kernel.Blocks(d.query)*kernel.BlockLen); err != nil {
		return err
	}
	for e := range c.Experts {
		if err := wantShape(&l.GateUp[e], "gate and up", 2*d.inter, d.hidden); err != nil {
			return fmt.Errorf("expert %d: %w", e, err)
		}
		if err := wantShape(&l.Down[e], "down", d.hidden, d.inter); err != nil {
			return fmt.Errorf("expert %d: %w", e, err)
		}
	}
	return nil
}

// matrix is either kind of packed matrix.
type matrix interface {
	Rows() int
	Cols() int
}

func wantShape(m matrix, name string, rows, cols int) error {
	if m.Rows() != rows || m.Cols() != cols {
		return fmt.Errorf("%s of %d×%d, want %d×%d", name, m.Rows(), m.Cols(), rows, cols)
	}
	return nil
}
