package main

import (
	"math"
	"math/rand/v2"

	"github.com/gptoss/gptoss-operator/engine/model"
)

// How the talk is woven in. Logits of tokens outside the talk are near 0, so the gaps hold at any usual temperature.
const (
	allowed    = 80   // logit of a token that may follow
	second     = 40   // logit of one that may follow once the first choice is ruled out
	ruledOut   = -160 // added to the first choice by an attention head
	preference = 1.2  // deviation of the logits of several that may follow, as the context has it
	written    = 0.5  // what the two heads add to the residual stream, relative to an embedding
	noise      = 0.06 // what a random layer adds to it
)

// network makes the tensors of the model from a seed.
type network struct {
	model.Config
	table   table
	random  *rand.Rand
	axes    map[int][]float64 // orthonormal directions of the tokens of the talk
	saw     []float64         // direction: the analysis channel was opened within the window
	isFinal []float64         // direction: the token before was the final channel
	free    [][]float64       // orthonormal directions that only noise uses
	values  map[string][]float64
}

func newNetwork(c model.Config, t table) *network {
	n := &network{Config: c, table: t, random: rand.New(rand.NewPCG(2025, 8)), axes: map[int][]float64{}, values: map[string][]float64{}}
	basis := n.orthonormal(c.HiddenSize)
	n.saw, n.isFinal, basis = basis[0], basis[1], basis[2:]
	for _, token := range t.tokens() {
		n.axes[token], basis = basis[0], basis[1:]
	}
	n.free = basis
	n.embed()
	n.unembed()
	for layer := range c.Layers {
		n.attention(model.LayerPrefix(layer))
		n.mixture(model.LayerPrefix(layer))
	}
	n.previousHead(model.LayerPrefix(0))
	n.seenHead(model.LayerPrefix(0))
	n.set(model.FinalNormName, ones(c.HiddenSize))
	return n
}

func (n *network) set(name string, values []float64) { n.values[name] = values }

// normal returns values of the given deviation; sums of uniform numbers are the same on every platform.
func (n *network) normal(count int, deviation float64) []float64 {
	v := make([]float64, count)
	for i := range v {
		for range 12 {
			v[i] += n.random.Float64() - 0.5
		}
		v[i] *= deviation
	}
	return v
}

// orthonormal returns a random basis, made by Gram and Schmidt's method.
func (n *network) orthonormal(size int) [][]float64 {
	var basis [][]float64
	for len(basis) < size {
		v := n.normal(size, 1)
		for range 2 { // twice, for the rounding of the first time
			for _, b := range basis {
				addScaled(v, b, -dot(v, b))
			}
		}
		length := math.Sqrt(dot(v, v))
		for i := range v {
			v[i] /= length
		}
		basis = append(basis, v)
	}
	return basis
}

// mix returns a random combination of the free directions with the given length on average.
func (n *network) mix(length float64) []float64 {
	v := make([]float64, n.HiddenSize)
	for i, w := range n.normal(len(n.free), length/math.Sqrt(float64(len(n.free)))) {
		addScaled(v, n.free[i], w)
	}
	return v
}

// length is that of an embedding: its elements have a root mean square of 1.
func (n *network) length() float64 { return math.Sqrt(float64(n.HiddenSize)) }

// embed gives every token of the talk an axis of its own, the others random places that touch none of these.
func (n *network) embed() {
	var rows []float64
	for token := range n.VocabSize {
		row := make([]float64, n.HiddenSize)
		if axis, ok := n.axes[token]; ok {
			addScaled(row, axis, n.length())
		} else {
			row = n.mix(n.length())
		}
		rows = append(rows, row...)
	}
	n.set(model.EmbeddingName, rows)
}

// unembed lets a token's row of lm_head look for the tokens that it may follow, and a little at the noise.
func (n *network) unembed() {
	rows := make([]float64, n.VocabSize*n.HiddenSize)
	row := func(token int) []float64 { return rows[token*n.HiddenSize:][:n.HiddenSize] }
	per := 1 / n.length()
	for from, to := range n.table.follow {
		for _, token := range to {
			addScaled(row(token), n.axes[from], allowed*per)
		}
	}
	choose := func(at int, first, then []int, sign []float64) {
		for _, token := range first {
			addScaled(row(token), n.axes[at], allowed*per)
			addScaled(row(token), sign, ruledOut*per/written)
		}
		for _, token := range then {
			addScaled(row(token), n.axes[at], second*per)
		}
	}
	choose(n.table.channel, []int{n.table.analysis}, []int{n.table.final}, n.saw)
	choose(n.table.message, n.table.analysisStarts, n.table.finalStarts, n.isFinal)
	for _, token := range n.table.tokens() {
		// Noise of all layers together has elements of about noise × √(2 × layers).
		addScaled(row(token), n.mix(preference/(noise*math.Sqrt(2*float64(n.Layers)))), 1)
	}
	n.set(model.LMHeadName, rows)
}

func (n *network) attention(prefix string) {
	h, q, kv := n.HiddenSize, n.Heads*n.HeadDim, n.KVHeads*n.HeadDim
	n.set(prefix+"input_layernorm.weight", ones(h))
	for _, p := range []struct {
		name string
		rows int
	}{{"q", q}, {"k", kv}, {"v", kv}} {
		n.set(prefix+"self_attn."+p.name+"_proj.weight", n.normal(p.rows*h, 1/n.length()))
		n.set(prefix+"self_attn."+p.name+"_proj.bias", n.normal(p.rows, 0.1))
	}
	n.set(prefix+"self_attn.sinks", n.normal(n.Heads, 1))
	n.set(prefix+"self_attn.o_proj.weight", n.normal(h*q, 2*noise/math.Sqrt(float64(q))))
	n.set(prefix+"self_attn.o_proj.bias", n.normal(h, noise/4))
}

