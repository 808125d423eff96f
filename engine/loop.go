package engine

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/sample"
	"github.com/gptoss/gptoss-operator/engine/sched"
)

// task is a request on its way through the engine.
type task struct {
	ctx       context.Context
	request   Request
	maxTokens int
	arrived   time.Duration // on the loop's clock
	stream    *Stream

	id        sched.ID
	forget    func() bool     // no longer wakes the loop when ctx ends
	sampler   *sample.Sampler // from the first generated token on
	generated int
}

// loop is the state that only the step goroutine touches.
type loop struct {
	*Engine
	sched   *sched.Scheduler
	tasks   map[sched.ID]*task // accepted by the scheduler, not ended
	waiting int                // of these, as they were counted last
	pace    pace
	layers  int // of the model
	beside  beside
	share   func(p pace, tokens int) (layers int) // pace.layersFor
	page    int                                   // tokens of a page, 0 without a prefix cache
	timeout time.Duration                         // of batches
	timer   *time.Timer
	gone    chan struct{} // somebody's context has ended

	// Of the step under way.
	sequences []cpu.Sequence
	logits    []float32 // [batch size, vocabulary]
	draws     []draw

	crew     *crew
	samplers []*sample.Sampler // that nobody uses
}

func newLoop(e *Engine, s *sched.Scheduler, o *Options, pageTokens, layers int) *loop {
	l := &loop{
		Engine: e, sched: s, tasks: map[sched.ID]*task{},
		pace: newPace(layers, o), layers: layers, share: pace.layersFor, timeout: o.BatchTimeout,
		timer:     time.NewTimer(0),
		gone:      make(chan struct{}, 1),
		sequences: make([]cpu.Sequence, 0, o.BatchSize),
		logits:    make([]float32, o.BatchSize*e.vocabulary),
		draws:     make([]draw, 0, o.BatchSize),
		crew:      newCrew(o.Threads),
	}
	l.timer.Stop()
	if o.PrefixCaching {
		l.page = pageTokens
	}
	return l
}

// run steps until the engine is closed, or drained and idle.
func (l *loop) run() {
	defer close(l.done)
	defer l.release()
	for {
		l.collect()
		select {
		case <-l.stopping:
			l.abandon()
			return
		default:
		}
		if wait, ran := l.turn(); !ran && !l.sleep(wait) {
			return
		}
	}
}

// turn runs one step. If there is nothing to run it says for how long at most that will stay so: until a request arrives
// if wait is zero.
func (l *loop) turn() (wait time.Duration, ran bool) {
	now := time.Since(l.began)
	select {
	case <-l.draining:
		now += l.timeout // nobody comes any more to fill a batch
	default:
	}
	if len(l.sched.Unfinished()) < len(l.beside.sequences) {
		l.drop() // somebody has left, and took the pages along
	}
	step := l.sched.Next(now, l.pace.promptTokens())
	l.advance(step)
	l.publish()
	if len(step.Rows) == 0 {
		return step.Wait, false
	}
	l.execute(step)
	l.publish()
	// With one core this goroutine and the workers would wake each other for ever, and nobody would read the tokens.
	runtime.Gosched()
	return 0, true
}

// sleep waits for work, or for more of it, and reports whether the loop goes on.
func (l *loop) sleep(wait time.Duration) bool {
	var enough <-chan time.Time
	if len(l.tasks) > 0 {
		l.timer.Reset(wait)
		defer l.timer.Stop()
		enough = l.timer.C
	}
	select {
	case t := <-l.incoming:
		l.accept(t)
	case <-enough:
	case <-l.gone:
	case <-l.stopping: // run ends what is left
	case <-l.draining:
		// Submit sends before it lets go of the lock that Drain takes, so what
		// was accepted is in the channel by now.
		l.collect()
		return len(l.tasks) > 0
	}
	return true
}

// collect takes what has arrived and lets go of what was cancelled meanwhile.
func (l *loop) collect() {
	for len(l.incoming) > 0 {
		l.accept(<-l.incoming)
	}
	for _, t := range l.tasks {
		if t.ctx.Err() != nil {
			l.finish(t, FinishCancelled, context.Cause(t.ctx))
		}
	}
}

// accept gives a request to the scheduler.
func (l *loop) accept(t *task) {
	r := &t.request
	id, err := l.sched.Add(sched.Request{Tenant: r.Tenant, Salt: r.Salt, Prompt: r.Prompt, MaxTokens: t.maxTokens, Arrived: t.arrived})
	if err != nil {
		l.counters.waiting.Add(-1)
		t.stream.Finish(FinishError, fmt.Errorf("engine: %w", err))
		return
	}
	t.id = id
	t.forget = context.AfterFunc(t.ctx, l.wake)
	l.tasks[id] = t
	l.waiting++
}

// wake ends a sleep, so that nobody who has left is waited for.
func (l *loop) wake() {
	select {
	case l.gone <- struct{}{}:
	default: // it is about to end already
	}
}

// finish ends a request and frees its memory, now or at the end of the step under way.
func (l *loop) finish(t *task, reason FinishReason, err error) {
	l.sched.Remove(t.id)
	delete(l.tasks, t.id)
	t.forget()
	if t.sampler != nil {
		l.samplers = append(l.samplers, t.sampler)
		t.sampler = nil
	}
	t.stream.Finish(reason, err)
}

// publish tells the counters what the scheduler has.
func (l *loop) publish() {
	s, c := l.sched.Stats(), &l.counters
	c.waiting.Add(int64(s.Waiting - l.waiting)) // others add to it
	l.waiting = s.Waiting
	c.running.Store(int64(s.Running))
	c.preempted.Store(int64(s.Preempted))
	c.kvTokens.Store(int64(s.Tokens))
	c.preemptions.Store(s.Spilled + s.Recomputed)
	c.kvPages.Store(int64(s.FullUsed))
	c.swapSlots.Store(int64(s.SwapUsed))
	if l.page > 0 {
		c.cachedTokens.Store(int64(s.FullCached * l.page))
		c.prefixQueries.Store(s.PromptTokens)
		c.prefixHits.Store(s.HitTokens)
	}
}

// abandon ends everything that is left when the engine closes.
func (l *loop) abandon() {
	// Submit holds the lock from its check to its send: once it is ours, nothing
	// more arrives.
	l.mu.Lock()
	l.collect()
	l.mu.Unlock()
	closed := fmt.Errorf("engine: %w", ErrClosed)
	for _, t := range l.tasks {
		l.finish(t, FinishError, closed)
	}
	l.publish()
}

// release frees what the engine has.
func (l *loop) release() {
	l.crew.close()
	l.runner.Close()
	if err := l.swap.close(); err != nil {
		l.log.Warn("the swap space cannot be removed", "error", err.Error())
	}
}
