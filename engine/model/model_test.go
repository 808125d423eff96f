package model

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func preset(t *testing.T, name string) Config {
	t.Helper()
	c, ok := Preset(name)
	if !ok {
		t.Fatalf("no preset %q", name)
	}
	return c
}

func TestPresetsAreValid(t *testing.T) {
	for _, name := range []string{"gpt-oss-20b", "gpt-oss-120b", "gpt-oss-demo"} {
		if err := preset(t, name).Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := Preset("gpt-oss-7b"); ok {
		t.Error("there is a preset for a model that does not exist")
	}
}

func TestParameters(t *testing.T) {
	tests := map[string]struct{ wantTotal, wantActive int64 }{
		"gpt-oss-20b":  {20_914_757_184, 3_608_307_264},
		"gpt-oss-120b": {116_829_156_672, 5_132_849_472},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := preset(t, name)
			if got := c.TotalParameters(); got != tc.wantTotal {
				t.Errorf("total %d, want %d", got, tc.wantTotal)
			}
			if got := c.ActiveParameters(); got != tc.wantActive {
				t.Errorf("active %d, want %d", got, tc.wantActive)
			}
		})
	}
}

// TestTensorsMatchTheArithmetic counts parameters and bytes a second way, from the shapes.
func TestTensorsMatchTheArithmetic(t *testing.T) {
	for _, name := range []string{"gpt-oss-20b", "gpt-oss-120b", "gpt-oss-demo"} {
		t.Run(name, func(t *testing.T) {
			c := preset(t, name)
			var parameters, size int64
			seen := map[string]bool{}
			for _, tensor := range c.Tensors() {
				n := int64(1)
				for _, d := range tensor.Shape {
					n *= int64(d)
				}
				switch {
				case seen[tensor.Name]:
					t.Errorf("tensor %q is listed twice", tensor.Name)
				case tensor.DType == BF16:
					parameters, size = parameters+n, size+2*n
				case strings.HasSuffix(tensor.Name, "_blocks"):
					parameters, size = parameters+2*n, size+n
				default:
					size += n
				}
				seen[tensor.Name] = true
			}
			if want := c.TotalParameters(); parameters != want {
				t.Errorf("tensors hold %d parameters, want %d", parameters, want)
			}
			if want := c.CheckpointBytes(); size != want {
				t.Errorf("tensors take %d bytes, want %d", size, want)
			}
		})
	}
}

func TestMemory(t *testing.T) {
	c := preset(t, "gpt-oss-20b")
	if got := float64(c.Memory(Serving{}).Weights) / (1 << 30); math.Abs(got-11.78) > 0.005 {
		t.Errorf("weights of 20b take %.3f GiB, want 11.78", got)
	}
	// Of 24 layers 12 have a window of 128 tokens, which with one page more for where it begins makes five pages.
	for name, tc := range map[string]struct {
		serving          Serving
		wantFull, window int64
	}{
		"a short context needs no more windows than pages": {Serving{ContextLength: 100, Sequences: 1}, 4, 4},
		"one sequence, its step and idle prefixes":         {Serving{ContextLength: 10_000, Sequences: 1}, 313, 5 + 17 + 4*5},
		"sequences multiply":                               {Serving{ContextLength: 10_000, Sequences: 3}, 939, 3*5 + 17 + 14*5},
		"larger steps":                                     {Serving{ContextLength: 10_000, Sequences: 1, StepTokens: 2048}, 313, 5 + 65 + 4*5},
		"no context means all of it":                       {Serving{Sequences: 1}, 4096, 5 + 17 + 64*5},
		"a context beyond the model's is cut to it":        {Serving{ContextLength: 1 << 40, Sequences: 1}, 4096, 5 + 17 + 64*5},
		"shared, each may be as long":                      {Serving{ContextLength: 8192, Sequences: 8, Shared: true}, 2048, 8*5 + 17 + 32*5},
		"shared, one may be longer":                        {Serving{ContextLength: 32_768, Sequences: 8, Shared: true}, 2048, 8*5 + 17 + 32*5},
		"shared, one may be longer than all others":        {Serving{Sequences: 8, Shared: true}, 4096, 8*5 + 17 + 64*5},
		"no sequences take no cache":                       {Serving{ContextLength: 4096, Shared: true}, 0, 0},
		"a negative number of sequences takes no cache":    {Serving{ContextLength: 4096, Sequences: -5}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			const page = 12 * 2 * 8 * 64 * PageTokens * KVElementBytes // keys and values of twelve layers
			m, want := c.Memory(tc.serving), Cache{tc.wantFull, tc.window, (tc.wantFull + tc.window) * page}
			if diff := cmp.Diff(want, c.Cache(tc.serving)); diff != "" || m.KVCache != want.Bytes {
				t.Errorf("cache of %d bytes, want %d; pages (-want +got):\n%s", m.KVCache, want.Bytes, diff)
			}
			if m.Total != m.Weights+m.KVCache+m.Working {
				t.Errorf("total %d is not the sum of %+v", m.Total, m)
			}
		})
	}
	if got := c.Memory(Serving{Sequences: math.MaxInt}).Total; got != math.MaxInt64 {
		t.Errorf("total of endless sequences is %d, want the largest int64", got)
	}
}

