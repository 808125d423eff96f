package sample

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// BenchmarkSample draws from a vocabulary of gpt-oss' size.
func BenchmarkSample(b *testing.B) {
	const size = 201088
	r := rand.New(rand.NewPCG(1, 1))
	logits := make([]float32, size)
	for i := range logits {
		logits[i] = float32(r.NormFloat64() * 3)
	}
	for name, p := range map[string]Params{
		"greedy": {}, "plain": {Temperature: 1, TopP: 1}, "top_p": {Temperature: 0.7, TopP: 0.9}, "top_k": {Temperature: 0.7, TopP: 1, TopK: 40},
		"min_p": {Temperature: 0.7, TopP: 1, MinP: 0.05}, "penalties": {Temperature: 0.7, TopP: 1, FrequencyPenalty: 0.5, RepetitionPenalty: 1.1},
	} {
		b.Run(name, func(b *testing.B) {
			s := New(p, size)
			for b.Loop() {
				s.Sample(logits)
			}
		})
	}
	b.Run("logprobs", func(b *testing.B) {
		s := New(Params{}, size)
		top := make([]Logprob, MaxTop)
		for b.Loop() {
			s.Logprob(logits, 7, top)
		}
	})
	b.Run("sorting instead", func(b *testing.B) {
		order := make([]int32, size)
		for b.Loop() {
			for i := range order {
				order[i] = int32(i)
			}
			slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(logits[b], logits[a]) })
		}
	})
}
