package answer

import (
	"slices"

	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/tokenizer"
)

// Plain takes everything that the model writes for content, as a raw continuation of a raw prompt is. Control tokens are
// left out, and those that end the answer are even where the words are [Literal].
type Plain struct {
	words   Vocabulary
	ends    []int32
	decoder tokenizer.Decoder
	usage   harmony.Usage
	out     [1]harmony.Delta
}

// Literal is a vocabulary in which control tokens are text like any other: they stand for their names.
type Literal struct{ Vocabulary }

// IsSpecial is false.
func (Literal) IsSpecial(int32) bool { return false }

// NewPlain returns a parser of raw text that ends, unless it goes on regardless, with one of the tokens in ends.
func NewPlain(words Vocabulary, ends []int32) *Plain { return &Plain{words: words, ends: ends} }

// Push adds a token.
func (p *Plain) Push(id int32) []harmony.Delta {
	if slices.Contains(p.ends, id) || p.words.IsSpecial(id) {
		p.usage.Framing++
		return nil
	}
	p.usage.Content++
	return p.text(p.decoder.Write(p.words.TokenBytes(id)))
}

// Close gives what is left of a character.
func (p *Plain) Close() []harmony.Delta { return p.text(p.decoder.Flush()) }

// Usage counts the tokens.
func (p *Plain) Usage() harmony.Usage { return p.usage }

func (p *Plain) text(s string) []harmony.Delta {
	if s == "" {
		return nil
	}
	p.out[0] = harmony.Delta{Kind: harmony.KindContent, Text: s}
	return p.out[:]
}
