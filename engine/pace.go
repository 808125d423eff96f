package engine

import "time"

const (
	// stretch is how much longer than a step that only decodes one may take that runs a part of a prompt beside. Readers of
	// the running streams see tokens come that much slower while somebody else's prompt is read; 3 would be noticed.
	stretch = 2.5
	// shortStep is how long a step may take in any case: 40 tokens per second are faster than anybody reads.
	shortStep = 25 * time.Millisecond
	// leastPrompt is how many prompt tokens run beside decoding rows at least, lest prompts starve.
	leastPrompt = 4
	// firstPrompt is where the search for the right number begins.
	firstPrompt = 16
	// quietEvery: after so many steps with prompts a step is measured without any, since the streams may be others by now.
	quietEvery = 64
)

// pace bounds the time between two tokens of running streams while prompts are computed beside them: it finds out how many
// tokens of prompts fit into a step. It knows nothing but how long steps took, so it fits every model and machine.
type pace struct {
	quiet time.Duration // how long a step takes that only decodes, a moving mean; 0 before the first
	found int           // prompt tokens that fit
	blind int           // steps since quiet was measured
}

// promptTokens returns how many prompt tokens may run beside rows that decode in the next step.
func (p pace) promptTokens() int {
	if p.quiet == 0 || p.blind >= quietEvery {
		return 1 // one token more or less makes no difference
	}
	return p.found
}

// after returns the pace after a step with so many rows that decode and so many tokens of prompts. most bounds the answer.
func (p pace) after(decodes, prompts int, took time.Duration, most int) pace {
	if decodes == 0 {
		return p // nobody is kept waiting
	}
	took = max(took, 1)
	if prompts <= 1 {
		p.blind = 0
		if p.quiet == 0 {
			p.quiet = took
		}
		p.quiet += (took - p.quiet) / 8
		return p
	}
	p.blind++
	limit := max(time.Duration(stretch*float64(p.quiet)), shortStep)
	room := float64(limit) / float64(took)
	switch {
	case room < 1:
		p.found = max(int(float64(min(prompts, p.found))*room), leastPrompt)
	case room > 1.2 && prompts >= p.found:
		// A quarter more at a time keeps below the limit even where time grows as fast as the tokens.
		p.found += max(p.found/4, 1)
	}
	p.found = min(p.found, most)
	return p
}
