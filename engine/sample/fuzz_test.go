package sample

import (
	"math"
	"testing"
)

// FuzzSample looks for panics, for ids outside the vocabulary and for logarithms
// that are none of probabilities.
func FuzzSample(f *testing.F) {
	f.Add([]byte{0, 0, 192, 127, 0, 0, 128, 127, 0, 0, 128, 63}, 0.7, 0.9, 3, 0.1, 1.1, 0.5, float32(2), uint8(3))
	f.Add([]byte{0, 0, 128, 255, 0, 0, 192, 127}, 0.0, 1.0, 0, 0.0, 0.0, 0.0, float32(0), uint8(20))
	f.Add([]byte{0, 0, 128, 127, 0, 0, 128, 127}, 1.0, 1.0, 0, 0.0, 1e-300, 1e300, inf, uint8(20))
	f.Fuzz(func(t *testing.T, data []byte, temperature, topP float64, topK int, minP, repetition, frequency float64, bias float32, wanted uint8) {
		var logits []float32
		for ; len(data) >= 4; data = data[4:] {
			bits := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
			logits = append(logits, math.Float32frombits(bits))
		}
		p := Params{
			Temperature: temperature, TopP: topP, TopK: topK, MinP: minP, RepetitionPenalty: repetition, FrequencyPenalty: frequency,
			PresencePenalty: -frequency, LogitBias: map[int32]float32{0: bias, 2: -bias, 1 << 30: bias}, Seed: new(uint64(topK)),
		}
		s := New(p, len(logits))
		s.Prompt([]int32{1, -1, 1 << 30})
		top := make([]Logprob, min(wanted, MaxTop))
		for range 3 {
			id := s.Sample(logits)
			if id < 0 || int(id) >= max(len(logits), 1) {
				t.Fatalf("drew %d of %d", id, len(logits))
			}
			logprob, n := s.Logprob(logits, id, top)
			checkLogprobs(t, logits, append(top[:n:n], Logprob{id, logprob}))
		}
	})
}

// checkLogprobs takes the alternatives and, behind them, the token that was drawn.
func checkLogprobs(t *testing.T, logits []float32, all []Logprob) {
	t.Helper()
	total, top := 0.0, all[:len(all)-1]
	for i, a := range all {
		if !(a.Logprob <= 0) {
			t.Fatalf("log probability %v of %d", a.Logprob, a.ID)
		}
		if i < len(top) {
			total += math.Exp(a.Logprob)
		}
		if i == 0 || i == len(top) {
			continue
		}
		if before := top[i-1]; logits[before.ID] < logits[a.ID] || logits[before.ID] == logits[a.ID] && before.ID >= a.ID {
			t.Fatalf("alternatives %d and %d are in the wrong order", before.ID, a.ID)
		}
	}
	if total > 1+1e-9 {
		t.Fatalf("the alternatives have probability %v together", total)
	}
}
