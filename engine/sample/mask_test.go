package sample

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestMaskedDraws(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for name, tc := range map[string]struct {
		logits  []float32
		allowed []int32
		params  Params
		want    int32
		none    bool
	}{
		"the likeliest of those allowed":         {logits: []float32{5, 1, 3}, allowed: []int32{1, 2}, want: 2},
		"one is forced":                          {logits: []float32{5, 1, 3}, allowed: []int32{1}, params: Params{Temperature: 1, TopP: 1}, want: 1},
		"a cut counts what is allowed":           {logits: []float32{9, 8, 1, 0}, allowed: []int32{2, 3}, params: Params{Temperature: 1, TopP: 1, TopK: 1}, want: 2},
		"a certain token that is not allowed":    {logits: []float32{inf, 1, 0}, allowed: []int32{1, 2}, want: 1},
		"only impossible tokens are allowed":     {logits: []float32{1, -inf, nan}, allowed: []int32{1, 2}, params: Params{Temperature: 1, TopP: 1}, want: 1},
		"a bias cannot lift what is not allowed": {logits: []float32{0, 1, 0}, allowed: []int32{1}, params: Params{LogitBias: map[int32]float32{0: 100}}, want: 1},
		"a bias chooses among those allowed":     {logits: []float32{0, 1, 0}, allowed: []int32{1, 2}, params: Params{LogitBias: map[int32]float32{2: 100}}, want: 2},
		"nothing is allowed":                     {logits: []float32{1, 2}, none: true},
		"only what has no logit is allowed":      {logits: []float32{1}, allowed: []int32{1}, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(tc.params, 4)
			mask := s.Mask()
			for _, id := range tc.allowed {
				mask[0] |= 1 << id
			}
			got, ok := s.SampleMasked(tc.logits, mask)
			if ok == tc.none || ok && got != tc.want {
				t.Errorf("drew %d, %v; want %d, %v", got, ok, tc.want, !tc.none)
			}
		})
	}
}

// TestMaskedDrawsAreOrdinaryOnes holds a mask of everything to the draws without one, token by token.
func TestMaskedDrawsAreOrdinaryOnes(t *testing.T) {
	seed := uint64(7)
	p := Params{Temperature: 0.9, TopP: 0.9, Seed: &seed, FrequencyPenalty: 0.5}
	plain, masked := New(p, 1000), New(p, 1000)
	mask := masked.Mask()
	for i := range mask {
		mask[i] = math.MaxUint64
	}
	random := rand.New(rand.NewPCG(1, 1))
	logits := make([]float32, 1000)
	for range 200 {
		for i := range logits {
			logits[i] = float32(random.NormFloat64() * 3)
		}
		want := plain.Sample(logits)
		if got, _ := masked.SampleMasked(logits, mask); got != want {
			t.Fatalf("drew %d with a full mask, %d without", got, want)
		}
	}
}

func TestMaskedDrawsAllocateNothing(t *testing.T) {
	s := New(Params{Temperature: 1, TopP: 0.9}, 4096)
	logits := make([]float32, 4096)
	s.Mask()[3] = 0xff
	if n := testing.AllocsPerRun(20, func() { s.SampleMasked(logits, s.Mask()) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
