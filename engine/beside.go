package engine

import (
	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/sched"
)

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
