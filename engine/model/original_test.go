package model

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// published is original/config.json of openai/gpt-oss-20b.
const published = `{"num_hidden_layers": 24, "num_experts": 32, "experts_per_token": 4, "vocab_size": 201088,
"hidden_size": 2880, "intermediate_size": 2880, "swiglu_limit": 7.0, "head_dim": 64, "num_attention_heads": 64,
"num_key_value_heads": 8, "sliding_window": 128, "initial_context_length": 4096, "rope_theta": 150000,
"rope_scaling_factor": 32.0, "rope_ntk_alpha": 1, "rope_ntk_beta": 32}`

func TestParseOriginal(t *testing.T) {
	want := preset(t, "gpt-oss-20b")
	got, err := ParseOriginal([]byte(published))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-preset +file):\n%s", diff)
	}

	own, err := ParseOriginal([]byte(strings.NewReplacer("201088", "1000", `"rope_theta": 150000,`, "", "4096", "100").Replace(published)))
	if err != nil {
		t.Fatal(err)
	}
	want.VocabSize, want.EOSTokenIDs, want.OriginalContext, want.MaxContext = 1000, nil, 100, 3200
	if diff := cmp.Diff(want, own); diff != "" {
		t.Errorf("configuration of another model (-want +got):\n%s", diff)
	}
}

func TestParseOriginalRefuses(t *testing.T) {
	swap := func(old, changed string) string { return strings.Replace(published, old, changed, 1) }
	tests := map[string]struct{ data, want string }{
		"nothing":             {"", "not a JSON object"},
		"a list":              {"[]", "not a JSON object"},
		"a missing size":      {swap(`"num_experts": 32,`, ""), `field "num_experts" is missing, want a number`},
		"a text for a number": {swap(`"head_dim": 64`, `"head_dim": "64"`), `field "head_dim" is a JSON string, want int`},
		"no layers":           {swap(`"num_hidden_layers": 24`, `"num_hidden_layers": 0`), `field "num_hidden_layers" is 0, want 1 to 1024`},
		"a factor of zero":    {swap("32.0", "0"), `field "max_position_embeddings" is 0`},
		"a factor below one":  {swap("32.0", "0.5"), `field "factor" is 0.5, want 1 to 1e+06`},
		"an endless context":  {swap("32.0", "1e300"), `field "max_position_embeddings" is 2147483647, want 1 to 16777216`},
		"betas swapped":       {swap(`"rope_ntk_beta": 32`, `"rope_ntk_beta": 0.5`), `field "beta_fast" is 0.5, want at least beta_slow`},
		"a huge file":         {strings.Repeat(" ", maxConfigBytes+1), "bytes long, want at most 1048576"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseOriginal([]byte(tc.data)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestIsOriginal(t *testing.T) {
	tests := map[string]struct {
		data string
		want bool
	}{
		"OpenAI's":         {published, true},
		"Hugging Face's":   {strings.Replace(published, "{", `{"model_type":"gpt_oss",`, 1), false},
		"another's":        {`{"num_experts": 8}`, false},
		"nothing":          {"", false},
		"a list":           {"[]", false},
		"a very long file": {published + strings.Repeat(" ", maxConfigBytes), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := IsOriginal([]byte(tc.data)); got != tc.want {
				t.Errorf("%t, want %t", got, tc.want)
			}
		})
	}
}

func TestParseEndTokens(t *testing.T) {
	tests := map[string]struct {
		data string
		want []int32
		err  string
	}{
		"several":        {`{"eos_token_id":[200002,199999]}`, []int32{200002, 199999}, ""},
		"one":            {`{"eos_token_id":7}`, []int32{7}, ""},
		"none":           {`{}`, nil, ""},
		"a text":         {`{"eos_token_id":"x"}`, nil, `field "eos_token_id"`},
		"no object":      {`[]`, nil, "not a JSON object"},
		"a huge file":    {strings.Repeat(" ", maxConfigBytes+1), nil, "bytes long"},
		"a negative one": {`{"eos_token_id":[-1]}`, nil, "holds -1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseEndTokens([]byte(tc.data))
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzParseOriginal checks that what is accepted is a valid configuration.
func FuzzParseOriginal(f *testing.F) {
	f.Add([]byte(published))
	f.Add([]byte(`{"num_experts":1e99,"initial_context_length":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseOriginal(data)
		if err != nil {
			return
		}
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	})
}
