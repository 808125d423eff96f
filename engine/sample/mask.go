package sample

import (
	"math"
	"math/bits"
)

// Mask returns the sampler's memory for a mask: a bit for each id of the vocabulary, id%64 of word id/64.
func (s *Sampler) Mask() []uint64 {
	if s.mask == nil {
		s.mask = make([]uint64, (s.vocabulary+63)/64)
	}
	return s.mask
}

// SampleMasked is Sample among the ids whose bits are set. It reports false, and draws nothing, where there is none. Bias
// and penalties come before the mask, temperature and cuts after it, so that a cut counts allowed tokens only. If none of
// them is possible the answer is the lowest.
func (s *Sampler) SampleMasked(logits []float32, mask []uint64) (id int32, ok bool) {
	logits = logits[:min(len(logits), s.vocabulary)]
	lowest := first(mask)
	if lowest < 0 || lowest >= len(logits) {
		return 0, false
	}
	out := s.weights[:copy(s.weights, s.adjust(logits))]
	exclude(out, mask)
	if _, top := greedy(out); math.IsInf(float64(top), -1) {
		id = int32(lowest)
	} else {
		id = s.choose(out)
	}
	s.accept(id)
	return id, true
}

// first returns the lowest id of a mask, or -1.
func first(mask []uint64) int {
	for i, w := range mask {
		if w != 0 {
			return 64*i + bits.TrailingZeros64(w)
		}
	}
	return -1
}

// exclude makes impossible what the mask does not have.
func exclude(logits []float32, mask []uint64) {
	none := float32(math.Inf(-1))
	for i := 0; i < len(logits); i += 64 {
		part := logits[i:min(i+64, len(logits))]
		w := uint64(0)
		if i/64 < len(mask) {
			w = mask[i/64]
		}
		switch w {
		case math.MaxUint64:
			continue
		case 0:
			for j := range part {
				part[j] = none
			}
			continue
		}
		for j := range part {
			if w>>j&1 == 0 {
				part[j] = none
			}
		}
	}
}
