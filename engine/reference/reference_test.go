package reference

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gptoss/gptoss-operator/engine/model"
)

func TestTopExperts(t *testing.T) {
	nan := float32(math.NaN())
	tests := map[string]struct {
		logits []float32
		k      int
		want   []int
	}{
		"the largest first":                  {[]float32{1, 3, 2, 0}, 2, []int{1, 2}},
		"of equals the lowest index":         {[]float32{1, 2, 2, 2}, 2, []int{1, 2}},
		"all equal":                          {[]float32{5, 5, 5}, 2, []int{0, 1}},
		"all of them":                        {[]float32{1, 2}, 2, []int{1, 0}},
		"negative ones":                      {[]float32{-3, -1, -2}, 1, []int{1}},
		"nothing to choose by, still chosen": {[]float32{nan, nan, nan}, 2, []int{0, 1}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, topExperts(tc.logits, tc.k)); diff != "" {
				t.Errorf("experts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSwiGLU(t *testing.T) {
	gate := func(g float64) float32 { return float32(g / (1 + math.Exp(-1.702*g))) }
	tests := map[string]struct {
		gate, up float32
		want     float32
	}{
		"a closed gate":                 {0, 5, 0},
		"an open gate":                  {1, 2, gate(1) * 3},
		"a gate beyond the limit":       {100, 1, gate(7) * 2},
		"a gate far below stays so":     {-20, 1, gate(-20) * 2},
		"a value above the limit":       {1, 50, gate(1) * 8},
		"a value below the limit":       {1, -50, gate(1) * -6},
		"a value of minus one is lost":  {3, -1, 0},
		"a gate that is not bound (-8)": {-8, 0, gate(-8)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := swiglu([]float32{tc.gate, tc.up}, 7)
			if diff := cmp.Diff([]float32{tc.want}, got, cmpopts.EquateApprox(1e-5, 1e-12)); diff != "" {
				t.Errorf("activation (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRope checks the published figures of gpt-oss: the ramp runs from 8.0928 to 17.3980, unrounded.
func TestRope(t *testing.T) {
	c, _ := model.Preset("gpt-oss-20b")
	r := c.RoPE()
	if diff := math.Abs(float64(r.Concentration) - 1.3465735902799727); diff > 1e-7 {
		t.Errorf("concentration %v, want 1.3465735902799727", r.Concentration)
	}
	for i, got := range r.InverseFrequency {
		ramp := min(max((float64(i)-8.092779115512402)/(17.39802450158856-8.092779115512402), 0), 1)
		want := math.Pow(150000, -float64(2*i)/64) * (ramp/32 + 1 - ramp)
		if math.Abs(float64(got)-want) > 1e-6*want {
			t.Errorf("frequency %d is %g, want %g", i, got, want)
		}
	}
}

func TestRopeTurnsPairsHalfAHeadApart(t *testing.T) {
	r := model.RoPE{InverseFrequency: []float32{math.Pi / 2, 0}, Concentration: 2}
	row := []float32{1, 2, 3, 4, 5, 6, 7, 8} // two heads of four
	rotate(r, row, 1)
	want := []float32{-6, 4, 2, 8, -14, 12, 10, 16}
	if diff := cmp.Diff(want, row, cmpopts.EquateApprox(0, 1e-5)); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

func TestAttend(t *testing.T) {
	far := float32(math.Inf(-1))
	keys := [][]float32{{9, 9, 2, 0}, {9, 9, 0, 2}} // the second head's half counts
	values := [][]float32{{9, 9, 1, 0}, {9, 9, 0, 1}}
	e := math.Exp(2 / math.Sqrt2)
	tests := map[string]struct {
		sink float32
		want []float32
	}{
		"without a sink all attention is shared out":    {far, []float32{float32(e / (e + 1)), float32(1 / (e + 1))}},
		"a sink, unscaled, takes its part":              {1, []float32{float32(e / (e + 1 + math.E)), float32(1 / (e + 1 + math.E))}},
		"a large sink takes everything, and stays sane": {1000, []float32{0, 0}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			out := make([]float32, 2)
			attend(out, []float32{1, 0}, keys, values, 2, tc.sink)
			if diff := cmp.Diff(tc.want, out, cmpopts.EquateApprox(1e-5, 1e-12)); diff != "" {
				t.Errorf("mean (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParallelRowsCoversEveryRowOnce(t *testing.T) {
	for _, rows := range []int{0, 1, 2, 3, 7, 64, 1001} {
		for _, cost := range []int{1, parallelWork} {
			counts := make([]int, rows)
			parallelRows(rows, cost, func(first, last int) {
				for r := first; r < last; r++ {
					counts[r]++
				}
			})
			if want := slices.Repeat([]int{1}, rows); !slices.Equal(counts, want) {
				t.Errorf("%d rows of cost %d were visited %v times", rows, cost, counts)
			}
		}
	}
}

// TestChunksMakeNoDifference feeds one text whole, token by token and in pieces across the borders of chunks and windows.
func TestChunksMakeNoDifference(t *testing.T) {
	m := open(t, "testdata/window")
	tokens := make([]int32, 3*chunkTokens+5)
	for i := range tokens {
		tokens[i] = int32(i * 37 % m.checkpoint.Config.VocabSize)
	}
	want, err := m.NewSequence(len(tokens)).Forward(tokens)
	if err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"one by one": 1, "in sevens": 7, "over the border": chunkTokens + 1} {
		t.Run(name, func(t *testing.T) {
			s := m.NewSequence(len(tokens))
			for piece := range slices.Chunk(tokens, size) {
				got, err := s.Next(piece)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want[s.Len()-1], got); diff != "" {
					t.Fatalf("logits after %d tokens (-whole +pieces):\n%s", s.Len(), diff)
				}
			}
		})
	}
}

func TestWindowLayersForget(t *testing.T) {
	m := open(t, "testdata/window")
	s := m.NewSequence(200)
	if _, err := s.Next(make([]int32, 150)); err != nil {
		t.Fatal(err)
	}
	for i, layer := range s.layers {
		want := 150
		if w := m.checkpoint.Config.Window(i); w > 0 {
			want = w - 1
		}
		if len(layer.keys) != want || len(layer.values) != want || layer.first != 150-want {
			t.Errorf("layer %d keeps %d keys and %d values from %d, want %d", i, len(layer.keys), len(layer.values), layer.first, want)
		}
	}
}

func TestSequenceRefuses(t *testing.T) {
	m := open(t, "testdata/short")
	vocab := int32(m.checkpoint.Config.VocabSize)
	tests := map[string]struct {
		tokens   []int32
		wantFull bool
	}{
		"no tokens":                  {nil, false},
		"a negative token":           {[]int32{1, -1}, false},
		"a token of no row":          {[]int32{vocab}, false},
		"more tokens than are left":  {[]int32{1, 2, 3}, true},
		"many more tokens than left": {make([]int32, 1000), true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := m.NewSequence(4)
			before, err := s.Next([]int32{3, 4})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Forward(tc.tokens); err == nil || errors.Is(err, ErrContextFull) != tc.wantFull {
				t.Errorf("Forward: error %v, want one, and that the context is full: %t", err, tc.wantFull)
			}
			if _, err := s.Next(tc.tokens); err == nil || errors.Is(err, ErrContextFull) != tc.wantFull {
				t.Errorf("Next: error %v, want one, and that the context is full: %t", err, tc.wantFull)
			}
			after, err := s.Next([]int32{5, 6})
			if err != nil || s.Len() != s.Cap() {
				t.Fatalf("after the refusal: %v, %d of %d tokens", err, s.Len(), s.Cap())
			}
			if len(after) != len(before) {
				t.Errorf("%d logits, want %d", len(after), len(before))
			}
		})
	}
}

func TestNewSequenceBounds(t *testing.T) {
	m := open(t, "testdata/past-context")
	for asked, want := range map[int]int{-1: 0, 10: 10, 1 << 40: m.checkpoint.Config.MaxContext} {
		if got := m.NewSequence(asked).Cap(); got != want {
			t.Errorf("a sequence of %d tokens holds %d, want %d", asked, got, want)
		}
	}
}
