package sample

import "math"

// MaxTop is the most alternatives that one token may be reported with, as in the
// OpenAI API.
const MaxTop = 20

// Logprob is a token and the natural logarithm of its probability.
type Logprob struct {
	ID      int32
	Logprob float64 // at most 0; -Inf for what is impossible
}

// Logprob returns how likely the model held a token to be, and fills top with the
// most likely tokens, the lowest id first among equals. It returns how many there
// are: fewer than len(top) where fewer are possible.
//
// The probabilities are the model's own: the softmax of the logits as they come,
// over the ids that may be sampled, before penalties, bias, temperature and cuts.
// So vLLM reports them by default (logprobs_mode raw_logprobs), and OpenAI's do
// not change with the temperature either; llama.cpp's do. A token that only a
// bias made possible therefore has a low value, and what a cut left over does not
// add up to 1.
//
// NaN counts as impossible. One +Inf is certain, several share the certainty. An
// id outside the vocabulary is impossible.
func (s *Sampler) Logprob(logits []float32, id int32, top []Logprob) (logprob float64, n int) {
	logits = logits[:min(len(logits), s.vocabulary)]
	norm := normalizer(logits)
	logprob = math.Inf(-1)
	if id >= 0 && int(id) < len(logits) {
		logprob = norm.logprob(logits[id])
	}
	n = largest(logits, top)
	for i := range top[:n] {
		top[i].Logprob = norm.logprob(logits[top[i].ID])
	}
	return logprob, n
}

// norm turns logits into logarithms of probabilities: logit - max - rest, where
// rest is the logarithm of the sum of exp(logit - max), from 0 to log(len).
type norm struct{ max, rest float64 }

// normalizer sums in float64: a float32 sum of 201,088 terms would be off in the
// third digit.
func normalizer(logits []float32) norm {
	_, top := greedy(logits)
	n := norm{max: float64(top)}
	if math.IsInf(n.max, -1) {
		return n
	}
	sum := 0.0
	for _, v := range logits {
		switch x := float64(v) - n.max; {
		case v == top: // also where both are +Inf
			sum++
		case x > vanishing:
			sum += math.Exp(x)
		}
	}
	n.rest = math.Log(sum)
	return n
}

func (n norm) logprob(logit float32) float64 {
	x := float64(logit)
	switch {
	case !(x > math.Inf(-1)): // NaN too
		return math.Inf(-1)
	case x == n.max:
		return -n.rest
	}
	return x - n.max - n.rest
}

// largest fills top with the ids of the largest logits in falling order, the
// lowest id first among equals, and returns how many there are. It inserts into
// the sorted list, which after the first few hundred logits happens hardly ever.
func largest(logits []float32, top []Logprob) (n int) {
	if len(top) == 0 {
		return 0
	}
	least := float32(math.Inf(-1)) // of a full list
	for i, v := range logits {
		if !(v > least) { // NaN and -Inf too
			continue
		}
		if n < len(top) {
			n++
		}
		at := n - 1
		for at > 0 && logits[top[at-1].ID] < v {
			top[at] = top[at-1]
			at--
		}
		top[at].ID = int32(i)
		if n == len(top) {
			least = logits[top[n-1].ID]
		}
	}
	return n
}
