package engine

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/sample"
	"github.com/gptoss/gptoss-operator/engine/sched"
)

// runner is the model as the step loop sees it; [cpu.Model] is one.
type runner interface {
	// StepBeside computes the tokens of the first whole sequences and fills their logits, and takes the others through
	// layers first to last-1.
	StepBeside(sequences []cpu.Sequence, whole, first, last int) error
	// PageBytes returns the size of a page of keys and values.
	PageBytes(kind cpu.Kind) int
	// SavePage and LoadPage copy a page to and from a buffer of that size, between two steps.
	SavePage(kind cpu.Kind, page int32, buffer []byte) error
	LoadPage(kind cpu.Kind, page int32, buffer []byte) error
	// Close frees the memory. It comes last.
	Close()
}

// execute runs a step that the scheduler decided on.
func (l *loop) execute(step *sched.Step) {
	began := l.counters.beginStep()
	if err := l.move(step); err != nil {
		// Nobody's fault, and nobody's end: what could not be moved is computed again.
		l.log.Warn("the swap space failed", "error", err.Error())
		l.counters.endStep(began)
		l.sched.Abort()
		l.drop()
		return
	}
	whole := l.gather(step)
	err := l.forward(l.sequences, whole, l.beside.first, l.beside.last)
	if err != nil {
		l.isolate(step, err)
	}
	l.account(step, began, l.counters.endStep(began))
	l.draw(step)
	for i := range l.draws {
		l.answer(&l.draws[i])
	}
	clear(l.draws)
	l.sched.Done()
	if err != nil {
		l.drop()
	} else {
		l.settle()
	}
}

// move brings pages to and from the swap space, all saves first.
func (l *loop) move(step *sched.Step) error {
	for _, m := range step.Saves {
		if err := l.swap.save(l.runner, m); err != nil {
			return err
		}
	}
	for _, m := range step.Loads {
		if err := l.swap.load(l.runner, m); err != nil {
			return err
		}
	}
	return nil
}

// gather translates the step's rows for the model, and returns how many go through all layers; the others, last, are those
// of beside.
func (l *loop) gather(step *sched.Step) (whole int) {
	l.sequences = l.sequences[:0]
	b, logits := &l.beside, l.logits
	whole = len(step.Rows)
	if b.tokens > 0 && b.first > 0 && b.last == l.layers {
		whole -= len(b.sequences) // they have rejoined
	}
	for i := range step.Rows {
		r := &step.Rows[i]
		s := cpu.Sequence{Tokens: r.Tokens, Position: r.Position, Full: r.Full, Window: r.Window}
		switch {
		case r.Unfinished:
			whole = min(whole, i)
			b.sequences = append(b.sequences, s)
		case r.Sample:
			s.Logits, logits = logits[:l.vocabulary:l.vocabulary], logits[l.vocabulary:]
		}
		l.sequences = append(l.sequences, s)
	}
	if b.first > 0 && b.first < b.last && b.last < l.layers {
		l.sequences = append(l.sequences, b.sequences...)
	}
	return whole
}

// forward runs the model. A panic becomes an error.
func (l *loop) forward(sequences []cpu.Sequence, whole, first, last int) (err error) {
	defer catch(&err)
	return l.runner.StepBeside(sequences, whole, first, last)
}

// catch is deferred: it turns a panic into an error, as the workers of the forward pass do.
func catch(err *error) {
	if p := recover(); p != nil {
		*err = &cpu.PanicError{Value: p, Stack: debug.Stack()}
	}
}

// isolate finds out whose fault a failed step is: every row runs by itself, and only those end that fail again. Rows that
// would not have been finished begin anew.
func (l *loop) isolate(step *sched.Step, failure error) {
	alone := len(l.sequences) == 1
	for i := range step.Rows {
		r := &step.Rows[i]
		if r.Unfinished {
			r.Failed = true
			continue
		}
		if !alone {
			failure = l.forward(l.sequences[i:i+1], 1, 0, 0)
		}
		if failure != nil {
			r.Failed = true
			l.fail(l.tasks[r.ID], failure)
		}
	}
}

// fail ends a request that cannot go on. Of a panic the log gets the stack, and the caller a sentence.
func (l *loop) fail(t *task, err error) {
	if p, ok := errors.AsType[*cpu.PanicError](err); ok {
		l.log.Error("panic in the forward pass", "request", t.request.ID, "panic", fmt.Sprint(p.Value), "stack", string(p.Stack))
		err = errors.New("the forward pass panicked")
	}
	l.finish(t, FinishError, fmt.Errorf("engine: %w", err))
}

// account counts the tokens of a step that began then and took so long.
func (l *loop) account(step *sched.Step, began time.Time, took time.Duration) {
	decodes, prompts, layers := 0, 0, l.layers
	for i := range step.Rows {
		r := &step.Rows[i]
		if len(r.Tokens) == 1 {
			decodes++
		} else {
			prompts += len(r.Tokens)
		}
		t := l.tasks[r.ID]
		if t == nil { // it has failed
			continue
		}
		n := len(t.request.Prompt) - r.Position
		if n > 0 {
			t.stream.Begin(began)
		}
		if n > 0 && !r.Failed && !r.Unfinished {
			l.counters.promptTokens.Add(uint64(min(n, len(r.Tokens))))
		}
	}
	l.counters.batches.add(int64(len(step.Rows)))
	l.counters.stepTokens.add(int64(decodes + prompts))
	if b := &l.beside; b.tokens > 0 {
		prompts, layers = b.tokens, b.last-b.first
	}
	l.pace = l.pace.after(decodes, prompts, layers, took)
}

// draw chooses the tokens of all rows that are due.
func (l *loop) draw(step *sched.Step) {
	l.draws = l.draws[:0]
	for i := range step.Rows {
		r := &step.Rows[i]
		if !r.Sample || r.Failed || r.Unfinished {
			continue
		}
		t := l.tasks[r.ID]
		if t.sampler == nil {
			t.sampler = l.takeSampler()
			t.stream.SetCached(r.Cached)
		}
		l.draws = append(l.draws, draw{row: r, task: t, logits: l.sequences[i].Logits})
	}
	l.crew.run(l.draws)
}

// takeSampler returns a sampler that nobody uses. There are never more than sequences.
func (l *loop) takeSampler() *sample.Sampler {
	n := len(l.samplers) - 1
	if n < 0 {
		return sample.New(sample.Params{}, l.sampled)
	}
	s := l.samplers[n]
	l.samplers = l.samplers[:n]
	return s
}

// answer hands a token to the reader and ends the request if it was the last.
func (l *loop) answer(d *draw) {
	t := d.task
	if d.err != nil {
		l.fail(t, d.err)
		return
	}
	d.row.Token = d.token.ID
	t.generated++
	l.counters.generated.Add(1)
	// The stream has room for maxTokens, so this never waits.
	if err := t.stream.Send(t.ctx, d.token); err != nil {
		l.finish(t, FinishCancelled, err)
		return
	}
	switch {
	case slices.Contains(t.request.StopTokens, d.token.ID):
		l.finish(t, FinishStop, nil)
	case t.generated >= t.maxTokens:
		l.finish(t, FinishLength, nil)
	}
}
