package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/gptoss/gptoss-operator/engine/weights"
)

// defaultQueueLimit is how many requests may wait when Options names no limit.
const defaultQueueLimit = 128

// Options configure an engine.
type Options struct {
	// Checkpoint is the model. It must stay open until Close has returned.
	Checkpoint *weights.Checkpoint
	// ContextLength bounds prompt and generated tokens together; 0 asks for the
	// longest that the model was made for.
	ContextLength int
	// VocabularyLimit: ids at or above are never sampled; 0 allows them all.
	VocabularyLimit int
	// QueueLimit bounds the requests that wait for their turn; 0 means 128.
	QueueLimit int
	// Logger receives what no caller can see, such as the stack of a panic in
	// the forward pass; nil means [slog.Default].
	Logger *slog.Logger
}

// Engine runs requests on one model. Its methods may be called from any
// goroutine.
type Engine struct {
	runner        runner
	contextLength int
	vocabulary    int // ids that a prompt may hold
	sampled       int // ids that may be sampled
	queueLimit    int
	log           *slog.Logger
	counters      counters

	incoming chan *task    // capacity queueLimit: a reserved place never blocks
	draining chan struct{} // closed: no new work, the loop ends when idle
	stopping chan struct{} // closed: the loop ends after its current step
	done     chan struct{} // closed by the loop as it ends

	mu               sync.Mutex // guards the two flags, and their order with incoming
	refusing, closed bool
}

// New starts an engine on a checkpoint.
func New(o Options) (*Engine, error) {
	if o.Checkpoint == nil {
		return nil, fmt.Errorf("engine: no checkpoint")
	}
	c := o.Checkpoint.Config
	if o.ContextLength > c.MaxContext {
		return nil, fmt.Errorf("engine: context length %d, the model was made for at most %d", o.ContextLength, c.MaxContext)
	}
	if o.ContextLength == 0 {
		o.ContextLength = c.MaxContext
	}
	return start(newReferenceRunner(o.Checkpoint), c.VocabSize, o)
}

// start checks the limits and starts the loop.
func start(r runner, vocabulary int, o Options) (*Engine, error) {
	if o.ContextLength < 2 {
		return nil, fmt.Errorf("engine: context length %d, it must hold a prompt and an answer", o.ContextLength)
	}
	if o.VocabularyLimit < 0 || o.VocabularyLimit > vocabulary {
		return nil, fmt.Errorf("engine: vocabulary limit %d, the model has %d entries", o.VocabularyLimit, vocabulary)
	}
	if o.QueueLimit < 0 {
		return nil, fmt.Errorf("engine: queue limit %d is negative", o.QueueLimit)
	}
	if o.VocabularyLimit == 0 {
		o.VocabularyLimit = vocabulary
	}
	if o.QueueLimit == 0 {
		o.QueueLimit = defaultQueueLimit
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	e := &Engine{
		runner:        r,
		contextLength: o.ContextLength,
		vocabulary:    vocabulary,
		sampled:       o.VocabularyLimit,
		queueLimit:    o.QueueLimit,
		log:           o.Logger,
		incoming:      make(chan *task, o.QueueLimit),
		draining:      make(chan struct{}),
		stopping:      make(chan struct{}),
		done:          make(chan struct{}),
	}
	go newLoop(e).run()
	return e, nil
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
	t := &task{ctx: ctx, request: r, maxTokens: maxTokens}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refusing || e.closed {
		return nil, fmt.Errorf("engine: %w", ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	if n := e.counters.queued.Load(); n >= int64(e.queueLimit) {
		return nil, fmt.Errorf("engine: %w: %d requests are waiting", ErrQueueFull, n)
	}
	t.stream = NewStream(maxTokens)
	e.counters.queued.Add(1)
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

// Close refuses new work, ends waiting requests at once and the running one
// after its current step, all with [ErrClosed], and returns when the model is no
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
