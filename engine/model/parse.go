package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// maxConfigBytes bounds config.json; the published ones are under 2 KiB.
const maxConfigBytes = 1 << 20

// maxEOSTokens bounds the list of end tokens; gpt-oss has three.
const maxEOSTokens = 64

// configFile is a Hugging Face config.json. Pointers tell absent from zero.
type configFile struct {
	ModelType        *string         `json:"model_type"`
	VocabSize        *int            `json:"vocab_size"`
	HiddenSize       *int            `json:"hidden_size"`
	IntermediateSize *int            `json:"intermediate_size"`
	Layers           *int            `json:"num_hidden_layers"`
	Heads            *int            `json:"num_attention_heads"`
	KVHeads          *int            `json:"num_key_value_heads"`
	HeadDim          *int            `json:"head_dim"`
	Experts          *int            `json:"num_local_experts"`
	ActiveExperts    *int            `json:"num_experts_per_tok"`
	ActiveExpertsOld *int            `json:"experts_per_token"`
	SlidingWindow    *int            `json:"sliding_window"`
	InitialContext   *int            `json:"initial_context_length"`
	MaxContext       *int            `json:"max_position_embeddings"`
	RopeTheta        *float64        `json:"rope_theta"`
	RopeScaling      *ropeFile       `json:"rope_scaling"`
	RopeParameters   *ropeFile       `json:"rope_parameters"`
	RMSNormEps       *float64        `json:"rms_norm_eps"`
	SwiGLULimit      *float64        `json:"swiglu_limit"`
	SwiGLUAlpha      *float64        `json:"swiglu_alpha"`
	LayerTypes       []string        `json:"layer_types"`
	EOSTokenID       json.RawMessage `json:"eos_token_id"`
	AttentionBias    *bool           `json:"attention_bias"`
	TieEmbeddings    *bool           `json:"tie_word_embeddings"`
	HiddenAct        *string         `json:"hidden_act"`
	Quantization     *quantization   `json:"quantization_config"`
}

// ropeFile is rope_scaling, or rope_parameters, which carries rope_theta as well.
type ropeFile struct {
	Type            *string  `json:"rope_type"`
	TypeOld         *string  `json:"type"`
	Theta           *float64 `json:"rope_theta"`
	Factor          *float64 `json:"factor"`
	BetaFast        *float64 `json:"beta_fast"`
	BetaSlow        *float64 `json:"beta_slow"`
	Truncate        *bool    `json:"truncate"`
	OriginalContext *int     `json:"original_max_position_embeddings"`
	AttentionFactor *float64 `json:"attention_factor"`
	MScale          *float64 `json:"mscale"`
	MScaleAllDim    *float64 `json:"mscale_all_dim"`
}

type quantization struct {
	Method *string `json:"quant_method"`
}

// ParseConfig reads a Hugging Face config.json of model_type gpt_oss. An error names the field and what was expected.
func ParseConfig(data []byte) (Config, error) {
	if len(data) > maxConfigBytes {
		return Config{}, fmt.Errorf("%d bytes long, want at most %d", len(data), maxConfigBytes)
	}
	var f configFile
	if err := json.Unmarshal(data, &f); err != nil {
		return Config{}, describeJSON(err)
	}
	if err := f.refuseForeign(); err != nil {
		return Config{}, err
	}
	c, err := f.sizes()
	if err != nil {
		return Config{}, err
	}
	if err := f.rope(&c); err != nil {
		return Config{}, err
	}
	if c.WindowLayers, err = windowLayers(f.LayerTypes); err != nil {
		return Config{}, err
	}
	if c.EOSTokenIDs, err = eosTokens(f.EOSTokenID); err != nil {
		return Config{}, err
	}
	return c, c.Validate()
}

func describeJSON(err error) error {
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) && mismatch.Field != "" {
		return fmt.Errorf("field %q is a JSON %s, want %s", mismatch.Field, mismatch.Value, mismatch.Type)
	}
	return fmt.Errorf("not a JSON object: %w", err)
}

// refuseForeign rejects what this project does not compute rather than computing something else.
func (f *configFile) refuseForeign() error {
	switch {
	case f.ModelType == nil || *f.ModelType != "gpt_oss":
		return fmt.Errorf("field %q is %s, want \"gpt_oss\"", "model_type", quoted(f.ModelType))
	case f.AttentionBias != nil && !*f.AttentionBias:
		return fmt.Errorf("field %q is false, want true", "attention_bias")
	case f.TieEmbeddings != nil && *f.TieEmbeddings:
		return fmt.Errorf("field %q is true, want false", "tie_word_embeddings")
	case f.HiddenAct != nil && *f.HiddenAct != "silu":
		return fmt.Errorf("field %q is %s, want \"silu\"", "hidden_act", quoted(f.HiddenAct))
	case f.SwiGLUAlpha != nil && *f.SwiGLUAlpha != SwiGLUAlpha:
		return fmt.Errorf("field %q is %g, want %g", "swiglu_alpha", *f.SwiGLUAlpha, SwiGLUAlpha)
	case f.Quantization != nil && (f.Quantization.Method == nil || *f.Quantization.Method != "mxfp4"):
		return fmt.Errorf("field %q is %s, want \"mxfp4\"", "quantization_config.quant_method", quoted(f.Quantization.Method))
	}
	return nil
}

