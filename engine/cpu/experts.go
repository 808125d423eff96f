package cpu

import (
	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/model"
)

// routing is which experts the live rows visit and what the experts make of them. A visit, one row with one expert, has
// a slot; slots are in the order of experts, so that those of an expert are one run and its weights are read once.
type routing struct {
	logits [][]float32 // [live row][experts]
	taken  []bool      // [experts]
	expert []int32     // [live row][active], the best first
	weight []float32   // [live row][active], adding up to one
	slot   []int32     // [live row][active]
	next   []int32     // [experts], the next free slot of each
	groups []group     // the experts that are visited, in order

	input  [][]kernel.Block // [slot][hidden], shared with the rows
	inner  [][]kernel.Block // [slot][intermediate]
	output [][]float32      // [slot][hidden]
}

// group is one expert and its slots, first to last-1.
type group struct{ expert, first, last int }

func newRouting(c model.Config, rows int) routing {
	visits := rows * c.ActiveExperts
	return routing{
		logits: newRows[float32](rows, c.Experts),
		taken:  make([]bool, c.Experts),
		expert: make([]int32, visits),
		weight: make([]float32, visits),
		slot:   make([]int32, visits),
		next:   make([]int32, c.Experts),
		groups: make([]group, 0, c.Experts),
		input:  make([][]kernel.Block, visits),
		inner:  newRows[kernel.Block](visits, kernel.Blocks(c.IntermediateSize)),
		output: newRows[float32](visits, c.HiddenSize),
	}
}

// routeParts returns in how many parts the router of a row is split: one, unless there are too few rows for all workers.
// Each part takes the norm again, which costs less than another phase.
func (w *worker) routeParts() int {
	wanted := (4*len(w.workers) + len(w.live) - 1) / len(w.live)
	return min(wanted, (w.weights.Config.Experts+7)/8)
}

// route takes the norm of a few live rows, quantises it once for all experts, and computes their logits.
func (w *worker) route(first, last int) {
	c, l := w.weights.Config, &w.weights.Layers[w.layer]
	parts, hidden := w.routeParts(), w.size.hidden
	for i := first; i < last; i++ {
		j, part := i/parts, i%parts
		w.kernel.RMSNorm(w.normed, w.residual[w.live[j]], l.MLPNorm, float32(c.RMSNormEps))
		if part == 0 {
			w.kernel.Quantise(w.input[j], w.normed)
		}
		lo, hi := c.Experts*part/parts, c.Experts*(part+1)/parts
		logits := w.routing.logits[j][lo:hi]
		w.kernel.MulFloat32(logits, l.Router[lo*hidden:hi*hidden], w.normed)
		w.kernel.Axpy(logits, 1, l.RouterBias[lo:hi])
	}
}

// group chooses the experts of all live rows and gives every visit its slot. One worker does it: it takes far less time
// than any product.
func (w *worker) group() {
	r, active := &w.routing, w.weights.Config.ActiveExperts
	clear(r.next)
	for j := range w.live {
		at := j * active
		r.choose(r.logits[j], r.expert[at:at+active], r.weight[at:at+active])
		w.kernel.Softmax(r.weight[at : at+active])
		for _, e := range r.expert[at : at+active] {
			r.next[e]++
		}
	}
	r.groups = r.groups[:0]
	first := 0
	for e, n := range r.next {
		r.next[e] = int32(first)
		if n > 0 {
			r.groups = append(r.groups, group{e, first, first + int(n)})
			first += int(n)
		}
	}
	for i, e := range r.expert[:len(w.live)*active] {
		slot := r.next[e]
		r.next[e]++
		r.slot[i] = slot
		r.input[slot] = w.input[i/active]
	}
}

// choose writes the indices and values of the largest logits, the largest first; of equal ones the lowest index wins.
func (r *routing) choose(logits []float32, expert []int32, value []float32) {
	clear(r.taken)
	for i := range expert {
		best := -1
		for e, v := range logits {
			if !r.taken[e] && (best < 0 || v > logits[best]) {
				best = e
			}
		}
		r.taken[best] = true
		expert[i], value[i] = int32(best), logits[best]
	}
}

// innerChunks returns in how many items gate and up of one expert are split, each making a block of 32 columns.
func (w *worker) innerChunks() int { return w.size.inter / kernel.BlockLen }

// expand computes a few blocks of what lies between gate, up and down: product, bias, SwiGLU and quantisation.
func (w *worker) expand(first, last int) {
	l, r, chunks := &w.weights.Layers[w.layer], &w.routing, w.innerChunks()
	for i := first; i < last; i++ {
		g, block := r.groups[i/chunks], i%chunks
		lo := block * chunkRows
		bias := l.GateUpBias[g.expert*2*w.size.inter+lo:][:chunkRows]
		for from := g.first; from < g.last; from += rowChunk {
			to := min(from+rowChunk, g.last)
			dst := w.gateUp[:to-from]
			w.kernel.MulMXFP4(dst, &l.GateUp[g.expert], r.input[from:to], block*tileChunk, (block+1)*tileChunk)
			for j := range dst {
				x := dst[j][lo : lo+chunkRows]
				w.kernel.Axpy(x, 1, bias)
				w.kernel.SwiGLU(x[:kernel.BlockLen], x)
				w.kernel.Quantise(r.inner[from+j][block:block+1], x[:kernel.BlockLen])
			}
		}
	}
}

// outerChunks returns in how many items the down projection of one expert is split.
func (w *worker) outerChunks() int { return (w.size.hidden + chunkRows - 1) / chunkRows }

// contract computes a few columns of what experts say, with their biases.
func (w *worker) contract(first, last int) {
	l, r, chunks := &w.weights.Layers[w.layer], &w.routing, w.outerChunks()
	for i := first; i < last; i++ {
		g, chunk := r.groups[i/chunks], i%chunks
		down := &l.Down[g.expert]
		lo, hi := chunk*chunkRows, min((chunk+1)*chunkRows, w.size.hidden)
		bias := l.DownBias[g.expert*w.size.hidden+lo:][:hi-lo]
		for from := g.first; from < g.last; from += rowChunk {
			to := min(from+rowChunk, g.last)
			w.kernel.MulMXFP4(r.output[from:to], down, r.inner[from:to], chunk*tileChunk, min((chunk+1)*tileChunk, down.Tiles()))
			for _, y := range r.output[from:to] {
				w.kernel.Axpy(y[lo:hi], 1, bias)
			}
		}
	}
}

// addExperts adds to a residual what the experts of live row j say, by weight and in the order in which they were chosen.
// That this waits for the next phase over rows, instead of happening in contract, leaves each expert's weights and rows
// together there, and costs no phase of its own.
func (w *worker) addExperts(x []float32, j int) {
	active := w.weights.Config.ActiveExperts
	for i := j * active; i < (j+1)*active; i++ {
		w.kernel.Axpy(x, w.routing.weight[i], w.routing.output[w.routing.slot[i]])
	}
}
