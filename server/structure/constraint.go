package structure

import "github.com/gptoss/gptoss-operator/engine/grammar"

// maxReserve bounds the tokens that are kept for what follows the reasoning.
const maxReserve = 4096

// Constraint holds one answer to a plan.
type Constraint struct {
	matcher *grammar.Matcher
	end     int32
	left    int // tokens until the reasoning has to end; negative for never
	used    int
}

// Constraint begins an answer of at most so many tokens.
func (p *Plan) Constraint(maxTokens int) *Constraint {
	c := &Constraint{matcher: p.grammar.NewMatcher(), end: p.end, left: -1}
	if p.demands {
		c.left = maxTokens - min(maxTokens/4, maxReserve)
	}
	return c
}

// Mask sets the bits of the tokens that may come next. The end of a message is among them only within reasoning, so that is
// how reasoning is known.
func (c *Constraint) Mask(mask []uint64) bool {
	c.matcher.Mask(mask)
	if c.left >= 0 && c.used >= c.left && int(c.end/64) < len(mask) && mask[c.end/64]>>(c.end%64)&1 != 0 {
		clear(mask)
		mask[c.end/64] = 1 << (c.end % 64)
	}
	return true
}

// Accept goes on with a token.
func (c *Constraint) Accept(token int32) {
	c.used++
	c.matcher.Accept(token)
}
