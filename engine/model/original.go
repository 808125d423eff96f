package model

import (
	"encoding/json"
	"fmt"
	"math"
)

// PublishedVocabulary is the vocabulary size of OpenAI's models, padding included. The config.json of their original
// layout names no end tokens; a model of this size has theirs.
const PublishedVocabulary = 201088

// originalFile is the config.json of OpenAI's own layout: the fields of ModelConfig in gpt_oss/torch/model.py.
type originalFile struct {
	VocabSize        *int     `json:"vocab_size"`
	HiddenSize       *int     `json:"hidden_size"`
	IntermediateSize *int     `json:"intermediate_size"`
	Layers           *int     `json:"num_hidden_layers"`
	Heads            *int     `json:"num_attention_heads"`
	KVHeads          *int     `json:"num_key_value_heads"`
	HeadDim          *int     `json:"head_dim"`
	Experts          *int     `json:"num_experts"`
	ActiveExperts    *int     `json:"experts_per_token"`
	SlidingWindow    *int     `json:"sliding_window"`
	InitialContext   *int     `json:"initial_context_length"`
	RopeTheta        *float64 `json:"rope_theta"`
	RopeFactor       *float64 `json:"rope_scaling_factor"`
	RopeAlpha        *float64 `json:"rope_ntk_alpha"`
	RopeBeta         *float64 `json:"rope_ntk_beta"`
	SwiGLULimit      *float64 `json:"swiglu_limit"`
}

// IsOriginal reports whether a config.json is of OpenAI's own layout rather than of Hugging Face's.
func IsOriginal(data []byte) bool {
	var f struct {
		ModelType *json.RawMessage `json:"model_type"`
		Experts   *json.RawMessage `json:"num_experts"`
		Context   *json.RawMessage `json:"initial_context_length"`
	}
	return len(data) <= maxConfigBytes && json.Unmarshal(data, &f) == nil &&
		f.ModelType == nil && f.Experts != nil && f.Context != nil
}

// ParseOriginal reads the config.json of OpenAI's own layout. What that file cannot say is as in the published models:
// every even layer has a window, the ramp of YaRN is not rounded, the norms' epsilon is 1e-5. The end tokens are the
// published ones for the published vocabulary and unknown otherwise.
func ParseOriginal(data []byte) (Config, error) {
	if len(data) > maxConfigBytes {
		return Config{}, fmt.Errorf("%d bytes long, want at most %d", len(data), maxConfigBytes)
	}
	var f originalFile
	if err := json.Unmarshal(data, &f); err != nil {
		return Config{}, describeJSON(err)
	}
	c := Config{
		RopeTheta: valueOr(f.RopeTheta, 150000), YaRNFactor: valueOr(f.RopeFactor, 32),
		YaRNBetaFast: valueOr(f.RopeBeta, 32), YaRNBetaSlow: valueOr(f.RopeAlpha, 1),
		RMSNormEps: 1e-5, SwiGLULimit: valueOr(f.SwiGLULimit, 7),
	}
	err := require([]required{
		{"vocab_size", f.VocabSize, &c.VocabSize},
		{"hidden_size", f.HiddenSize, &c.HiddenSize},
		{"intermediate_size", f.IntermediateSize, &c.IntermediateSize},
		{"num_hidden_layers", f.Layers, &c.Layers},
		{"num_attention_heads", f.Heads, &c.Heads},
		{"num_key_value_heads", f.KVHeads, &c.KVHeads},
		{"head_dim", f.HeadDim, &c.HeadDim},
		{"num_experts", f.Experts, &c.Experts},
		{"experts_per_token", f.ActiveExperts, &c.ActiveExperts},
		{"sliding_window", f.SlidingWindow, &c.SlidingWindow},
		{"initial_context_length", f.InitialContext, &c.OriginalContext},
	})
	if err != nil {
		return Config{}, err
	}
	// Both are checked by Validate; the bound here keeps the product an integer.
	c.MaxContext = int(math.Round(min(max(float64(c.OriginalContext)*c.YaRNFactor, 0), math.MaxInt32)))
	if c.VocabSize == PublishedVocabulary {
		c.EOSTokenIDs = []int32{200002, 199999, 200012}
	}
	return c, c.Validate()
}

// ParseEndTokens reads the ids under eos_token_id of a generation_config.json; there may be none.
func ParseEndTokens(data []byte) ([]int32, error) {
	if len(data) > maxConfigBytes {
		return nil, fmt.Errorf("%d bytes long, want at most %d", len(data), maxConfigBytes)
	}
	var f struct {
		EOSTokenID json.RawMessage `json:"eos_token_id"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, describeJSON(err)
	}
	return eosTokens(f.EOSTokenID)
}
