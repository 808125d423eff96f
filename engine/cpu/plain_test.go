package cpu

import (
	"math"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
)

// plain is the straightforward implementation with 8-bit weights, 8-bit activations and a bfloat16 cache: one token at a
// time, on numbers that were rounded and widened again, summed in float64. What it computes differs from the engine in
// the last bits of a float32 only, which now and then round an activation the other way.
type plain struct {
	config       model.Config
	rope         model.RoPE
	embedding    [][]float32
	layers       []plainLayer
	finalNorm    []float32
	head         [][]float32
	keys, values [][][]float32 // [layer][position][kv_heads × head_dim]
}

type plainLayer struct {
	*weights.Layer
	query, key, value, output, router [][]float32
	gateUp, down                      [][][]float32 // [expert]
}

func newPlain(c *weights.Checkpoint) *plain {
	p := &plain{
		config: c.Config, rope: c.Config.RoPE(), finalNorm: c.FinalNorm,
		embedding: matrixRows(c.Embedding, false), head: matrixRows(c.LMHead, true),
		keys: make([][][]float32, len(c.Layers)), values: make([][][]float32, len(c.Layers)),
	}
	for i := range c.Layers {
		l := plainLayer{Layer: &c.Layers[i]}
		l.query, l.key, l.value = matrixRows(l.Query.Weight, true), matrixRows(l.Key.Weight, true), matrixRows(l.Value.Weight, true)
		l.output, l.router = matrixRows(l.Output.Weight, true), matrixRows(l.Router.Weight, false)
		for e := range c.Config.Experts {
			l.gateUp = append(l.gateUp, expertRows(l.GateUp, e))
			l.down = append(l.down, expertRows(l.Down, e))
		}
		p.layers = append(p.layers, l)
	}
	return p
}

func matrixRows(m weights.Matrix, rounded bool) [][]float32 {
	rows := newRows[float32](m.Rows, m.Cols)
	for r := range rows {
		m.Row(r, rows[r])
		for b := 0; rounded && b < m.Cols; b += kernel.BlockLen {
			roundWeights(rows[r][b:min(b+kernel.BlockLen, m.Cols)])
		}
	}
	return rows
}

func expertRows(from weights.Experts, expert int) [][]float32 {
	rows := newRows[float32](from.Rows(), from.Cols())
	for r := range rows {
		from.Row(expert, r, rows[r])
	}
	return rows
}

// roundWeights rounds a block to multiples of its largest magnitude over 127, that rounded up to bfloat16.
func roundWeights(block []float32) {
	var top float32
	for _, v := range block {
		top = max(top, v, -v)
	}
	scale := math.Float32frombits((math.Float32bits(top/127) + 0xffff) &^ 0xffff)
	for i, v := range block {
		if scale > 0 {
			block[i] = float32(math.RoundToEven(float64(v)/float64(scale))) * scale
		}
	}
}

// roundActivations returns x as the blocks of a quantised row hold it.
func roundActivations(x []float32) []float32 {
	blocks := make([]kernel.Block, kernel.Blocks(len(x)))
	kernel.Kernel{}.Quantise(blocks, x)
	y := make([]float32, len(x))
	for i := range y {
		b := &blocks[i/kernel.BlockLen]
		y[i] = float32(b.Q[i%kernel.BlockLen]) * b.Scale
	}
	return y
}

func toBfloat16(x []float32) []float32 {
	for i, v := range x {
		bits := math.Float32bits(v)
		x[i] = math.Float32frombits((bits + 0x7fff + bits>>16&1) &^ 0xffff)
	}
	return x
}

// times returns w·x + bias.
func times(w [][]float32, x, bias []float32) []float32 {
	y := make([]float32, len(w))
	for r, row := range w {
		var sum float64
		for i, v := range row {
			sum += float64(v) * float64(x[i])
		}
		y[r] = float32(sum)
		if bias != nil {
			y[r] += bias[r]
		}
	}
	return y
}

func (p *plain) norm(x, scale []float32) []float32 {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	inverse := 1 / math.Sqrt(sum/float64(len(x))+p.config.RMSNormEps)
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(float64(v)*inverse) * scale[i]
	}
	return y
}