// TestCacheWithin gives no more bytes than there are, and nearly all of them.
func TestCacheWithin(t *testing.T) {
	for _, name := range []string{"gpt-oss-20b", "gpt-oss-120b", "gpt-oss-demo"} {
		c := preset(t, name)
		s := Serving{ContextLength: 4096, Sequences: 8, Shared: true}
		for _, bytes := range []int64{1, 1 << 20, 1 << 26, 1 << 30, 1<<33 + 12345, 1 << 40} {
			k := c.CacheWithin(s, bytes)
			full, window := c.PageBytes()
			if k.Bytes > bytes || k.Bytes != k.FullPages*full+k.WindowPages*window {
				t.Errorf("%s: %+v in %d bytes", name, k, bytes)
			}
			if k.FullPages > 1000 && float64(k.Bytes) < 0.99*float64(bytes) {
				t.Errorf("%s: %+v leaves much of %d bytes", name, k, bytes)
			}
		}
		plan := c.Cache(s)
		if k := c.CacheWithin(s, plan.Bytes+plan.Bytes/100); k.FullPages < plan.FullPages || k.WindowPages < plan.WindowPages {
			t.Errorf("%s: what %+v takes and a hundredth more holds %+v", name, plan, k)
		}
	}
	if k := preset(t, "gpt-oss-20b").CacheWithin(Serving{Sequences: 8}, 1<<20); k != (Cache{}) {
		t.Errorf("a megabyte has room for %+v", k)
	}
}

// TestLargestConfigDoesNotOverflow puts every size at its bound.
func TestLargestConfigDoesNotOverflow(t *testing.T) {
	c := preset(t, "gpt-oss-20b")
	c.VocabSize, c.HiddenSize, c.IntermediateSize = 1<<21, 1<<16, 1<<16
	c.Layers, c.Heads, c.KVHeads, c.HeadDim = 1<<10, 1<<10, 1<<10, 1<<10
	c.Experts, c.ActiveExperts = 1<<12, 1<<12
	c.SlidingWindow, c.OriginalContext, c.MaxContext = 1<<24, 1<<24, 1<<24
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	experts := math.Exp2(10 + 12 + 16 + 16)
	if got := float64(c.TotalParameters()); got < 3*experts || got > 3.1*experts {
		t.Errorf("%g parameters, want a little over %g", got, 3*experts)
	}
	if m := c.Memory(Serving{Sequences: 1}); m.Weights <= 0 || m.KVCache <= 0 || m.Working <= 0 || m.Total < m.KVCache {
		t.Errorf("memory overflowed: %+v", m)
	}
}

func TestWindow(t *testing.T) {
	c := preset(t, "gpt-oss-20b")
	c.Layers = 4
	if diff := cmp.Diff([]int{0, 128, 0, 128, 0, 0}, windowsFrom(c, -1, 5)); diff != "" {
		t.Errorf("alternating windows (-want +got):\n%s", diff)
	}
	c.WindowLayers = []bool{false, true, true, false}
	if diff := cmp.Diff([]int{0, 0, 128, 128, 0, 0}, windowsFrom(c, -1, 5)); diff != "" {
		t.Errorf("listed windows (-want +got):\n%s", diff)
	}
}

func windowsFrom(c Config, first, end int) []int {
	var w []int
	for layer := first; layer < end; layer++ {
		w = append(w, c.Window(layer))
	}
	return w
}

// configJSON returns the published config.json of gpt-oss-20b with some fields changed; nil removes one.
func configJSON(t *testing.T, changes map[string]any) []byte {
	t.Helper()
	fields := map[string]any{
		"model_type": "gpt_oss", "vocab_size": 201088, "hidden_size": 2880, "intermediate_size": 2880,
		"num_hidden_layers": 24, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64,
		"num_local_experts": 32, "num_experts_per_tok": 4, "sliding_window": 128, "max_position_embeddings": 131072,
		"rope_theta": 150000, "rms_norm_eps": 1e-5, "swiglu_limit": 7.0, "hidden_act": "silu", "attention_bias": true,
		"tie_word_embeddings": false, "eos_token_id": []int{200002, 199999, 200012},
		"rope_scaling": map[string]any{
			"rope_type": "yarn", "factor": 32, "beta_fast": 32, "beta_slow": 1, "truncate": false,
			"original_max_position_embeddings": 4096,
		},
		"quantization_config": map[string]any{"quant_method": "mxfp4", "modules_to_not_convert": []string{"lm_head"}},
	}
	for name, value := range changes {
		fields[name] = value
		if value == nil {
			delete(fields, name)
		}
	}
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