func (f *configFile) sizes() (Config, error) {
	if f.ActiveExperts == nil {
		f.ActiveExperts = f.ActiveExpertsOld
	}
	c := Config{
		RopeTheta:   valueOr(f.RopeTheta, 150000),
		RMSNormEps:  valueOr(f.RMSNormEps, 1e-5),
		SwiGLULimit: valueOr(f.SwiGLULimit, 7),
	}
	err := require([]required{
		{"vocab_size", f.VocabSize, &c.VocabSize},
		{"hidden_size", f.HiddenSize, &c.HiddenSize},
		{"intermediate_size", f.IntermediateSize, &c.IntermediateSize},
		{"num_hidden_layers", f.Layers, &c.Layers},
		{"num_attention_heads", f.Heads, &c.Heads},
		{"num_key_value_heads", f.KVHeads, &c.KVHeads},
		{"head_dim", f.HeadDim, &c.HeadDim},
		{"num_local_experts", f.Experts, &c.Experts},
		{"num_experts_per_tok", f.ActiveExperts, &c.ActiveExperts},
		{"sliding_window", f.SlidingWindow, &c.SlidingWindow},
		{"max_position_embeddings", f.MaxContext, &c.MaxContext},
	})
	return c, err
}

// required is a number that a file must have.
type required struct {
	field string
	value *int
	to    *int
}

func require(fields []required) error {
	for _, r := range fields {
		if r.value == nil {
			return fmt.Errorf("field %q is missing, want a number", r.field)
		}
		*r.to = *r.value
	}
	return nil
}

// rope reads either form of the rotary parameters; rope_parameters, the newer one, wins.
func (f *configFile) rope(c *Config) error {
	r, field := f.RopeParameters, "rope_parameters"
	if r == nil {
		r, field = f.RopeScaling, "rope_scaling"
	}
	if r == nil {
		return fmt.Errorf("field %q is missing, want the YaRN parameters", "rope_scaling")
	}
	if r.Type == nil {
		r.Type = r.TypeOld
	}
	if r.OriginalContext == nil {
		r.OriginalContext = f.InitialContext
	}
	switch {
	case r.Type == nil || *r.Type != "yarn":
		return fmt.Errorf("field %q is %s, want \"yarn\"", field+".rope_type", quoted(r.Type))
	case r.Factor == nil:
		return fmt.Errorf("field %q is missing, want a number", field+".factor")
	case r.OriginalContext == nil:
		return fmt.Errorf("field %q is missing, want a number", field+".original_max_position_embeddings")
	case r.AttentionFactor != nil || r.MScale != nil || r.MScaleAllDim != nil:
		return fmt.Errorf("field %q sets attention_factor, mscale or mscale_all_dim, want none: gpt-oss derives it from factor", field)
	}
	c.RopeTheta = valueOr(r.Theta, c.RopeTheta)
	c.YaRNFactor = *r.Factor
	c.YaRNBetaFast = valueOr(r.BetaFast, 32)
	c.YaRNBetaSlow = valueOr(r.BetaSlow, 1)
	c.YaRNTruncate = valueOr(r.Truncate, true) // as in transformers, where gpt-oss states false
	c.OriginalContext = *r.OriginalContext
	return nil
}

func windowLayers(types []string) ([]bool, error) {
	if types == nil {
		return nil, nil
	}
	windowed := make([]bool, len(types))
	for i, t := range types {
		switch t {
		case "sliding_attention":
			windowed[i] = true
		case "full_attention":
		default:
			return nil, fmt.Errorf("field %q holds %.40q, want \"sliding_attention\" or \"full_attention\"", "layer_types", t)
		}
	}
	return windowed, nil
}

// eosTokens reads one id or a list of ids.
func eosTokens(raw json.RawMessage) ([]int32, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	var ids []int64
	if raw[0] != '[' {
		ids = make([]int64, 1)
		if err := json.Unmarshal(raw, &ids[0]); err != nil {
			return nil, fmt.Errorf("field %q is %.40q, want an integer or a list of integers", "eos_token_id", raw)
		}
	} else if err := json.Unmarshal(raw, &ids); err != nil {
		return nil, fmt.Errorf("field %q is %.40q, want an integer or a list of integers", "eos_token_id", raw)
	}
	if len(ids) > maxEOSTokens {
		return nil, fmt.Errorf("field %q has %d entries, want at most %d", "eos_token_id", len(ids), maxEOSTokens)
	}
	tokens := make([]int32, len(ids))
	for i, id := range ids {
		if id < 0 || id > math.MaxInt32 {
			return nil, fmt.Errorf("field %q holds %d, want ids from 0 to vocab_size-1", "eos_token_id", id)
		}
		tokens[i] = int32(id)
	}
	return tokens, nil
}

func valueOr[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}

func quoted(s *string) string {
	if s == nil {
		return "missing"
	}
	return fmt.Sprintf("%.40q", *s)
}
