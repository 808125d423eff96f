package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/gptoss/gptoss-operator/engine/sample"
)

// prefillChunk is the number of prompt tokens per step: long enough to be
// efficient, short enough that a cancelled prompt is noticed soon.
const prefillChunk = 32

// task is a request on its way through the engine.
type task struct {
	ctx       context.Context
	request   Request
	maxTokens int
	stream    *Stream

	state     sequence
	prefilled int // prompt tokens that the sequence holds
	generated int
	last      [1]int32 // the token generated last
}

// loop is the state that only the step goroutine touches.
type loop struct {
	*Engine
	waiting []*task // in order of arrival, taken from incoming
	running *task
	sampler *sample.Sampler
}

func newLoop(e *Engine) *loop {
	return &loop{Engine: e, sampler: sample.New(sample.Params{}, e.sampled)}
}

// run steps until the engine is closed, or drained and idle.
func (l *loop) run() {
	defer close(l.done)
	for {
		l.collect()
		select {
		case <-l.stopping:
			l.abandon()
			return
		default:
		}
		if l.running == nil && !l.admit() {
			if !l.sleep() {
				return
			}
			continue
		}
		l.step()
	}
}

// sleep waits for work and reports whether the loop goes on.
func (l *loop) sleep() bool {
	select {
	case t := <-l.incoming:
		l.waiting = append(l.waiting, t)
		return true
	case <-l.stopping:
		return true // run ends what is left
	case <-l.draining:
		// Submit sends before it lets go of the lock that Drain takes, so what
		// was accepted is in the channel by now.
		l.collect()
		return len(l.waiting) > 0
	}
}

// collect takes what has arrived and lets go of what was cancelled meanwhile.
func (l *loop) collect() {
	for len(l.incoming) > 0 {
		l.waiting = append(l.waiting, <-l.incoming)
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(t *task) bool {
		if t.ctx.Err() == nil {
			return false
		}
		l.counters.queued.Add(-1)
		t.stream.Finish(FinishCancelled, context.Cause(t.ctx))
		return true
	})
	if t := l.running; t != nil && t.ctx.Err() != nil {
		l.finish(FinishCancelled, context.Cause(t.ctx))
	}
}

// admit starts the request that has waited longest.
func (l *loop) admit() bool {
	if len(l.waiting) == 0 {
		return false
	}
	l.running = l.waiting[0]
	l.waiting = slices.Delete(l.waiting, 0, 1)
	l.counters.active.Add(1)
	l.counters.queued.Add(-1)
	l.sampler.Reset(l.running.request.Sampling)
	l.sampler.Prompt(l.running.request.Prompt)
	return true
}

// step runs one forward pass: a chunk of the prompt, or the last token.
func (l *loop) step() {
	t := l.running
	input := t.last[:]
	if t.prefilled < len(t.request.Prompt) {
		end := min(t.prefilled+prefillChunk, len(t.request.Prompt))
		input = t.request.Prompt[t.prefilled:end]
		t.prefilled = end
		l.counters.promptTokens.Add(uint64(len(input)))
	}
	complete := t.prefilled == len(t.request.Prompt)
	token, err := l.forward(t, input, complete)
	if err != nil {
		l.finish(FinishError, err)
		return
	}
	l.counters.kvTokens.Add(int64(len(input)))
	if complete {
		l.deliver(t, token)
	}
}

// forward runs the model and, if asked, samples the next token. A panic becomes
// an error of this request.
func (l *loop) forward(t *task, input []int32, draw bool) (token Token, err error) {
	l.counters.beginStep()
	defer l.counters.endStep()
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("panic in the forward pass", "request", t.request.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errors.New("engine: the forward pass panicked")
		}
	}()
	if t.state == nil {
		if t.state, err = l.runner.NewSequence(len(t.request.Prompt) + t.maxTokens); err != nil {
			return Token{}, fmt.Errorf("engine: %w", err)
		}
	}
	logits, err := t.state.Next(input)
	if err != nil {
		return Token{}, fmt.Errorf("engine: %w", err)
	}
	if draw {
		token = l.draw(&t.request, logits)
	}
	return token, nil
}

// draw samples a token and, if the request asks, measures it.
func (l *loop) draw(r *Request, logits []float32) Token {
	token := Token{ID: l.sampler.Sample(logits)}
	if r.Logprobs != nil {
		top := make([]sample.Logprob, *r.Logprobs)
		chosen, n := l.sampler.Logprob(logits, token.ID, top)
		token.Logprobs = &Logprobs{Chosen: chosen, Top: top[:n]}
	}
	return token
}

// deliver hands a token to the reader and ends the request if it was the last.
func (l *loop) deliver(t *task, token Token) {
	t.last[0] = token.ID
	t.generated++
	l.counters.generated.Add(1)
	// The stream has room for maxTokens, so this never waits.
	if err := t.stream.Send(t.ctx, token); err != nil {
		l.finish(FinishCancelled, err)
		return
	}
	switch {
	case slices.Contains(t.request.StopTokens, token.ID):
		l.finish(FinishStop, nil)
	case t.generated >= t.maxTokens:
		l.finish(FinishLength, nil)
	}
}

// finish ends the running request and frees its memory.
func (l *loop) finish(reason FinishReason, err error) {
	t := l.running
	l.running = nil
	if t.state != nil {
		t.state.Close()
	}
	l.counters.active.Add(-1)
	l.counters.kvTokens.Store(0)
	t.stream.Finish(reason, err)
}

// abandon ends everything that is left when the engine closes.
func (l *loop) abandon() {
	closed := fmt.Errorf("engine: %w", ErrClosed)
	if l.running != nil {
		l.finish(FinishError, closed)
	}
	// Submit holds the lock from its check to its send: once it is ours, nothing
	// more arrives.
	l.mu.Lock()
	defer l.mu.Unlock()
	l.collect()
	for _, t := range l.waiting {
		l.counters.queued.Add(-1)
		t.stream.Finish(FinishError, closed)
	}
	l.waiting = nil
}
