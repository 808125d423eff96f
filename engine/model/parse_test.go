package model

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseConfig(t *testing.T) {
	published, _ := Preset("gpt-oss-20b")
	with := func(change func(*Config)) Config {
		c := published
		change(&c)
		return c
	}
	tests := map[string]struct {
		changes map[string]any
		want    Config
	}{
		"the published file": {nil, published},
		"the newer form of the rotary parameters": {map[string]any{
			"rope_scaling": nil, "rope_theta": nil,
			"rope_parameters": map[string]any{
				"rope_type": "yarn", "rope_theta": 10000, "factor": 8, "beta_fast": 16, "beta_slow": 2, "truncate": false,
				"original_max_position_embeddings": 4096, "attention_factor": nil,
			},
		}, with(func(c *Config) { c.RopeTheta, c.YaRNFactor, c.YaRNBetaFast, c.YaRNBetaSlow = 10000, 8, 16, 2 })},
		"the original context outside the rotary parameters": {map[string]any{
			"rope_scaling":           map[string]any{"type": "yarn", "factor": 32, "truncate": false},
			"initial_context_length": 2048,
		}, with(func(c *Config) { c.OriginalContext = 2048 })},
		"a ramp that is rounded when not said otherwise": {map[string]any{
			"rope_scaling": map[string]any{"rope_type": "yarn", "factor": 32, "original_max_position_embeddings": 4096},
		}, with(func(c *Config) { c.YaRNTruncate = true })},
		"the older name of the active experts": {
			map[string]any{"num_experts_per_tok": nil, "experts_per_token": 2}, with(func(c *Config) { c.ActiveExperts = 2 }),
		},
		"one end token": {map[string]any{"eos_token_id": 200002}, with(func(c *Config) { c.EOSTokenIDs = []int32{200002} })},
		"no end token":  {map[string]any{"eos_token_id": nil}, with(func(c *Config) { c.EOSTokenIDs = nil })},
		"defaults": {
			map[string]any{"rope_theta": nil, "rms_norm_eps": nil, "swiglu_limit": nil, "quantization_config": nil}, published,
		},
		"listed layers": {
			map[string]any{"num_hidden_layers": 2, "layer_types": []string{"full_attention", "sliding_attention"}},
			with(func(c *Config) { c.Layers, c.WindowLayers = 2, []bool{false, true} }),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseConfig(configJSON(t, tc.changes))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseConfigRefuses(t *testing.T) {
	yarn := func(name string, value any) map[string]any {
		r := map[string]any{"rope_type": "yarn", "factor": 32, "original_max_position_embeddings": 4096, name: value}
		return map[string]any{"rope_scaling": r}
	}
	tests := map[string]struct {
		changes map[string]any
		want    string
	}{
		"another model":          {map[string]any{"model_type": "llama"}, `field "model_type" is "llama", want "gpt_oss"`},
		"no model type":          {map[string]any{"model_type": nil}, `field "model_type" is missing`},
		"a missing size":         {map[string]any{"head_dim": nil}, `field "head_dim" is missing, want a number`},
		"a size of text":         {map[string]any{"head_dim": "64"}, `field "head_dim" is a JSON string, want int`},
		"a broken size":          {map[string]any{"head_dim": 64.5}, `field "head_dim" is a JSON number 64.5, want int`},
		"no layers":              {map[string]any{"num_hidden_layers": 0}, `field "num_hidden_layers" is 0, want 1 to 1024`},
		"endless layers":         {map[string]any{"num_hidden_layers": 1 << 40}, `field "num_hidden_layers" is 1099511627776`},
		"a negative vocabulary":  {map[string]any{"vocab_size": -1}, `field "vocab_size" is -1`},
		"broken blocks":          {map[string]any{"hidden_size": 2881}, `field "hidden_size" is 2881, want a multiple of 32`},
		"broken expert blocks":   {map[string]any{"intermediate_size": 33}, `field "intermediate_size" is 33, want a multiple of 32`},
		"an odd head":            {map[string]any{"head_dim": 63}, `field "head_dim" is 63, want an even number`},
		"heads that do not fit":  {map[string]any{"num_key_value_heads": 7}, `want a multiple of num_key_value_heads, which is 7`},
		"too many active":        {map[string]any{"num_experts_per_tok": 33}, `want at most num_local_experts, which is 32`},
		"an original too long":   {yarn("original_max_position_embeddings", 1<<20), `want at most max_position_embeddings`},
		"layers not all listed":  {map[string]any{"layer_types": []string{"full_attention"}}, `field "layer_types" has 1 entries`},
		"an unknown layer":       {map[string]any{"layer_types": []string{"linear"}}, `field "layer_types" holds "linear"`},
		"no rotary parameters":   {map[string]any{"rope_scaling": nil}, `field "rope_scaling" is missing`},
		"other rotary scaling":   {yarn("rope_type", "llama3"), `field "rope_scaling.rope_type" is "llama3", want "yarn"`},
		"no factor":              {yarn("factor", nil), `field "rope_scaling.factor" is missing`},
		"a factor below one":     {yarn("factor", 0.5), `field "factor" is 0.5, want 1 to`},
		"betas swapped":          {yarn("beta_slow", 64), `field "beta_fast" is 32, want at least beta_slow`},
		"a stated concentration": {yarn("attention_factor", 1.0), `want none`},
		"no bias":                {map[string]any{"attention_bias": false}, `field "attention_bias" is false, want true`},
		"tied embeddings":        {map[string]any{"tie_word_embeddings": true}, `field "tie_word_embeddings" is true, want false`},
		"another activation":     {map[string]any{"hidden_act": "gelu"}, `field "hidden_act" is "gelu", want "silu"`},
		"another gate":           {map[string]any{"swiglu_alpha": 1.5}, `field "swiglu_alpha" is 1.5, want 1.702`},
		"another quantization":   {map[string]any{"quantization_config": map[string]any{"quant_method": "gptq"}}, `is "gptq", want "mxfp4"`},
		"an end token of text":   {map[string]any{"eos_token_id": "end"}, `field "eos_token_id" is "\"end\""`},
		"a list of text":         {map[string]any{"eos_token_id": []string{"x"}}, `want an integer or a list of integers`},
		"an end token outside":   {map[string]any{"eos_token_id": 201088}, `field "eos_token_id" holds 201088`},
		"a negative end token":   {map[string]any{"eos_token_id": []int{-1}}, `field "eos_token_id" holds -1`},
		"too many end tokens":    {map[string]any{"eos_token_id": make([]int, 65)}, `has 65 entries, want at most 64`},
		"an epsilon too large":   {map[string]any{"rms_norm_eps": 2.0}, `field "rms_norm_eps" is 2, want 0 to 1`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseConfig(configJSON(t, tc.changes))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestParseConfigRefusesWhatIsNoConfig(t *testing.T) {
	tests := map[string]struct {
		data []byte
		want string
	}{
		"an empty file": {nil, "not a JSON object"},
		"half a file":   {[]byte(`{"model_type":`), "not a JSON object"},
		"a list":        {[]byte(`[]`), "not a JSON object"},
		"a long file":   {bytes.Repeat([]byte(" "), maxConfigBytes+1), "want at most"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseConfig(tc.data); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

// FuzzParseConfig checks that whatever is accepted can be computed with.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"model_type":"gpt_oss","vocab_size":128,"hidden_size":64,"intermediate_size":32,"num_hidden_layers":2,` +
		`"num_attention_heads":4,"num_key_value_heads":2,"head_dim":16,"num_local_experts":4,"experts_per_token":2,` +
		`"sliding_window":8,"max_position_embeddings":1024,"eos_token_id":[1,2],"layer_types":["full_attention","sliding_attention"],` +
		`"rope_parameters":{"rope_type":"yarn","rope_theta":150000,"factor":32,"original_max_position_embeddings":32}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			return
		}
		if m := c.Memory(Serving{Sequences: 4}); m.Weights <= 0 || m.KVCache <= 0 || m.Working <= 0 || m.Total < m.Weights {
			t.Errorf("memory %+v of %+v", m, c)
		}
		if got, want := c.ActiveParameters(), c.TotalParameters(); got <= 0 || got >= want {
			t.Errorf("%d active of %d parameters", got, want)
		}
		if got, want := len(c.Tensors()), 3+19*c.Layers; got != want {
			t.Errorf("%d tensors, want %d", got, want)
		}
	})
}
