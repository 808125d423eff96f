package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/model"
)

// Engine runs requests on one model. Its methods may be called from any
// goroutine.
type Engine struct {
	runner        runner
	swap          *swap
	contextLength int
	vocabulary    int // ids that a prompt may hold
	sampled       int // ids that may be sampled
	queueLimit    int
	log           *slog.Logger
	counters      counters
	began         time.Time // where the step loop's clock is zero

	incoming chan *task    // capacity queueLimit: a reserved place never blocks
	draining chan struct{} // closed: no new work, the loop ends when idle
	stopping chan struct{} // closed: the loop ends after its current step
	done     chan struct{} // closed by the loop as it ends

	mu               sync.Mutex // guards the two flags, and their order with incoming
	refusing, closed bool
}

// New starts an engine on a model. Packing a checkpoint takes a while and the memory of the whole model; packed weights
// are used where they lie.
func New(o Options) (*Engine, error) {
	c, err := o.config()
	if err != nil {
		return nil, err
	}
	o.setDefaults(c.MaxContext, c.VocabSize)
	if err := o.check(c.MaxContext, c.VocabSize); err != nil {
		return nil, err
	}
	l, err := layoutOf(c, &o)
	if err == nil {
		_, err = l.schedule(&o, [2]int{}) // before the weights take their time
	}
	if err != nil {
		return nil, err
	}
	w, err := o.weights()
	if err != nil {
		return nil, err
	}
	m, err := cpu.New(w, cpu.Options{
		Threads: o.Threads, Kernel: o.Kernel, PageTokens: model.PageTokens, FullPages: l.fullPages, WindowPages: l.windowPages,
		MaxTokens: o.MaxBatchTokens, MaxLogits: min(o.BatchSize, o.MaxBatchTokens),
	})
	if err != nil {
		return nil, err
	}
	e, err := start(m, l, o)
	if err != nil {
		m.Close()
		return nil, err
	}
	o.Logger.Info("engine started", "kernel", m.Kernel(), "threads", m.Threads(), "sequences", o.MaxSequences, "kv_tokens", l.fullPages*l.pageTokens)
	return e, nil
}

// start starts the loop on a model, which the engine closes as it ends.
func start(r runner, l layout, o Options) (*Engine, error) {
	e, loop, err := prepare(r, l, o)
	if err != nil {
		return nil, err
	}
	go loop.run()
	return e, nil
}

// prepare makes an engine whose loop does not run yet.
func prepare(r runner, l layout, o Options) (*Engine, *loop, error) {
	o.setDefaults(l.contextLength, l.vocabulary)
	if err := o.check(l.contextLength, l.vocabulary); err != nil {
		return nil, nil, err
	}
	space, err := newSwap(o.SwapBytes, r)
	if err != nil {
		return nil, nil, err
	}
	s, err := l.schedule(&o, space.counts())
	if err != nil {
		_ = space.close() // nothing was written to it
		return nil, nil, err
	}
	e := &Engine{
		runner:        r,
		swap:          space,
		contextLength: o.ContextLength,
		vocabulary:    l.vocabulary,
		sampled:       o.VocabularyLimit,
		queueLimit:    o.QueueLimit,
		log:           o.Logger,
		began:         time.Now(),
		incoming:      make(chan *task, o.QueueLimit),
		draining:      make(chan struct{}),
		stopping:      make(chan struct{}),
		done:          make(chan struct{}),
	}
	slots := space.counts()
	e.counters.prepare(capacity{kvPages: l.fullPages, swapSlots: slots[0] + slots[1], pageTokens: l.pageTokens})
	return e, newLoop(e, s, &o, l.pageTokens, max(l.layers, 1)), nil
}

// ContextLength is the number of tokens that a prompt and its answer may have
// together.
func (e *Engine) ContextLength() int { return e.contextLength }

// Submit queues a request and returns at once. When ctx ends, the request ends
// within one step with [FinishCancelled].
func (e *Engine) Submit(ctx context.Context, r Request) (*Stream, error) {
	maxTokens, err := r.check(e.contextLength, e.vocabulary)
	if err != nil {
		return nil, err
	}
	t := &task{ctx: ctx, request: r, maxTokens: maxTokens, arrived: time.Since(e.began)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refusing || e.closed {
		return nil, fmt.Errorf("engine: %w", ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	if n := e.counters.waiting.Load(); n >= int64(e.queueLimit) {
		return nil, fmt.Errorf("engine: %w: %d requests are waiting", ErrQueueFull, n)
	}
	t.stream = NewStream(maxTokens)
	t.stream.gaps = &e.counters.gaps
	e.counters.waiting.Add(1)
	e.incoming <- t
	return t.stream, nil
}

// Stats returns a snapshot without waiting for the step loop.
func (e *Engine) Stats() Stats { return e.counters.snapshot() }

// Drain refuses new work and waits until every accepted request has ended, or
// until ctx ends. Call Close afterwards in either case.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.Lock()
	if !e.refusing {
		e.refusing = true
		close(e.draining)
	}
	e.mu.Unlock()
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("engine: draining: %w", ctx.Err())
	}
}

// Close refuses new work, ends waiting requests at once and the running ones
// after their current step, all with [ErrClosed], and returns when the model is no
// longer in use.
func (e *Engine) Close() error {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.stopping)
	}
	e.mu.Unlock()
	<-e.done
	return nil
}
