package engine

import (
	"time"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/sched"
)

const (
	// stretch is how much longer than a step that only decodes one may take that computes a part of a prompt beside. Readers
	// of the running streams see tokens come that much slower while somebody else's prompt is read; 3 would be noticed, and
	// steps differ by a third.
	stretch = 1.8
	// shortStep is how long a step may take in any case: 40 tokens per second are faster than anybody reads.
	shortStep = 25 * time.Millisecond
	// leastPrompt is how many prompt tokens run beside decoding rows at least, lest prompts starve.
	leastPrompt = 4
	// firstPrompt is how many the first ones are; later ones are at most twice as many as before.
	firstPrompt = 16
	// reading is what it costs a layer to read the experts that few tokens meet, in tokens: with so many prompt tokens
	// gpt-oss waits for memory about as long as for arithmetic.
	reading = 32
	// quietEvery: after so many steps with prompts a step is measured without any, since the streams may be others by now.
	quietEvery = 64
)

// pace bounds the time between two tokens of running streams while prompts are computed beside them: it finds out of how
// many prompt tokens a layer fits into a step, and how many layers. It knows nothing but how long steps took, so it fits
// every model and machine.
type pace struct {
	layers int           // of the model
	most   int           // prompt tokens that fit into the memory of a step
	quiet  time.Duration // how long a step takes that only decodes, a moving mean; 0 before the first
	cost   time.Duration // of a token in a layer, a moving mean; 0 before the first
	tried  int           // prompt tokens that went together last
	work   int           // of the last step, in tokens and layers, reading included
	blind  int           // steps since quiet was measured
}

// newPace is the pace of a model with so many layers. Beside a prompt there must be memory for all rows that may decode.
func newPace(layers int, o *Options) pace {
	most := max(o.MaxBatchTokens-o.BatchSize, 1)
	return pace{layers: layers, most: most, tried: firstPrompt / 2}
}

// promptTokens returns how many prompt tokens may begin beside rows that decode: as many as fit with one layer.
func (p pace) promptTokens() int {
	if p.quiet == 0 || p.blind >= quietEvery {
		return 1 // one token more or less makes no difference
	}
	fits := 2 * p.tried
	if p.cost > 0 {
		fits = min(fits, max(int(p.room()/p.cost)-reading, leastPrompt))
	}
	return min(fits, p.most)
}

// layersFor returns through how many layers so many prompt tokens may go in the next step: none if that is to be measured
// without them.
func (p pace) layersFor(tokens int) int {
	switch {
	case p.blind >= quietEvery:
		return 0
	case p.cost == 0:
		return 1
	}
	// What costs nothing while the step waits for memory may cost a lot when it is more.
	fits := min(int(p.room()/p.cost), 2*p.work) / (tokens + reading)
	return min(max(fits, 1), p.layers)
}

// room returns how much time a step has for prompts.
func (p pace) room() time.Duration {
	return max(time.Duration(stretch*float64(p.quiet)), shortStep) - p.quiet
}

// after returns the pace after a step with so many rows that decode and so many tokens of prompts that went through so
// many layers.
func (p pace) after(decodes, prompts, layers int, took time.Duration) pace {
	if decodes == 0 {
		return p // nobody is kept waiting
	}
	took = max(took, 1)
	if prompts <= 1 || layers == 0 {
		p.blind = 0
		if p.quiet == 0 {
			p.quiet = took
		}
		p.quiet += (took - p.quiet) / 8
		return p
	}
	p.blind++
	work := layers * (prompts + reading)
	cost := max((took-p.quiet)/time.Duration(work), 1)
	if p.cost > 0 && took-p.quiet <= p.room() {
		// What took too long counts in full, and for long: layers that see everything take longer than those with a window.
		cost = p.cost + (cost-p.cost)/8
	}
	p.cost = max(cost, 1)
	p.tried, p.work = max(p.tried/2, prompts), max(p.work/2, work) // the end of a prompt is shorter
	return p
}

// beside is the parts of prompts that go through a few layers in each step, beside rows that decode: together their tokens
// share the experts that each layer reads, and no step takes long. The idea is that of "Layered Prefill" (Lee et al., 2025).
type beside struct {
	sequences []cpu.Sequence // of the scheduler's unfinished rows
	tokens    int
	first     int // layer that comes next
	last      int // after those of the step under way; first if they pause
}

// drop forgets them; the scheduler has them computed again.
func (l *loop) drop() {
	l.sched.Abandon()
	l.beside = beside{sequences: l.beside.sequences[:0]}
}

// advance decides which layers of prompts run in a step that the scheduler has just returned.
func (l *loop) advance(step *sched.Step) {
	b := &l.beside
	if b.tokens == 0 {
		l.begin(step)
		return
	}
	layers := l.share(l.pace, b.tokens)
	if len(step.Rows) == 0 {
		layers = l.layers // nobody is kept waiting
	}
	if b.last = min(b.first+layers, l.layers); b.last == l.layers {
		l.sched.Rejoin()
	}
}

// begin takes the parts of prompts out of a step where they would make it too long.
func (l *loop) begin(step *sched.Step) {
	decodes, tokens := 0, 0
	for i := range step.Rows {
		if n := len(step.Rows[i].Tokens); n > 1 || tokens > 0 {
			tokens += n
		} else {
			decodes++
		}
	}
	layers := l.share(l.pace, tokens)
	if decodes == 0 || tokens <= 1 || layers == 0 || layers >= l.layers {
		return
	}
	for i := decodes; i < len(step.Rows); i++ {
		step.Rows[i].Unfinished = true
	}
	l.beside.tokens, l.beside.first, l.beside.last = tokens, 0, layers
}

// settle ends what a step that went well did with them.
func (l *loop) settle() {
	b := &l.beside
	if b.first = b.last; b.first == l.layers {
		*b = beside{sequences: b.sequences[:0]}
	}
}