func (n *network) mixture(prefix string) {
	n.set(prefix+"post_attention_layernorm.weight", ones(n.HiddenSize))
	n.set(prefix+"mlp.router.weight", n.normal(n.Experts*n.HiddenSize, 1.5/n.length()))
	n.set(prefix+"mlp.router.bias", n.normal(n.Experts, 0.1))
	n.set(prefix+"mlp.experts.gate_up_proj_bias", n.normal(n.Experts*2*n.IntermediateSize, 0.1))
	n.set(prefix+"mlp.experts.down_proj_bias", n.normal(n.Experts*n.HiddenSize, noise/4))
}

// previousHead makes query head 0 look at the token before, by position alone: all keys are one vector, and the query
// is that vector turned by one position less. What it finds there, if it is "final", it writes as isFinal.
func (n *network) previousHead(prefix string) {
	const pairs, strength = 5, 6.7 // turning pairs of a head; scores then favour the place by more than 8
	n.clearHead(prefix, 0)
	clear(n.rowsOf(prefix+"self_attn.k_proj.weight", 0, n.HeadDim, n.HiddenSize))
	key := n.rowsOf(prefix+"self_attn.k_proj.bias", 0, n.HeadDim, 1)
	clear(key)
	query := n.rowsOf(prefix+"self_attn.q_proj.bias", 0, n.HeadDim, 1)
	for i, f := range n.inverseFrequencies()[:pairs] {
		key[i] = strength
		query[i], query[n.HeadDim/2+i] = strength*math.Cos(f), -strength*math.Sin(f)
	}
	n.values[prefix+"self_attn.sinks"][0] = 0
	n.carry(prefix, 0, 0, n.axes[n.table.final], n.isFinal)
}

// seenHead makes the first query head of the second key head look for "analysis" anywhere in the window, by a pair of
// dimensions that hardly turns. While there is none, the sink takes the attention.
func (n *network) seenHead(prefix string) {
	const strength, sink = 8, 8 // a find scores about 20, all others 0
	head, slow := n.Heads/n.KVHeads, n.HeadDim/2-1
	n.clearHead(prefix, head)
	row := n.rowsOf(prefix+"self_attn.k_proj.weight", n.HeadDim+slow, 1, n.HiddenSize)
	clear(row)
	addScaled(row, n.axes[n.table.analysis], strength/n.length())
	n.values[prefix+"self_attn.k_proj.bias"][n.HeadDim+slow] = 0
	n.values[prefix+"self_attn.q_proj.bias"][head*n.HeadDim+slow] = strength
	n.values[prefix+"self_attn.sinks"][head] = sink
	n.carry(prefix, head, 1, n.axes[n.table.analysis], n.saw)
}

// clearHead silences a query head: no query, and nothing written.
func (n *network) clearHead(prefix string, head int) {
	clear(n.rowsOf(prefix+"self_attn.q_proj.weight", head*n.HeadDim, n.HeadDim, n.HiddenSize))
	clear(n.rowsOf(prefix+"self_attn.q_proj.bias", head*n.HeadDim, n.HeadDim, 1))
	output := n.values[prefix+"self_attn.o_proj.weight"]
	width := n.Heads * n.HeadDim
	for i := range n.HiddenSize {
		clear(output[i*width+head*n.HeadDim:][:n.HeadDim])
	}
}

// carry makes the first value of a key head read a token's axis, and a query head write a direction where it finds it.
func (n *network) carry(prefix string, head, group int, read, write []float64) {
	row := n.rowsOf(prefix+"self_attn.v_proj.weight", group*n.HeadDim, 1, n.HiddenSize)
	clear(row)
	addScaled(row, read, 1/n.length())
	n.values[prefix+"self_attn.v_proj.bias"][group*n.HeadDim] = 0
	output, width := n.values[prefix+"self_attn.o_proj.weight"], n.Heads*n.HeadDim
	for i := range n.HiddenSize {
		for sibling := range n.Heads / n.KVHeads { // they share the value; only this head may use it
			output[i*width+(group*n.Heads/n.KVHeads+sibling)*n.HeadDim] = 0
		}
		output[i*width+head*n.HeadDim] = written * n.length() * write[i]
	}
}

func (n *network) rowsOf(name string, first, count, width int) []float64 {
	return n.values[name][first*width : (first+count)*width]
}

// inverseFrequencies are those of YaRN, as the forward pass has them.
func (n *network) inverseFrequencies() []float64 {
	half := float64(n.HeadDim / 2)
	dimension := func(turns float64) float64 {
		return half * math.Log(float64(n.OriginalContext)/(turns*2*math.Pi)) / math.Log(n.RopeTheta)
	}
	low, high := dimension(n.YaRNBetaFast), dimension(n.YaRNBetaSlow)
	f := make([]float64, n.HeadDim/2)
	for i := range f {
		ramp := min(max((float64(i)-low)/(high-low), 0), 1)
		f[i] = math.Pow(n.RopeTheta, -float64(i)/half) * (ramp/n.YaRNFactor + 1 - ramp)
	}
	return f
}

func ones(count int) []float64 {
	v := make([]float64, count)
	for i := range v {
		v[i] = 1
	}
	return v
}

func dot(a, b []float64) float64 {
	var sum float64
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func addScaled(to, v []float64, by float64) {
	for i := range to {
		to[i] += v[i] * by
	}
}
