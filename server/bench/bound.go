package bench

import (
	"math"

	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/model"
)

// cost is what a piece of work has to read from memory and to compute, whoever does it with these weights.
type cost struct {
	bytes      float64
	operations float64 // multiplications and additions of bytes
}

// pass is one forward pass: so many sequences, each with so many tokens after so many positions.
type pass struct {
	sequences, tokens, position int
	logits                      int // tokens whose logits are wanted, of all together
}

// shapes are the sizes of the weights of a layer, in bytes as they are packed.
type shapes struct {
	qkv, output, expert, router, head float64
}

func shapesOf(c model.Config) (shapes, error) {
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	qkv, err1 := kernel.Int8Bytes(q+2*kv, c.HiddenSize)
	output, err2 := kernel.Int8Bytes(c.HiddenSize, kernel.Blocks(q)*kernel.BlockLen)
	head, err3 := kernel.Int8Bytes(c.VocabSize, c.HiddenSize)
	gateUp, err4 := kernel.MXFP4Bytes(2*c.IntermediateSize, c.HiddenSize)
	down, err5 := kernel.MXFP4Bytes(c.HiddenSize, c.IntermediateSize)
	for _, err := range []error{err1, err2, err3, err4, err5} {
		if err != nil {
			return shapes{}, err
		}
	}
	return shapes{
		qkv: float64(qkv), output: float64(output), head: float64(head), expert: float64(gateUp + down),
		router: 4 * float64(c.Experts) * float64(c.HiddenSize),
	}, nil
}

// distinctExperts returns how many experts so many tokens meet on average, if all are as likely.
func distinctExperts(c model.Config, tokens int) float64 {
	e, k := float64(c.Experts), float64(c.ActiveExperts)
	return e * (1 - math.Pow(1-k/e, float64(tokens)))
}

// cost returns what the pass costs. Every weight that is needed is read once. Tokens without logits need no more of the
// last layer than its keys and values.
func (p pass) cost(c model.Config, s shapes) cost {
	const floatBytes = 4
	hidden, inter, heads := float64(c.HiddenSize), float64(c.IntermediateSize), float64(c.Heads)
	q, kv := float64(c.Heads*c.HeadDim), float64(c.KVHeads*c.HeadDim)
	rows := p.sequences * p.tokens
	total := cost{bytes: float64(rows) * hidden * 2} // of the embedding, in bfloat16
	for layer := range c.Layers {
		total.bytes += s.qkv + floatBytes*(hidden+q+2*kv) // and norm and bias
		total.operations += 2 * float64(rows) * hidden * (q + 2*kv)
		live := rows
		if layer == c.Layers-1 {
			live = p.logits
		}
		if live == 0 {
			continue
		}
		total.bytes += p.cacheBytes(c, layer)
		experts := distinctExperts(c, live)
		total.bytes += s.output + floatBytes*(hidden+heads) + // bias and sinks
			s.router + floatBytes*(hidden+float64(c.Experts)) + // norm and bias
			experts*(s.expert+floatBytes*(2*inter+hidden))
		total.operations += 2 * float64(live) * (hidden*q + float64(c.Experts)*hidden + float64(c.ActiveExperts)*3*hidden*inter)
	}
	if p.logits > 0 {
		total.bytes += s.head + floatBytes*hidden
		total.operations += 2 * float64(p.logits) * hidden * float64(c.VocabSize)
	}
	return total
}

// cacheBytes returns the keys and values that a layer reads.
func (p pass) cacheBytes(c model.Config, layer int) float64 {
	seen := p.position + p.tokens
	if w := c.Window(layer); w > 0 {
		seen = min(seen, w-1+p.tokens)
	}
	return float64(p.sequences) * float64(seen) * 2 * float64(c.KVHeads*c.HeadDim) * model.KVElementBytes
}

// prefillPasses are the passes that a prompt takes.
func prefillPasses(prompt, stepTokens int) []pass {
	var all []pass
	for at := 0; at < prompt; at += stepTokens {
		p := pass{sequences: 1, tokens: min(stepTokens, prompt-at), position: at}
		if at+p.tokens == prompt {
			p.logits = 1
		}
		all = append(all, p)
	}
	return all
}

// decodePasses are the passes in which so many sequences generate so many tokens each.
func decodePasses(sequences, context, tokens int) []pass {
	all := make([]pass, tokens)
	for i := range all {
		all[i] = pass{sequences: sequences, tokens: 1, position: context + i, logits: sequences}
	}
	return all
}

// bound returns how many tokens per second the machine allows in these passes, the slower of memory and arithmetic in each;
// nearby is the bandwidth meanwhile, in GB/s. It is nil if nobody knows what the machine can do.
func (r *Roofline) bound(c model.Config, passes []pass, nearby []float64) *Bound {
	if len(nearby) == 0 {
		return nil
	}
	bandwidth, peak := median(nearby)*1e9, r.Int8.Max*1e9
	s, err := shapesOf(c)
	if err != nil || bandwidth == 0 || peak == 0 {
		return nil
	}
	var seconds, reading, computing, tokens float64
	var all cost
	for _, p := range passes {
		k := p.cost(c, s)
		seconds += max(k.bytes/bandwidth, k.operations/peak)
		reading += k.bytes / bandwidth
		computing += k.operations / peak
		tokens += float64(p.sequences * p.tokens)
		all.bytes += k.bytes
		all.operations += k.operations
	}
	b := &Bound{
		Value: round(tokens / seconds), Limit: "bandwidth",
		Bytes: round(all.bytes / tokens), Operations: round(all.operations / tokens),
		Bandwidth: round(bandwidth / 1e9), Arithmetic: round(peak / 1e9),
	}
	if computing > reading {
		b.Limit = "int8"
	}
	return b
}
