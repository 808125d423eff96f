package cpu

import (
	"errors"
	"fmt"

	"github.com/gptoss/gptoss-operator/engine/kernel"
)

// Sequence is what a step does for one text. The pages that it writes to, those of its tokens, must belong to no other
// sequence of the step; pages that it only reads may be shared.
type Sequence struct {
	Tokens   []int32   // to be computed, at least one
	Position int       // of Tokens[0]; everything before it is in the pages
	Full     []int32   // page of every PageTokens positions, for the layers that see everything
	Window   []int32   // the same for the layers with a window; entries wholly before the window are not read
	Logits   []float32 // [k, vocab]: filled for the last k tokens; empty for none
}

// row is one token of a step.
type row struct{ sequence, position, token int32 }

// batch is what the step under way computes.
type batch struct {
	sequences []Sequence
	rows      []row
	asked     []int32     // the rows whose logits are wanted
	logits    [][]float32 // where they go: [vocab] each
	whole     int         // rows that go through all layers; those after them only through the layers from first to last-1
	first     int
	last      int
}

// Step computes all tokens of all sequences in one pass: it stores their keys and values in the sequences' pages and
// fills the logits. A row's results depend on its own sequence only, to the last bit: not on the rows beside it, on how
// the sequence was cut into steps, or on the number of threads. Step allocates nothing.
//
// An error that is a [PanicError] may leave the pages of these tokens half written; after any other, nothing was changed.
func (m *Model) Step(sequences []Sequence) error {
	return m.StepBeside(sequences, len(sequences), 0, 0)
}

// StepBeside is Step for the first whole sequences; the others go through the layers from first to last-1 only. With
// calls for the layers that follow, up to the last one, they get the same results as with one Step, while each call takes
// a part of the time: so many tokens of a prompt can be computed together without making others wait. Between these calls,
// which must name the same sequences, first of which layer they left off, nobody else may have sequences beside.
func (m *Model) StepBeside(sequences []Sequence, whole, first, last int) error {
	if err := m.usable(); err != nil {
		return err
	}
	if whole < 0 || whole > len(sequences) || whole < len(sequences) && (first < 0 || first >= last || last > len(m.weights.Layers)) {
		return fmt.Errorf("cpu: %d of %d sequences beside, in layers %d to %d of %d", len(sequences)-whole, len(sequences), first, last-1, len(m.weights.Layers))
	}
	m.batch.first, m.batch.last = first, last
	if err := m.plan(sequences, whole); err != nil {
		return fmt.Errorf("cpu: %w", err)
	}
	err := m.pool.step()
	m.batch.sequences = nil
	clear(m.batch.logits)
	return err
}

// plan checks the sequences and lists their rows.
func (m *Model) plan(sequences []Sequence, whole int) error {
	b := &m.batch
	b.sequences, b.rows, b.asked, b.logits = sequences, b.rows[:0], b.asked[:0], b.logits[:0]
	if len(sequences) == 0 {
		return errors.New("a step without sequences")
	}
	vocab := m.weights.Config.VocabSize
	for i := range sequences {
		s := &sequences[i]
		if err := m.check(s); err != nil {
			return fmt.Errorf("sequence %d: %w", i, err)
		}
		if i == whole {
			b.whole = len(b.rows)
		}
		k := len(s.Logits) / vocab
		if i >= whole && b.last < len(m.weights.Layers) {
			k = 0 // not yet
		}
		if len(s.Tokens) > m.options.MaxTokens-len(b.rows) || k > m.options.MaxLogits-len(b.asked) {
			return fmt.Errorf("a step of more than %d tokens or %d logits", m.options.MaxTokens, m.options.MaxLogits)
		}
		for t, token := range s.Tokens {
			if at := t - (len(s.Tokens) - k); at >= 0 {
				b.asked = append(b.asked, int32(len(b.rows)))
				b.logits = append(b.logits, s.Logits[at*vocab:(at+1)*vocab])
			}
			b.rows = append(b.rows, row{int32(i), int32(s.Position + t), token})
		}
	}
	if whole == len(sequences) {
		b.whole = len(b.rows)
	}
	copy(m.residual, m.whole[:b.whole])
	copy(m.residual[b.whole:], m.beside[:len(b.rows)-b.whole])
	return nil
}

// check reports what is wrong with a sequence by itself.
func (m *Model) check(s *Sequence) error {
	c := m.weights.Config
	if len(s.Tokens) == 0 {
		return errors.New("no tokens")
	}
	for _, token := range s.Tokens {
		if token < 0 || int(token) >= c.VocabSize {
			return fmt.Errorf("token %d, want 0 to %d", token, c.VocabSize-1)
		}
	}
	if s.Position < 0 || s.Position > c.MaxContext || len(s.Tokens) > c.MaxContext-s.Position {
		return fmt.Errorf("%d tokens from position %d, want positions 0 to %d", len(s.Tokens), s.Position, c.MaxContext-1)
	}
	if k := len(s.Logits) / c.VocabSize; len(s.Logits) != k*c.VocabSize || k > len(s.Tokens) {
		return fmt.Errorf("room for %d logits, want %d for each of at most %d tokens", len(s.Logits), c.VocabSize, len(s.Tokens))
	}
	for kind, table := range [kinds][]int32{Full: s.Full, Window: s.Window} {
		if err := m.checkTable(Kind(kind), table, s); err != nil {
			return err
		}
	}
	return nil
}

