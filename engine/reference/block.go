package reference

import (
	"math"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
)

// rmsNorm scales every row to unit root mean square, then by the learned scale: [T, H] → [T, H].
func rmsNorm(x [][]float32, scale []float32, eps float64) [][]float32 {
	y := newRows(len(x), len(scale))
	for t, row := range x {
		var sum float32
		for _, v := range row {
			sum += v * v
		}
		inverse := 1 / float32(math.Sqrt(float64(sum/float32(len(row))+float32(eps))))
		for i, v := range row {
			y[t][i] = v * inverse * scale[i]
		}
	}
	return y
}

// rotate turns every head of a row in place; element i of a head pairs with element i + D/2.
func rotate(r model.RoPE, row []float32, position int) {
	half := len(r.InverseFrequency)
	cos, sin := make([]float32, half), make([]float32, half)
	r.Tables(cos, sin, position)
	for head := 0; head < len(row); head += 2 * half {
		for i := range half {
			a, b := row[head+i], row[head+half+i]
			row[head+i] = a*cos[i] - b*sin[i]
			row[head+half+i] = b*cos[i] + a*sin[i]
		}
	}
}

// cache holds the keys and values of one layer for the positions from first on.
type cache struct {
	first        int
	keys, values [][]float32 // [position - first][G·D]
}

// trim drops positions that no later query of a window layer sees.
func (c *cache) trim(window int) {
	if drop := len(c.keys) - (window - 1); window > 0 && drop > 0 {
		c.first += drop
		c.keys = append([][]float32(nil), c.keys[drop:]...)
		c.values = append([][]float32(nil), c.values[drop:]...)
	}
}

// attention lets every token read from its predecessors, within the window if there is one: [T, H] → [T, H].
// position is that of the first of the tokens.
func attention(c model.Config, l *weights.Layer, r model.RoPE, kv *cache, window, position int, x [][]float32) [][]float32 {
	x = rmsNorm(x, l.AttentionNorm, c.RMSNormEps)
	queries := linear(l.Query, x) // [T, Q·D]
	keys := linear(l.Key, x)      // [T, G·D]
	values := linear(l.Value, x)  // [T, G·D]
	for t := range x {
		rotate(r, queries[t], position+t)
		rotate(r, keys[t], position+t)
	}
	kv.keys = append(kv.keys, keys...)
	kv.values = append(kv.values, values...)

	mixed := newRows(len(x), c.Heads*c.HeadDim)
	for t := range x {
		last := position + t
		first := kv.first
		if window > 0 {
			first = max(first, last-window+1)
		}
		for head := range c.Heads {
			from, to := head*c.HeadDim, (head+1)*c.HeadDim
			group := head / (c.Heads / c.KVHeads) * c.HeadDim
			attend(mixed[t][from:to], queries[t][from:to],
				kv.keys[first-kv.first:last+1-kv.first], kv.values[first-kv.first:last+1-kv.first], group, l.Sinks[head])
		}
	}
	kv.trim(window)
	return linear(l.Output, mixed)
}

// attend writes the mean of the values to out, weighted by the softmax of q·k/√D. The sink takes part in the softmax,
// unscaled, and has no value: a head that finds nothing may look there.
func attend(out, query []float32, keys, values [][]float32, group int, sink float32) {
	scale := float32(1 / math.Sqrt(float64(len(query))))
	scores := make([]float32, len(keys))
	top := sink
	for i, key := range keys {
		scores[i] = dot(query, key[group:group+len(query)]) * scale
		top = max(top, scores[i])
	}
	total := exp(sink - top)
	for i, s := range scores {
		scores[i] = exp(s - top)
		total += scores[i]
	}
	for i, value := range values {
		weight := scores[i] / total
		for d, v := range value[group : group+len(out)] {
			out[d] += weight * v
		}
	}
}

// mixtureOfExperts sends every token through its best experts and adds up what they say: [T, H] → [T, H].
func mixtureOfExperts(c model.Config, l *weights.Layer, x [][]float32) [][]float32 {
	x = rmsNorm(x, l.MLPNorm, c.RMSNormEps)
	logits := linear(l.Router, x) // [T, E]
	y := newRows(len(x), c.HiddenSize)
	for t := range x {
		experts := topExperts(logits[t], c.ActiveExperts)
		for i, weight := range softmax(logits[t], experts) {
			h := swiglu(expertLinear(l.GateUp, experts[i], x[t]), float32(c.SwiGLULimit)) // [2·inter] → [inter]
			for j, v := range expertLinear(l.Down, experts[i], h) {
				y[t][j] += weight * v
			}
		}
	}
	return y
}

// topExperts returns the indices of the k largest logits, the largest first; of equal ones the lowest index wins.
func topExperts(logits []float32, k int) []int {
	taken := make([]bool, len(logits))
	top := make([]int, k)
	for i := range top {
		best := -1
		for e, v := range logits {
			if !taken[e] && (best < 0 || v > logits[best]) {
				best = e
			}
		}
		taken[best] = true
		top[i] = best
	}
	return top
}

// softmax returns the probabilities of the chosen logits among themselves.
func softmax(logits []float32, chosen []int) []float32 {
	top := logits[chosen[0]]
	p := make([]float32, len(chosen))
	var total float32
	for i, e := range chosen {
		p[i] = exp(logits[e] - top)
		total += p[i]
	}
	for i := range p {
		p[i] /= total
	}
	return p
}

// swiglu gates the odd elements by the even ones: [2·inter] → [inter]. The gate is bounded above only.
func swiglu(x []float32, limit float32) []float32 {
	y := make([]float32, len(x)/2)
	for i := range y {
		gate := min(x[2*i], limit)
		up := min(max(x[2*i+1], -limit), limit)
		y[i] = gate / (1 + exp(-model.SwiGLUAlpha*gate)) * (up + 1)
	}
	return y
}

func exp(x float32) float32 { return float32(math.Exp(float64(x))) }
