package cpu

import (
	"math"

	"github.com/gptoss/gptoss-operator/engine/kernel"
)

// enter begins a layer for a few rows: what the experts of the layer before say is added to the residual, in the first
// layer the residual is the embedding, and its norm is quantised once for queries, keys and values. Rows that go through
// some of the layers only begin where they left off, and end with what the experts say.
func (w *worker) enter(first, last int) {
	norm, eps := w.weights.Layers[w.layer].AttentionNorm, float32(w.weights.Config.RMSNormEps)
	for t := first; t < last; t++ {
		x := w.residual[t]
		begins := 0
		if t >= w.batch.whole {
			begins = w.batch.first
		}
		if w.layer == begins {
			w.rope.Tables(w.cos[t], w.sin[t], int(w.batch.rows[t].position))
		} else {
			w.addExperts(x, t)
		}
		if w.layer == 0 {
			w.embed(x, w.batch.rows[t].token)
		}
		if t >= len(w.live) {
			continue
		}
		w.kernel.RMSNorm(w.normed, x, norm, eps)
		w.kernel.Quantise(w.input[t], w.normed)
	}
}

func (w *worker) embed(x []float32, token int32) {
	for i, v := range w.weights.Embedding[int(token)*len(x):][:len(x)] {
		x[i] = math.Float32frombits(uint32(v) << 16)
	}
}

// project computes queries, keys and values, without biases, of a few tiles.
func (w *worker) project(first, last int) {
	n := len(w.live)
	w.mulInt8(w.qkv[:n], &w.weights.Layers[w.layer].QKV, w.input[:n], first, last)
}

// store adds the biases of a few rows, turns their queries and keys, and puts keys and values into the cache.
func (w *worker) store(first, last int) {
	l, d := &w.weights.Layers[w.layer], w.size
	pages := &w.cache.layers[w.layer]
	for t := first; t < last; t++ {
		x := w.qkv[t]
		w.kernel.Axpy(x, 1, l.QKVBias)
		w.kernel.RoPE(x[:d.query+d.keyValue], w.cos[t], w.sin[t])
		position := int(w.batch.rows[t].position)
		page := w.table(t)[position/pages.Tokens]
		pages.Store(page, position%pages.Tokens, x[d.query:d.query+d.keyValue], x[d.query+d.keyValue:])
	}
}

// table returns the pages of a row's sequence in this layer.
func (w *worker) table(t int) []int32 {
	s := &w.batch.sequences[w.batch.rows[t].sequence]
	if w.cache.kinds[w.layer] == Window {
		return s.Window
	}
	return s.Full
}

// headParts returns in how many parts the heads of a row are split. A part ends with whole blocks, so that it can
// quantise its own columns.
func (w *worker) headParts() int {
	if c := w.weights.Config; w.size.query/c.KVHeads%kernel.BlockLen == 0 {
		return c.KVHeads
	}
	return 1
}

// attend mixes values for a few pairs of live row and part of the heads. Rows of a part follow each other: neighbours in
// a prompt read the same pages, and two of them are computed together.
func (w *worker) attend(first, last int) {
	n := len(w.live)
	for i := first; i < last; {
		part, j := i/n, i%n
		if i+1 < last && j+1 < n && w.batch.rows[w.live[j]].sequence == w.batch.rows[w.live[j+1]].sequence {
			w.attendPair(part, j)
			i += 2
			continue
		}
		query := w.query(j)
		t, heads := w.live[j], w.weights.Config.KVHeads/w.headParts()
		w.kernel.Attend(w.mixed[0], w.qkv[t][:w.size.query], &w.cache.layers[w.layer], &query, part*heads, (part+1)*heads, &w.attention)
		w.mix(part, j, w.mixed[0])
		i++
	}
}

// attendPair is attend for live rows j and j+1 of one sequence.
func (w *worker) attendPair(part, j int) {
	heads := w.weights.Config.KVHeads / w.headParts()
	query := [2]kernel.Query{w.query(j), w.query(j + 1)}
	q := [2][]float32{w.qkv[w.live[j]][:w.size.query], w.qkv[w.live[j+1]][:w.size.query]}
	w.kernel.AttendPair(&w.mixed, &q, &w.cache.layers[w.layer], &query, part*heads, (part+1)*heads, &w.attention)
	for i := range w.mixed {
		w.mix(part, j+i, w.mixed[i])
	}
}

// mix quantises what a part of the heads of live row j found.
func (w *worker) mix(part, j int, found []float32) {
	width := w.size.query / w.headParts()
	blocks := kernel.Blocks(width)
	w.kernel.Quantise(w.attended[j][part*blocks:(part+1)*blocks], found[part*width:(part+1)*width])
}

// query says what live row j attends to in this layer.
func (w *worker) query(j int) kernel.Query {
	c, t := w.weights.Config, int(w.live[j])
	position := int(w.batch.rows[t].position)
	query := kernel.Query{
		Last:  position + 1,
		Table: w.table(t),
		Scale: float32(1 / math.Sqrt(float64(c.HeadDim))),
		Sinks: w.weights.Layers[w.layer].Sinks,
	}
	if window := c.Window(w.layer); window > 0 {
		query.First = max(0, position+1-window)
	}
	return query
}

// output adds the output projection and its bias to the residual of all live rows, for the columns of a few tiles.
func (w *worker) output(first, last int) {
	l, n := &w.weights.Layers[w.layer], len(w.live)
	w.mulInt8(w.projected[:n], &l.Output, w.attended[:n], first, last)
	lo, hi := first*kernel.TileRows, min(last*kernel.TileRows, w.size.hidden)
	for j, t := range w.live {
		x := w.residual[t][lo:hi]
		w.kernel.Axpy(x, 1, w.projected[j][lo:hi])
		w.kernel.Axpy(x, 1, l.OutputBias[lo:hi])
	}
}
