package cpu

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/model"
)

// Options says how a model is run and what it has room for.
type Options struct {
	Threads     int    // workers, each on an operating-system thread of its own; 0 for one per core that Go may use
	Kernel      string // as kernel.Select knows it; empty for the best one
	PageTokens  int    // tokens in a page of keys and values, at most kernel.MaxPageTokens
	FullPages   int    // pages for the layers that see everything
	WindowPages int    // pages for the layers that see a window
	MaxTokens   int    // most tokens that one step computes, of all sequences together
	MaxLogits   int    // most of them whose logits are wanted
}

// Bounds of Options that keep every size within an int.
const (
	maxThreads = 1 << 10
	maxRows    = 1 << 16
	maxPages   = 1 << 30
)

// swigluLimit is what kernel.SwiGLU clamps at.
const swigluLimit = 7

// errClosed is what a closed model answers.
var errClosed = errors.New("cpu: the model is closed")

// Model runs the forward pass of many sequences together. Its methods are for one goroutine at a time.
type Model struct {
	weights *Weights
	size    dimensions
	options Options
	kernel  kernel.Kernel
	rope    model.RoPE
	cache   *cache
	pool    *pool
	workers []*worker
	batch   batch
	closed  bool

	every     []int32          // 0, 1, 2 …: the rows of a layer in which all go on
	residual  [][]float32      // [row][hidden]: of whole, then of beside
	whole     [][]float32      // [row][hidden], of rows that go through all layers
	beside    [][]float32      // [row][hidden], of rows that go through some; kept from step to step
	cos, sin  [][]float32      // [row][head_dim / 2], of the row's position
	input     [][]kernel.Block // [row][hidden], normed: what qkv, the experts and lm_head read
	qkv       [][]float32      // [row][qkv]
	attended  [][]kernel.Block // [live row][heads × head_dim], what attention found
	projected [][]float32      // [live row][hidden]
	routing   routing
}

// New prepares a model on weights, whose memory must stay as it is until Close. All memory that steps need is allocated
// here; pages of the cache take up room as they are written to.
func New(w *Weights, o Options) (*Model, error) {
	if err := w.check(); err != nil {
		return nil, fmt.Errorf("cpu: weights: %w", err)
	}
	if w.Config.HeadDim > kernel.MaxHeadDim {
		return nil, fmt.Errorf("cpu: heads of %d dimensions, want at most %d", w.Config.HeadDim, kernel.MaxHeadDim)
	}
	if w.Config.SwiGLULimit != swigluLimit {
		return nil, fmt.Errorf("cpu: swiglu_limit of %g, want %d", w.Config.SwiGLULimit, swigluLimit)
	}
	if err := o.check(w.Config); err != nil {
		return nil, err
	}
	k, err := kernel.Select(o.Kernel)
	if err != nil {
		return nil, fmt.Errorf("cpu: %w", err)
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	c, err := newCache(w.Config, o.PageTokens, [kinds]int{Full: o.FullPages, Window: o.WindowPages})
	if err != nil {
		return nil, err
	}
	m := &Model{weights: w, size: dimensionsOf(w.Config), options: o, kernel: k, rope: w.Config.RoPE(), cache: c}
	m.allocate()
	spins := decodeSpins
	if o.Threads > runtime.GOMAXPROCS(0) {
		spins = 0 // the worker waited for may need the core
	}
	m.pool = newPool(o.Threads, spins, func(id int) { m.workers[id].forward() })
	return m, nil
}

func (o Options) check(c model.Config) error {
	var needed [kinds]int // of each kind of pages, where there are layers that use them
	for l := range c.Layers {
		if c.Window(l) > 0 {
			needed[Window] = 1
		} else {
			needed[Full] = 1
		}
	}
	numbers := []struct {
		name            string
		value, min, max int
	}{
		{"threads", o.Threads, 0, maxThreads},
		{"tokens in a page", o.PageTokens, 1, kernel.MaxPageTokens},
		{"full pages", o.FullPages, needed[Full], maxPages},
		{"window pages", o.WindowPages, needed[Window], maxPages},
		{"tokens in a step", o.MaxTokens, 1, maxRows},
		{"logits in a step", o.MaxLogits, 0, o.MaxTokens},
	}
	for _, n := range numbers {
		if n.value < n.min || n.value > n.max {
			return fmt.Errorf("cpu: %d %s, want %d to %d", n.value, n.name, n.min, n.max)
		}
	}
	return nil
}

// allocate makes the working memory.
func (m *Model) allocate() {
	c, d, n := m.weights.Config, m.size, m.options.MaxTokens
	m.every = make([]int32, n)
	for i := range m.every {
		m.every[i] = int32(i)
	}
	m.residual = make([][]float32, n)
	m.whole, m.beside = newRows[float32](n, d.hidden), newRows[float32](n, d.hidden)
	m.cos, m.sin = newRows[float32](n, c.HeadDim/2), newRows[float32](n, c.HeadDim/2)
	m.input = newRows[kernel.Block](n, kernel.Blocks(d.hidden))
	m.qkv = newRows[float32](n, d.qkv)
	m.attended = newRows[kernel.Block](n, kernel.Blocks(d.query))
	m.projected = newRows[float32](n, d.hidden)
	m.routing = newRouting(c, n)
	m.batch = batch{
		rows:   make([]row, 0, n),
		asked:  make([]int32, 0, m.options.MaxLogits),
		logits: make([][]float32, 0, m.options.MaxLogits),
	}
	m.workers = make([]*worker, m.options.Threads)
	for id := range m.workers {
		m.workers[id] = newWorker(m, id)
	}
}

// newRows returns n zeroed rows of the given width in one allocation.
func newRows[T any](n, width int) [][]T {
	flat := make([]T, n*width)
	rows := make([][]T, n)
	for i := range rows {
		rows[i] = flat[i*width : (i+1)*width : (i+1)*width]
	}
	return rows
}

// Kernel returns the name of the kernels in use.
func (m *Model) Kernel() string { return m.kernel.String() }

// Threads returns the number of workers.
func (m *Model) Threads() int { return m.options.Threads }

func (m *Model) usable() error {
	if m.closed {
		return errClosed
	}
	return nil
}

// Close ends the workers and frees the cache. It is safe to call twice. No step may be under way.
func (m *Model) Close() {
	if m.closed {
		return
	}
	m.closed = true
	m.pool.close()
	m.cache.release()
}
