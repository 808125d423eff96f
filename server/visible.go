package server

import (
	"math"
	"strings"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// stopFilter ends visible text at the first of the request's stop sequences. Text that may be the beginning of one is
// held back until the next text decides.
type stopFilter struct {
	sequences []string
	held      string
	stopped   bool
}

// push returns the text that may be shown now.
func (f *stopFilter) push(text string) string {
	if len(f.sequences) == 0 {
		return text
	}
	if f.stopped {
		return ""
	}
	f.held += text
	end := -1
	for _, s := range f.sequences {
		if i := strings.Index(f.held, s); i >= 0 && (end < 0 || i < end) {
			end = i
		}
	}
	if end >= 0 {
		shown := f.held[:end]
		f.held, f.stopped = "", true
		return shown
	}
	keep := f.beginning()
	shown := f.held[:len(f.held)-keep]
	f.held = f.held[len(shown):]
	return shown
}

// flush returns what is held when the text ends without a stop sequence.
func (f *stopFilter) flush() string {
	shown := f.held
	f.held = ""
	return shown
}

// beginning is the length of the longest suffix of the held text that begins a stop sequence.
func (f *stopFilter) beginning() int {
	longest := 0
	for _, s := range f.sequences {
		for n := min(len(s)-1, len(f.held)); n > longest; n-- {
			if strings.HasSuffix(f.held, s[:n]) {
				longest = n
			}
		}
	}
	return longest
}

// aligner finds out which tokens made the visible content. The parser does not name them, but it counts: a token that the
// content's count grows by is one of the content's, whether or not it completed a character. A header without a message
// token is counted as a whole once it turns out to hold content; the content is what its tokens end in then. A nil aligner
// does nothing.
type aligner struct {
	words   Vocabulary
	parser  *harmony.Parser
	counted harmony.Usage
	recent  []engine.Token // ordinary tokens that were counted for no field: the last of them may be a header's
	queue   []alignedToken // of the content, not yet shown
	written int            // bytes of content that went into the stop filter
	shown   int            // bytes of content that came out of it
}

// alignedToken is a token of the content; start is where its text, or the character that it is a part of, begins.
type alignedToken struct {
	openai.TokenLogprob
	start int
}

func (c *completion) newAligner(words Vocabulary) *aligner {
	if !c.request.Logprobs {
		return nil
	}
	return &aligner{words: words, parser: c.parser}
}

// push takes a generated token and the deltas that the parser made of it.
func (a *aligner) push(token engine.Token, deltas []harmony.Delta) {
	if a == nil {
		return
	}
	ordinary := !a.words.IsSpecial(token.ID)
	if ordinary {
		a.recent = append(a.recent, token)
	}
	a.settle(deltas, ordinary)
}

// close takes the deltas that the parser made of the end.
func (a *aligner) close(deltas []harmony.Delta) {
	if a != nil {
		a.settle(deltas, false)
	}
}

// settle queues the tokens that were counted as content since the last call. simple says that an ordinary token came,
// which is content as a whole unless it is not alone.
func (a *aligner) settle(deltas []harmony.Delta, simple bool) {
	usage := a.parser.Usage()
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
func (a *aligner) header(tokens []engine.Token, deltas []harmony.Delta) int {
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
func (a *aligner) enqueue(tokens []engine.Token, header int) {
	at := a.written
	for _, t := range tokens {
		raw := a.words.TokenBytes(t.ID)
		cut := min(header, len(raw))
		header, raw = header-cut, raw[cut:]
		if len(raw) == 0 {
			continue
		}
		a.queue = append(a.queue, alignedToken{tokenLogprob(a.words, t, raw), at})
		if len(tokens) > 1 {
			at += len(raw)
		}
	}
}

// write notes that content goes into the stop filter, a break before it.
func (a *aligner) write(separator, text int) {
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

// show returns the tokens of content that came out of the stop filter. A token that a stop sequence cuts is whole.
func (a *aligner) show(text int) *openai.Logprobs {
	if a == nil {
		return nil
	}
	a.shown += text
	var out []openai.TokenLogprob
	for len(a.queue) > 0 && a.queue[0].start < a.shown {
		out = append(out, a.queue[0].TokenLogprob)
		a.queue = a.queue[1:]
	}
	if out == nil {
		return nil
	}
	return &openai.Logprobs{Content: out}
}

// tokenLogprob translates a token of which raw is in the content.
func tokenLogprob(words Vocabulary, t engine.Token, raw []byte) openai.TokenLogprob {
	measured := engine.Logprobs{Chosen: math.Inf(-1)}
	if t.Logprobs != nil {
		measured = *t.Logprobs
	}
	out := openai.TokenLogprob{TopLogprob: topLogprob(raw, true, measured.Chosen), TopLogprobs: []openai.TopLogprob{}}
	for _, other := range measured.Top {
		out.TopLogprobs = append(out.TopLogprobs, topLogprob(words.TokenBytes(other.ID), !words.IsSpecial(other.ID), other.Logprob))
	}
	return out
}

func topLogprob(raw []byte, ordinary bool, logprob float64) openai.TopLogprob {
	out := openai.TopLogprob{Token: strings.ToValidUTF8(string(raw), "\uFFFD"), Logprob: max(logprob, openai.ImpossibleLogprob)}
	if ordinary {
		out.Bytes = make([]int, len(raw))
		for i, b := range raw {
			out.Bytes[i] = int(b)
		}
	}
	return out
}
