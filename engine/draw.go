package engine

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gptoss/gptoss-operator/engine/sample"
	"github.com/gptoss/gptoss-operator/engine/sched"
)

// draw is the choice of one row's token.
type draw struct {
	row    *sched.Row
	task   *task
	logits []float32
	token  Token
	err    error
}

// run samples a token and, if the request asks, measures it. A panic becomes an error.
func (d *draw) run() {
	defer catch(&d.err)
	t := d.task
	if t.generated == 0 {
		t.sampler.Reset(t.request.Sampling)
		t.sampler.Prompt(t.request.Prompt)
	}
	allow := t.forbidStop(d.logits)
	d.token.ID, d.err = t.sample(d.logits)
	allow()
	if d.err != nil {
		return
	}
	if n := t.request.Logprobs; n != nil {
		top := make([]sample.Logprob, *n)
		chosen, found := t.sampler.Logprob(d.logits, d.token.ID, top)
		d.token.Logprobs = &Logprobs{Chosen: chosen, Top: top[:found]}
	}
}

// sample draws among the tokens that the request's constraint allows. Log probabilities stay those of the model: what a
// constraint rules out keeps its share.
func (t *task) sample(logits []float32) (int32, error) {
	c := t.request.Constraint
	if c == nil {
		return t.sampler.Sample(logits), nil
	}
	mask := t.sampler.Mask()
	if !c.Mask(mask) {
		id := t.sampler.Sample(logits)
		c.Accept(id)
		return id, nil
	}
	id, ok := t.sampler.SampleMasked(logits, mask)
	if !ok {
		return 0, ErrNothingAllowed
	}
	c.Accept(id)
	return id, nil
}

// forbidStop makes stop tokens impossible as long as the request asks for more tokens. What it returns undoes that, so that
// log probabilities are those of the model.
func (t *task) forbidStop(logits []float32) (allow func()) {
	if t.generated >= t.request.MinTokens {
		return func() {}
	}
	stops := t.request.StopTokens
	saved := make([]float32, len(stops))
	for i, id := range stops {
		if id >= 0 && int(id) < len(logits) {
			saved[i], logits[id] = logits[id], float32(math.Inf(-1))
		}
	}
	return func() {
		for i, id := range slices.Backward(stops) { // an id may come twice
			if id >= 0 && int(id) < len(logits) {
				logits[id] = saved[i]
			}
		}
	}
}

// crew draws the tokens of several rows at a time. A draw from 200,000 logits takes milliseconds, in which the workers of
// the forward pass would stand idle.
type crew struct {
	helpers int
	wake    chan struct{}
	draws   []draw
	next    atomic.Int64 // of draws, to be claimed
	busy    sync.WaitGroup
}

// newCrew starts helpers for so many threads, the step loop's own among them; 0 means one for each core.
func newCrew(threads int) *crew {
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	c := &crew{helpers: threads - 1, wake: make(chan struct{}, threads)}
	for range c.helpers {
		go func() {
			for range c.wake {
				c.claim()
				c.busy.Done()
			}
		}()
	}
	return c
}

// run returns when all draws are done.
func (c *crew) run(draws []draw) {
	c.draws = draws
	c.next.Store(0)
	called := max(min(len(draws)-1, c.helpers), 0)
	c.busy.Add(called)
	for range called {
		c.wake <- struct{}{}
	}
	c.claim()
	c.busy.Wait()
	c.draws = nil
}

func (c *crew) claim() {
	for {
		i := int(c.next.Add(1)) - 1
		if i >= len(c.draws) {
			return
		}
		c.draws[i].run()
	}
}

// close ends the helpers.
func (c *crew) close() { close(c.wake) }