// forward returns the logits after each of the tokens, the first of which begins the sequence.
func (p *plain) forward(tokens []int32) (logits [][]float32) {
	half := p.config.HeadDim / 2
	for position, id := range tokens {
		x := append([]float32(nil), p.embedding[id]...)
		cos, sin := make([]float32, half), make([]float32, half)
		p.rope.Tables(cos, sin, position)
		for i := range p.layers {
			l := &p.layers[i]
			normed := roundActivations(p.norm(x, l.AttentionNorm))
			query, key := times(l.query, normed, l.Query.Bias), times(l.key, normed, l.Key.Bias)
			kernel.Kernel{}.RoPE(query, cos, sin)
			kernel.Kernel{}.RoPE(key, cos, sin)
			p.keys[i] = append(p.keys[i], toBfloat16(key))
			p.values[i] = append(p.values[i], toBfloat16(times(l.value, normed, l.Value.Bias)))
			mixed := roundActivations(p.attend(i, query))
			add(x, 1, times(l.output, mixed, l.Output.Bias))
			p.addExperts(l, x)
		}
		logits = append(logits, times(p.head, roundActivations(p.norm(x, p.finalNorm)), nil))
	}
	return logits
}

func add(x []float32, factor float32, y []float32) {
	for i, v := range y {
		x[i] += factor * v
	}
}

func (p *plain) attend(layer int, query []float32) []float32 {
	c, keys, values := p.config, p.keys[layer], p.values[layer]
	first := 0
	if w := c.Window(layer); w > 0 {
		first = max(0, len(keys)-w)
	}
	out := make([]float32, len(query))
	for head := range c.Heads {
		lo, group := head*c.HeadDim, head/(c.Heads/c.KVHeads)*c.HeadDim
		total := math.Exp(float64(p.layers[layer].Sinks[head]))
		sums := make([]float64, c.HeadDim)
		for t := first; t < len(keys); t++ {
			var score float64
			for d, q := range query[lo : lo+c.HeadDim] {
				score += float64(q) * float64(keys[t][group+d])
			}
			e := math.Exp(score / math.Sqrt(float64(c.HeadDim)))
			total += e
			for d := range sums {
				sums[d] += e * float64(values[t][group+d])
			}
		}
		for d, sum := range sums {
			out[lo+d] = float32(sum / total)
		}
	}
	return out
}

func (p *plain) addExperts(l *plainLayer, x []float32) {
	normed := p.norm(x, l.MLPNorm)
	logits := times(l.router, normed, l.Router.Bias)
	r := newRouting(p.config, 1)
	r.choose(logits, r.expert, r.weight)
	kernel.Kernel{}.Softmax(r.weight)
	bias := make([]float32, 2*p.config.IntermediateSize)
	for i, e := range r.expert {
		l.GateUp.Bias.Row(int(e), bias)
		both := times(l.gateUp[e], roundActivations(normed), bias)
		inner := make([]float32, p.config.IntermediateSize)
		for j := range inner {
			gate, up := min(float64(both[2*j]), 7), min(max(float64(both[2*j+1]), -7), 7)
			inner[j] = float32(gate / (1 + math.Exp(-model.SwiGLUAlpha*gate)) * (up + 1))
		}
		l.Down.Bias.Row(int(e), bias)
		add(x, r.weight[i], times(l.down[e], roundActivations(inner), bias[:p.config.HiddenSize]))
	}
}

func TestChoose(t *testing.T) {
	nan := float32(math.NaN())
	tests := map[string]struct {
		logits []float32
		want   [2]int32
	}{
		"the largest first":                  {[]float32{1, 3, 2, 0}, [2]int32{1, 2}},
		"of equals the lowest index":         {[]float32{1, 2, 2, 2}, [2]int32{1, 2}},
		"all equal":                          {[]float32{5, 5, 5}, [2]int32{0, 1}},
		"negative ones":                      {[]float32{-3, -1, -2}, [2]int32{1, 2}},
		"nothing to choose by, still chosen": {[]float32{nan, nan, nan}, [2]int32{0, 1}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := routing{taken: make([]bool, len(tc.logits))}
			var got [2]int32
			var values [2]float32
			r.choose(tc.logits, got[:], values[:])
			if got != tc.want {
				t.Errorf("experts %v, want %v", got, tc.want)
			}
			for i, e := range got {
				if math.Float32bits(values[i]) != math.Float32bits(tc.logits[e]) {
					t.Errorf("logit %d is %v, want %v", i, values[i], tc.logits[e])
				}
			}
		})
	}
}
