package sample

import (
	"fmt"
	"math"
)

// Params say how a token is chosen. They apply in the order LogitBias, repetition,
// frequency and presence penalty, temperature, TopK, TopP, MinP. The zero value
// is greedy.
type Params struct {
	// Temperature divides the logits; 0 always takes the most likely token, the
	// lowest id among equals.
	Temperature float64
	// TopP keeps the smallest set of most likely tokens whose probabilities add
	// up to at least TopP: 1 keeps all, 0 only the most likely one.
	TopP float64
	// TopK keeps the K most likely tokens; 0 keeps all.
	TopK int
	// MinP keeps tokens at least MinP times as likely as the most likely one;
	// 0 keeps all.
	MinP float64
	// FrequencyPenalty is taken off a token's logit for every time that it was
	// generated, PresencePenalty once if it was generated at all.
	FrequencyPenalty, PresencePenalty float64
	// RepetitionPenalty divides a positive logit, and multiplies a negative one,
	// of a token that is in the prompt or was generated; 0 and 1 do nothing.
	RepetitionPenalty float64
	// LogitBias is added to the logits of single tokens.
	LogitBias map[int32]float32
	// Seed makes the draws reproducible; nil draws a seed at random.
	Seed *uint64
}

// Validate reports the first parameter that is out of range.
func (p Params) Validate() error {
	if !(p.Temperature >= 0) || math.IsInf(p.Temperature, 0) {
		return fmt.Errorf("sample: temperature is %v, it must be a number of at least 0", p.Temperature)
	}
	if !(p.TopP >= 0 && p.TopP <= 1) {
		return fmt.Errorf("sample: top_p is %v, it must lie in [0, 1]", p.TopP)
	}
	if p.TopK < 0 {
		return fmt.Errorf("sample: top_k is %d, it must be at least 0", p.TopK)
	}
	if !(p.MinP >= 0 && p.MinP <= 1) {
		return fmt.Errorf("sample: min_p is %v, it must lie in [0, 1]", p.MinP)
	}
	if !finite(p.FrequencyPenalty) || !finite(p.PresencePenalty) {
		return fmt.Errorf("sample: frequency and presence penalty are %v and %v, they must be finite", p.FrequencyPenalty, p.PresencePenalty)
	}
	if !(p.RepetitionPenalty >= 0) || !finite(p.RepetitionPenalty) {
		return fmt.Errorf("sample: repetition penalty is %v, it must be a number of at least 0", p.RepetitionPenalty)
	}
	for id, bias := range p.LogitBias {
		if math.IsNaN(float64(bias)) {
			return fmt.Errorf("sample: the logit bias of token %d is not a number", id)
		}
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
