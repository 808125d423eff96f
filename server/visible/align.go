package visible

import (
	"strings"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/tokenizer"
)

// Aligner finds out which tokens made the visible content. The parser does not name them, but it counts: a token that the
// content's count grows by is one of the content's, whether or not it completed a character. A header without a message
// token is counted as a whole once it turns out to hold content; the content is what its tokens end in then. A nil Aligner
// does nothing.
type Aligner struct {
	words   Vocabulary
	usage   func() harmony.Usage
	counted harmony.Usage
	recent  []engine.Token // ordinary tokens that were counted for no field: the last of them may be a header's
	queue   []Token        // of the content, not yet shown
	written int            // bytes of content that went into the stop filter
	shown   int            // bytes of content that came out of it
}

// Token is a token of the content, of which the bytes in Raw are content.
type Token struct {
	engine.Token
	Raw []byte
	// start is where its text, or the character that it is a part of, begins.
	start int
}

// Vocabulary knows what tokens stand for.
type Vocabulary interface {
	TokenBytes(id int32) []byte
}

// NewAligner returns an aligner for the output of a parser, which counts tokens in usage.
func NewAligner(words Vocabulary, usage func() harmony.Usage) *Aligner {
	return &Aligner{words: words, usage: usage}
}

// Push takes a generated token and the deltas that the parser made of it. A control token is not ordinary: it never is
// content.
func (a *Aligner) Push(token engine.Token, ordinary bool, deltas []harmony.Delta) {
	if ordinary {
		a.recent = append(a.recent, token)
	}
	a.settle(deltas, ordinary)
}

// Close takes the deltas that the parser made of the end.
func (a *Aligner) Close(deltas []harmony.Delta) {
	if a != nil {
		a.settle(deltas, false)
	}
}

// settle queues the tokens that were counted as content since the last call. simple says that an ordinary token came,
// which is content as a whole unless it is not alone.
func (a *Aligner) settle(deltas []harmony.Delta, simple bool) {
	usage := a.usage()
	before := a.counted
	a.counted = usage
	n := min(usage.Content-before.Content, len(a.recent))
	if n > 0 {
		tokens := a.recent[len(a.recent)-n:]
		header := 0
		if n > 1 || !simple {
			header = a.header(tokens, deltas)
		}
		a.enqueue(tokens, header)
	}
	if n > 0 || usage.Reasoning != before.Reasoning || usage.ToolCall != before.ToolCall {
		a.recent = a.recent[:0]
	}
}

// header returns how many bytes the tokens begin with that are not part of the content that they ended in.
func (a *Aligner) header(tokens []engine.Token, deltas []harmony.Delta) int {
	var raw []byte
	for _, t := range tokens {
		raw = append(raw, a.words.TokenBytes(t.ID)...)
	}
	var content strings.Builder
	for _, d := range deltas {
		if d.Kind == harmony.KindContent {
			content.WriteString(d.Text)
		}
	}
	text := content.String()
	for i := range raw {
		var d tokenizer.Decoder
		if got := d.Write(raw[i:]); got == text || got+d.Flush() == text {
			return i
		}
	}
	return len(raw)
}

// enqueue adds tokens of which the first bytes, as many as header says, are not content.
func (a *Aligner) enqueue(tokens []engine.Token, header int) {
	at := a.written
	for _, t := range tokens {
		raw := a.words.TokenBytes(t.ID)
		cut := min(header, len(raw))
		header, raw = header-cut, raw[cut:]
		if len(raw) == 0 {
			continue
		}
		a.queue = append(a.queue, Token{Token: t, Raw: raw, start: at})
		if len(tokens) > 1 {
			at += len(raw)
		}
	}
}

// Write notes that content goes into the stop filter, a break before it.
func (a *Aligner) Write(separator, text int) {
	if a == nil {
		return
	}
	for i := range a.queue {
		if a.queue[i].start >= a.written {
			a.queue[i].start += separator
		}
	}
	a.written += separator + text
}

// Show returns the tokens of content that came out of the stop filter. A token that a stop sequence cuts is whole.
func (a *Aligner) Show(text int) []Token {
	if a == nil {
		return nil
	}
	a.shown += text
	n := 0
	for n < len(a.queue) && a.queue[n].start < a.shown {
		n++
	}
	out := a.queue[:n:n]
	a.queue = a.queue[n:]
	return out
}
