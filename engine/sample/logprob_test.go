package sample

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestLogprob(t *testing.T) {
	impossible := math.Inf(-1)
	half, third := math.Log(0.5), math.Log(1.0/3)
	for name, tc := range map[string]struct {
		logits []float32
		id     int32
		top    int
		want   float64
		wantN  []Logprob
	}{
		"one token":             {[]float32{3}, 0, 2, 0, []Logprob{{0, 0}}},
		"two equals":            {[]float32{5, 5}, 1, 2, half, []Logprob{{0, half}, {1, half}}},
		"none asked for":        {[]float32{5, 5}, 1, 0, half, nil},
		"unequal":               {[]float32{0, float32(math.Log(3))}, 0, 1, math.Log(0.25), []Logprob{{1, math.Log(0.75)}}},
		"the last of equals":    {[]float32{1, 2, 2, 2}, 3, 2, 2 - math.Log(math.E+3*math.E*math.E), []Logprob{{1, 2 - math.Log(math.E+3*math.E*math.E)}, {2, 2 - math.Log(math.E+3*math.E*math.E)}}},
		"far apart":             {[]float32{-3e38, 3e38}, 0, 2, -6e38, []Logprob{{1, 0}, {0, -6e38}}},
		"NaN is impossible":     {[]float32{nan, 1, nan, 1}, 0, 4, impossible, []Logprob{{1, half}, {3, half}}},
		"-Inf is impossible":    {[]float32{-inf, 1}, 0, 2, impossible, []Logprob{{1, 0}}},
		"+Inf is certain":       {[]float32{1, inf, nan}, 1, 2, 0, []Logprob{{1, 0}, {0, impossible}}},
		"three are certain":     {[]float32{inf, inf, 9, inf}, 3, 3, third, []Logprob{{0, third}, {1, third}, {3, third}}},
		"nothing is possible":   {[]float32{-inf, nan}, 1, 2, impossible, nil},
		"no logits":             {nil, 0, 2, impossible, nil},
		"past the vocabulary":   {[]float32{0, 0, 0, 0, 99}, 4, 1, impossible, []Logprob{{0, math.Log(0.25)}}},
		"a negative id":         {[]float32{0, 0}, -1, 1, impossible, []Logprob{{0, half}}},
		"temperature is no use": {[]float32{0, 0}, 0, 0, half, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Params{Temperature: 0.1, TopP: 0.1, LogitBias: map[int32]float32{0: 5}, RepetitionPenalty: 3}, 4)
			top := make([]Logprob, tc.top)
			got, n := s.Logprob(tc.logits, tc.id, top)
			near := cmpopts.EquateApprox(1e-7, 1e-9) // the logits are float32
			if !gocmp.Equal(tc.want, got, near) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			if diff := gocmp.Diff(tc.wantN, top[:n], near, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("alternatives (-want,+got):\n%s", diff)
			}
		})
	}
}

// TestLogprobEqualsASort compares with the definition, in compensated sums, on a
// vocabulary of gpt-oss' size with and without ties.
func TestLogprobEqualsASort(t *testing.T) {
	const size = 201088
	r := rand.New(rand.NewPCG(3, 9))
	for round := range 4 {
		logits := make([]float32, size)
		order := make([]int32, size)
		for i := range logits {
			logits[i] = float32(r.NormFloat64()*4) + 1000
			if round%2 == 0 {
				logits[i] = float32(r.IntN(9000))
			}
			order[i] = int32(i)
		}
		slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(logits[b], logits[a]) })
		sum, lost := 0.0, 0.0
		for _, id := range slices.Backward(order) {
			y := math.Exp(float64(logits[id])-float64(logits[order[0]])) - lost
			next := sum + y
			sum, lost = next, next-sum-y
		}
		want := func(id int32) float64 { return float64(logits[id]) - float64(logits[order[0]]) - math.Log(sum) }
		top := make([]Logprob, MaxTop)
		id := order[r.IntN(size)]
		got, n := New(Params{}, size).Logprob(logits, id, top)
		if n != MaxTop || math.Abs(got-want(id)) > 1e-12*math.Abs(want(id)) {
			t.Errorf("round %d: %v and %d alternatives, want %v", round, got, n, want(id))
		}
		for i, a := range top {
			if a.ID != order[i] || math.Abs(a.Logprob-want(a.ID)) > 1e-10 {
				t.Errorf("round %d: alternative %d is %+v, want id %d with %v", round, i, a, order[i], want(order[i]))
			}
		}
	}
}
