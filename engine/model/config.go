package model

import (
	"fmt"
	"math"
)

// mxfp4Block is the number of values that share one scale; rows of expert weights are whole blocks.
const mxfp4Block = 32

// SwiGLUAlpha sharpens the gate of the experts' activation; no published configuration has another.
const SwiGLUAlpha = 1.702

// Config holds the hyper-parameters of one gpt-oss model.
type Config struct {
	VocabSize        int // rows of the embedding and of lm_head, padding included
	HiddenSize       int // width of the residual stream
	IntermediateSize int // width inside one expert
	Layers           int
	Heads            int // query heads
	KVHeads          int // key and value heads; Heads is a multiple of it
	HeadDim          int
	Experts          int // experts per layer
	ActiveExperts    int // experts that one token visits

	SlidingWindow   int // keys that a window layer sees, the query's own included
	OriginalContext int // context before YaRN
	MaxContext      int // context with YaRN

	RopeTheta    float64
	YaRNFactor   float64
	YaRNBetaFast float64
	YaRNBetaSlow float64
	YaRNTruncate bool // round the ramp's ends to whole dimensions; gpt-oss does not

	RMSNormEps  float64
	SwiGLULimit float64

	EOSTokenIDs []int32

	// WindowLayers says per layer whether it attends within SlidingWindow only. Nil means every even layer.
	WindowLayers []bool
}

// Window returns how many keys a query of the layer sees, its own included, or 0 where it sees all.
func (c Config) Window(layer int) int {
	if layer < 0 || layer >= c.Layers {
		return 0
	}
	windowed := layer%2 == 0
	if layer < len(c.WindowLayers) {
		windowed = c.WindowLayers[layer]
	}
	if !windowed {
		return 0
	}
	return c.SlidingWindow
}

// Validate reports the first field that no gpt-oss model can have, by its name in config.json.
func (c Config) Validate() error {
	if err := c.validateSizes(); err != nil {
		return err
	}
	if err := c.validateNumbers(); err != nil {
		return err
	}
	return c.validateRelations()
}

// The upper bounds leave room for models 16 times wider and 28 times deeper than gpt-oss-120b and keep every product
// in this package below 2^62.
func (c Config) validateSizes() error {
	sizes := []struct {
		field    string
		value    int
		min, max int
	}{
		{"vocab_size", c.VocabSize, 1, 1 << 21},
		{"hidden_size", c.HiddenSize, mxfp4Block, 1 << 16},
		{"intermediate_size", c.IntermediateSize, mxfp4Block, 1 << 16},
		{"num_hidden_layers", c.Layers, 1, 1 << 10},
		{"num_attention_heads", c.Heads, 1, 1 << 10},
		{"num_key_value_heads", c.KVHeads, 1, 1 << 10},
		{"head_dim", c.HeadDim, 2, 1 << 10},
		{"num_local_experts", c.Experts, 1, 1 << 12},
		{"num_experts_per_tok", c.ActiveExperts, 1, 1 << 12},
		{"sliding_window", c.SlidingWindow, 1, 1 << 24},
		{"original_max_position_embeddings", c.OriginalContext, 1, 1 << 24},
		{"max_position_embeddings", c.MaxContext, 1, 1 << 24},
	}
	for _, s := range sizes {
		if s.value < s.min || s.value > s.max {
			return fmt.Errorf("field %q is %d, want %d to %d", s.field, s.value, s.min, s.max)
		}
	}
	return nil
}

func (c Config) validateNumbers() error {
	numbers := []struct {
		field    string
		value    float64
		min, max float64
	}{
		{"rope_theta", c.RopeTheta, 1.001, 1e12},
		{"factor", c.YaRNFactor, 1, 1e6},
		{"beta_fast", c.YaRNBetaFast, 1e-6, 1e6},
		{"beta_slow", c.YaRNBetaSlow, 1e-6, 1e6},
		{"rms_norm_eps", c.RMSNormEps, 0, 1},
		{"swiglu_limit", c.SwiGLULimit, 1e-6, 1e6},
	}
	for _, n := range numbers {
		if math.IsNaN(n.value) || n.value < n.min || n.value > n.max {
			return fmt.Errorf("field %q is %g, want %g to %g", n.field, n.value, n.min, n.max)
		}
	}
	return nil
}

func (c Config) validateRelations() error {
	switch {
	case c.HiddenSize%mxfp4Block != 0:
		return fmt.Errorf("field %q is %d, want a multiple of %d", "hidden_size", c.HiddenSize, mxfp4Block)
	case c.IntermediateSize%mxfp4Block != 0:
		return fmt.Errorf("field %q is %d, want a multiple of %d", "intermediate_size", c.IntermediateSize, mxfp4Block)
	case c.HeadDim%2 != 0:
		return fmt.Errorf("field %q is %d, want an even number", "head_dim", c.HeadDim)
	case c.Heads%c.KVHeads != 0:
		return fmt.Errorf("field %q is %d, want a multiple of num_key_value_heads, which is %d", "num_attention_heads", c.Heads, c.KVHeads)
	case c.ActiveExperts > c.Experts:
		return fmt.Errorf("field %q is %d, want at most num_local_experts, which is %d", "num_experts_per_tok", c.ActiveExperts, c.Experts)
	case c.OriginalContext > c.MaxContext:
		return fmt.Errorf("field %q is %d, want at most max_position_embeddings, which is %d", "original_max_position_embeddings", c.OriginalContext, c.MaxContext)
	case c.YaRNBetaFast < c.YaRNBetaSlow:
		return fmt.Errorf("field %q is %g, want at least beta_slow, which is %g", "beta_fast", c.YaRNBetaFast, c.YaRNBetaSlow)
	case c.WindowLayers != nil && len(c.WindowLayers) != c.Layers:
		return fmt.Errorf("field %q has %d entries, want num_hidden_layers, which is %d", "layer_types", len(c.WindowLayers), c.Layers)
	}
	for _, id := range c.EOSTokenIDs {
		if id < 0 || int(id) >= c.VocabSize {
			return fmt.Errorf("field %q holds %d, want ids from 0 to vocab_size-1, which is %d", "eos_token_id", id, c.VocabSize-1)
		}
	}
	return nil
}
