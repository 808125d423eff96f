package sample

import (
	"math"
	"math/rand/v2"
)

// stream is the second word of every generator's seed: an arbitrary constant, so
// that equal seeds give equal draws.
const stream = 0x9e3779b97f4a7c15

// vanishing is where exp becomes 0 in float32.
const vanishing = -104

// Sampler draws tokens. It is not safe for concurrent use.
type Sampler struct {
	params     Params
	vocabulary int
	random     rand.PCG
	weights    []float32 // per id: probability relative to the most likely token
	mask       []uint64  // see Mask
	cut        cutter
	history    history
}

// New returns a sampler for ids below vocabulary.
func New(p Params, vocabulary int) *Sampler {
	vocabulary = max(vocabulary, 1)
	s := &Sampler{
		vocabulary: vocabulary,
		weights:    make([]float32, vocabulary),
		cut:        cutter{ids: make([]int32, vocabulary)},
		history:    newHistory(vocabulary),
	}
	s.Reset(p)
	return s
}

// Reset gives the sampler to another request.
func (s *Sampler) Reset(p Params) {
	s.params = p
	s.history.clear()
	seed := rand.Uint64()
	if p.Seed != nil {
		seed = *p.Seed
	}
	s.random.Seed(seed, stream)
}

// Sample returns an id below the vocabulary's size, whatever the logits are. NaN
// counts as impossible and +Inf as certain; if nothing is possible the answer is
// id 0. Logits past the vocabulary's size are ignored.
//
// The token counts as generated in the penalties of those that follow.
func (s *Sampler) Sample(logits []float32) int32 {
	id := s.choose(s.adjust(logits[:min(len(logits), s.vocabulary)]))
	s.accept(id)
	return id
}

func (s *Sampler) choose(logits []float32) int32 {
	best, top := greedy(logits)
	if !(s.params.Temperature > 0) || math.IsInf(float64(top), 0) {
		return best
	}
	weights := s.weights[:len(logits)]
	total := soften(weights, logits, top, s.params.Temperature)
	if k := s.params.TopK; k > 0 && k < len(weights) {
		total = keep(weights, s.cut.count(weights, k))
	}
	if p := s.params.TopP; p < 1 {
		total = keep(weights, s.cut.mass(weights, p*total))
	}
	if p := s.params.MinP; p > 0 {
		// The most likely token has weight 1. Rounding down keeps equality in.
		total = keep(weights, limit{weight: float32(p), id: int32(len(weights))})
	}
	return draw(weights, s.uniform()*total, best)
}

// uniform returns a number in [0, 1).
func (s *Sampler) uniform() float64 { return float64(s.random.Uint64()>>11) * 0x1p-53 }

// greedy returns the lowest id of the largest logit, and that logit: -Inf when
// nothing is possible.
func greedy(logits []float32) (best int32, top float32) {
	top = float32(math.Inf(-1))
	for i, v := range logits {
		if v > top {
			best, top = int32(i), v
		}
	}
	return best, top
}

// soften writes exp((logit-top)/temperature) and returns the sum. The two slices
// may be the same.
func soften(weights, logits []float32, top float32, temperature float64) (total float64) {
	inverse := 1 / temperature
	if math.IsInf(inverse, 0) {
		inverse = math.MaxFloat64
	}
	for i, v := range logits {
		x := (float64(v) - float64(top)) * inverse
		if !(x > vanishing) { // NaN too
			weights[i] = 0
			continue
		}
		w := float32(math.Exp(x))
		weights[i] = w
		total += float64(w)
	}
	return total
}

// keep clears what the limit excludes and returns the sum of the rest.
func keep(weights []float32, last limit) (total float64) {
	for i, w := range weights {
		if last.excludes(w, int32(i)) {
			weights[i] = 0
			continue
		}
		total += float64(w)
	}
	return total
}

// draw returns the id at which the running sum passes target. best is the answer
// when rounding makes the sum end short of it.
func draw(weights []float32, target float64, best int32) int32 {
	sum := 0.0
	for i, w := range weights {
		if w == 0 {
			continue
		}
		if sum += float64(w); sum > target {
			return int32(i)
		}
	}
	return best
}
