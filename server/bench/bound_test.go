package bench

import (
	"math"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/model"
)

func large(t *testing.T) (model.Config, shapes) {
	t.Helper()
	c, ok := model.Preset("gpt-oss-20b")
	if !ok {
		t.Fatal("no configuration of gpt-oss-20b")
	}
	s, err := shapesOf(c)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// near fails unless two numbers agree to so many parts of one.
func near(t *testing.T, what string, got, want, part float64) {
	t.Helper()
	if math.Abs(got-want) > part*want {
		t.Errorf("%s is %g, want %g", what, got, want)
	}
}

// TestWeightsOfAToken holds the sizes of gpt-oss-20b to those of a GGUF file with the same precisions, which does not round
// the scales of a tile up to whole cache lines.
func TestWeightsOfAToken(t *testing.T) {
	c, s := large(t)
	layers, active := float64(c.Layers), float64(c.ActiveExperts)
	near(t, "experts, bytes", layers*active*s.expert, 1269.0e6, 2e-3)
	near(t, "attention, bytes", layers*(s.qkv+s.output), 676.8e6, 2e-3)
	near(t, "lm_head, bytes", s.head, 615.3e6, 2e-3)
	near(t, "router, bytes", layers*s.router, 8.9e6, 1e-2)
	for context, want := range map[int]float64{128: 6.3e6, 4096: 103.8e6, 32768: 808e6} {
		got := 0.0
		for layer := range c.Layers {
			got += pass{sequences: 1, tokens: 1, position: context - 1}.cacheBytes(c, layer)
		}
		near(t, "cache, bytes", got, want, 1e-2)
	}
}

func TestCost(t *testing.T) {
	c, s := large(t)
	token := func(sequences int) cost {
		return pass{sequences: sequences, tokens: 1, position: 127, logits: sequences}.cost(c, s)
	}
	near(t, "a token's bytes", token(1).bytes, 2581e6, 2e-3)
	near(t, "a token's operations", token(1).operations, 7.21e9, 2e-3)
	for sequences, want := range map[int]float64{2: 3.70e9, 4: 5.55e9, 8: 8.05e9, 16: 10.4e9} {
		near(t, "a step's bytes", token(sequences).bytes, want, 1e-2)
		near(t, "a step's operations", token(sequences).operations, float64(sequences)*7.21e9, 2e-3)
	}
	for sequences, want := range map[int]float64{1: 4, 2: 7.5, 4: 13.2, 8: 21.0, 16: 28.2} {
		near(t, "distinct experts", distinctExperts(c, sequences), want, 5e-3)
	}
	// Of a prompt every layer but the last is computed for all tokens: 23 of 24 of 6.06e9 operations each, and the last
	// layer's keys, values and queries.
	prompt := pass{sequences: 1, tokens: 512, logits: 1}.cost(c, s)
	last := 2 * 2880.0 * (4096 + 1024)
	near(t, "a prompt's operations", prompt.operations, 511*(23*6.06e9/24+last)+7.21e9, 2e-3)
	if none := (pass{sequences: 1, tokens: 512}).cost(c, s); none.operations >= prompt.operations || none.bytes >= prompt.bytes {
		t.Errorf("a prompt without logits costs %v, as much as with, %v", none, prompt)
	}
}

func TestPasses(t *testing.T) {
	got := prefillPasses(1100, 512)
	want := []pass{{1, 512, 0, 0}, {1, 512, 512, 0}, {1, 76, 1024, 1}}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("a prompt of 1100 tokens takes %v, want %v", got, want)
	}
	if got := decodePasses(4, 100, 2); len(got) != 2 || got[1] != (pass{4, 1, 101, 4}) {
		t.Errorf("decoding takes %v", got)
	}
}

// TestBound gives the machine the speeds of another one, whose bounds are known.
func TestBound(t *testing.T) {
	c, _ := large(t)
	r, nearby := Roofline{Int8: Series{Max: 340}}, []float64{30, 33.5, 50}
	tests := map[string]struct {
		passes []pass
		want   float64
		limit  string
	}{
		"one sequence decodes":     {decodePasses(1, 127, 1), 13.0, "bandwidth"},
		"sixteen sequences decode": {decodePasses(16, 127, 1), 47, "int8"},
		"eight sequences decode":   {decodePasses(8, 127, 1), 33.3, "bandwidth"},
		"a prompt":                 {prefillPasses(512, 512), 58, "int8"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := r.bound(c, tc.passes, nearby)
			if b == nil || b.Limit != tc.limit {
				t.Fatalf("the bound is %+v, want one by %s", b, tc.limit)
			}
			near(t, "the bound", b.Value, tc.want, 1e-2)
		})
	}
	if b := (&Roofline{}).bound(c, decodePasses(1, 0, 1), nil); b != nil {
		t.Errorf("an unknown machine has the bound %v", b)
	}
}