// checkTable wants a page for every position that the sequence's tokens see or are, in the layers of the kind.
func (m *Model) checkTable(kind Kind, table []int32, s *Sequence) error {
	if m.cache.pageBytes(kind) == 0 {
		return nil // no layer of the kind
	}
	first := 0
	if kind == Window {
		first = max(0, s.Position-m.weights.Config.SlidingWindow+1)
	}
	size, pages := m.options.PageTokens, m.options.FullPages
	if kind == Window {
		pages = m.options.WindowPages
	}
	needed := (s.Position + len(s.Tokens) + size - 1) / size
	if len(table) < needed {
		return fmt.Errorf("%d %s pages of %d tokens, want %d", len(table), kind, size, needed)
	}
	for i, page := range table[first/size : needed] {
		if page < 0 || int(page) >= pages {
			return fmt.Errorf("%s page %d is number %d, want 0 to %d", kind, first/size+i, page, pages-1)
		}
	}
	return nil
}

const (
	// rowChunk is how many activation rows meet the same few tiles of weights: together they fit the second-level cache.
	rowChunk = 64
	// tileChunk is that number of tiles. 64 rows of gate and up, taken in turns, make the 32 columns of one block.
	tileChunk = 4
	// chunkRows is the number of weight rows in it.
	chunkRows = tileChunk * kernel.TileRows
)

// worker is what one thread of the pool works with.
type worker struct {
	*Model
	id    int
	layer int
	live  []int32 // the rows that go on in this layer; "live row" j is row live[j]

	normed    []float32    // [hidden]
	mixed     [2][]float32 // [heads × head_dim], of which one part of the heads is in use, for each of two rows
	gateUp    [][]float32  // [rowChunk][2 × intermediate], overlapping
	attention kernel.Workspace
}

func newWorker(m *Model, id int) *worker {
	d := m.size
	w := &worker{Model: m, id: id, normed: make([]float32, d.hidden), mixed: [2][]float32{make([]float32, d.query), make([]float32, d.query)}}
	// A product writes to rows as wide as the matrix, of which a chunk of tiles fills 64 columns. The rows lie 64 columns
	// apart, so that those never meet, and the memory stays in the cache.
	flat := make([]float32, (rowChunk-1)*chunkRows+2*d.inter)
	w.gateUp = make([][]float32, rowChunk)
	for j := range w.gateUp {
		w.gateUp[j] = flat[j*chunkRows:][:2*d.inter]
	}
	return w
}

// forward is the program of the pool: one step, phase by phase. All that decides about the phases is the same for all
// workers.
func (w *worker) forward() {
	p, b := w.pool, &w.batch
	for l := range w.weights.Layers {
		layer := &w.weights.Layers[l]
		rows := b.whole
		if l >= b.first && l < b.last {
			rows = len(b.rows)
		}
		w.layer, w.live = l, w.every[:rows]
		entering := rows
		if l == b.last {
			entering = len(b.rows) // those that leave here still get what the experts before said
		}
		if entering == 0 {
			continue
		}
		p.each(w.id, entering, w.enter, nil)
		if rows == 0 {
			continue
		}
		p.each(w.id, layer.QKV.Tiles(), w.project, nil)
		p.each(w.id, rows, w.store, nil)
		if l == len(w.weights.Layers)-1 {
			w.live = w.batch.asked // nobody reads the others from here on
		}
		if len(w.live) == 0 {
			return
		}
		p.each(w.id, len(w.live)*w.headParts(), w.attend, nil)
		p.each(w.id, layer.Output.Tiles(), w.output, nil)
		p.each(w.id, len(w.live)*w.routeParts(), w.route, w.group)
		p.each(w.id, len(w.routing.groups)*w.innerChunks(), w.expand, nil)
		p.each(w.id, len(w.routing.groups)*w.outerChunks(), w.contract, nil)
	}
	if len(w.live) == 0 {
		return
	}
	p.each(w.id, len(w.live), w.leave, nil)
	p.each(w.id, w.weights.LMHead.Tiles(), w.head, nil)
}

// mulInt8 multiplies tiles of a matrix with all rows of x, in pieces that stay in the cache.
func (w *worker) mulInt8(dst [][]float32, m *kernel.Int8, x [][]kernel.Block, first, last int) {
	for tile := first; tile < last; tile += tileChunk {
		for r := 0; r < len(x); r += rowChunk {
			to := min(r+rowChunk, len(x))
			w.kernel.MulInt8(dst[r:to], m, x[r:to], tile, min(tile+tileChunk, last))
		}
	}
}

// leave turns the last residuals into what lm_head reads.
func (w *worker) leave(first, last int) {
	for j := first; j < last; j++ {
		x := w.residual[w.live[j]]
		w.addExperts(x, j)
		w.kernel.RMSNorm(w.normed, x, w.weights.FinalNorm, float32(w.weights.Config.RMSNormEps))
		w.kernel.Quantise(w.input[j], w.normed)
	}
}

// head computes the logits of the tokens of a few tiles.
func (w *worker) head(first, last int) {
	w.mulInt8(w.batch.logits, &w.weights.LMHead, w.input[:len(w.live)], first, last)
}
