package sample

// history knows which tokens a request has seen.
type history struct {
	generated []int32 // how often, by id
	prompt    []bool  // by id
	seen      []int32 // each id of either once
}

func newHistory(vocabulary int) history {
	return history{
		generated: make([]int32, vocabulary),
		prompt:    make([]bool, vocabulary),
		seen:      make([]int32, 0, vocabulary),
	}
}

func (h *history) clear() {
	for _, id := range h.seen {
		h.generated[id], h.prompt[id] = 0, false
	}
	h.seen = h.seen[:0]
}

func (h *history) note(id int32) bool {
	if id < 0 || int(id) >= len(h.prompt) {
		return false
	}
	if h.generated[id] == 0 && !h.prompt[id] {
		h.seen = append(h.seen, id)
	}
	return true
}

// Prompt tells the sampler which tokens the request began with.
func (s *Sampler) Prompt(ids []int32) {
	if !s.params.penalises() {
		return
	}
	for _, id := range ids {
		if s.history.note(id) {
			s.history.prompt[id] = true
		}
	}
}

// accept remembers a drawn token.
func (s *Sampler) accept(id int32) {
	if s.params.penalises() && s.history.note(id) {
		s.history.generated[id]++
	}
}

func (p *Params) penalises() bool {
	return p.FrequencyPenalty != 0 || p.PresencePenalty != 0 || p.RepetitionPenalty != 0 && p.RepetitionPenalty != 1
}

// adjust returns the logits after bias and penalties, in the sampler's memory if
// there are any. The bias comes first, as in vLLM, transformers and llama.cpp.
func (s *Sampler) adjust(logits []float32) []float32 {
	p := &s.params
	if !p.penalises() && len(p.LogitBias) == 0 {
		return logits
	}
	out := s.weights[:copy(s.weights, logits)]
	for id, bias := range p.LogitBias {
		if id >= 0 && int(id) < len(out) {
			out[id] += bias
		}
	}
	for _, id := range s.history.seen {
		if int(id) >= len(out) {
			continue
		}
		v := float64(out[id])
		if r := p.RepetitionPenalty; r != 0 {
			if v > 0 {
				v /= r
			} else {
				v *= r
			}
		}
		if n := s.history.generated[id]; n > 0 {
			v -= p.FrequencyPenalty*float64(n) + p.PresencePenalty
		}
		out[id] = float32(v)
	}
	return out
}
