package answer

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/visible"
)

// Logprobs gives tokens in the shape of chat completions, an empty list for none.
func Logprobs(words Vocabulary, tokens []visible.Token) *openai.Logprobs {
	out := &openai.Logprobs{Content: make([]openai.TokenLogprob, 0, len(tokens))}
	for _, t := range tokens {
		out.Content = append(out.Content, tokenLogprob(words, t))
	}
	return out
}

func tokenLogprob(words Vocabulary, t visible.Token) openai.TokenLogprob {
	measured := measurement(t)
	out := openai.TokenLogprob{TopLogprob: topLogprob(t.Raw, true, measured.Chosen), TopLogprobs: []openai.TopLogprob{}}
	for _, other := range measured.Top {
		out.TopLogprobs = append(out.TopLogprobs, topLogprob(words.TokenBytes(other.ID), !words.IsSpecial(other.ID), other.Logprob))
	}
	return out
}

// measurement is what the engine says of a token, or that it says nothing.
func measurement(t visible.Token) engine.Logprobs {
	if t.Logprobs == nil {
		return engine.Logprobs{Chosen: math.Inf(-1)}
	}
	return *t.Logprobs
}

func topLogprob(raw []byte, ordinary bool, logprob float64) openai.TopLogprob {
	out := openai.TopLogprob{Token: strings.ToValidUTF8(string(raw), "\uFFFD"), Logprob: Finite(logprob)}
	if ordinary {
		out.Bytes = make([]int, len(raw))
		for i, b := range raw {
			out.Bytes[i] = int(b)
		}
	}
	return out
}

// Finite is a logarithm as JSON can express it.
func Finite(logprob float64) float64 {
	if logprob == 0 { // be it negative, which would read as "-0"
		return 0
	}
	return max(logprob, openai.ImpossibleLogprob)
}

// TextLogprobs collects tokens in the shape of raw completions.
type TextLogprobs struct {
	words   Vocabulary
	decoder tokenizer.Decoder
	offset  int // characters before the next token
}

// NewTextLogprobs begins behind so many characters of text.
func NewTextLogprobs(words Vocabulary, offset int) *TextLogprobs {
	return &TextLogprobs{words: words, offset: offset}
}

// Take gives the next tokens their shape.
func (l *TextLogprobs) Take(tokens []visible.Token) *openai.TextLogprobs {
	out := &openai.TextLogprobs{
		Tokens: []string{}, TokenLogprobs: []*float64{}, TopLogprobs: []map[string]float64{}, TextOffset: []int{},
	}
	for _, t := range tokens {
		measured := measurement(t)
		top := map[string]float64{}
		for _, other := range measured.Top {
			top[tokenText(l.words.TokenBytes(other.ID))] = Finite(other.Logprob)
		}
		out.Tokens = append(out.Tokens, tokenText(t.Raw))
		out.TokenLogprobs = append(out.TokenLogprobs, new(Finite(measured.Chosen)))
		out.TopLogprobs = append(out.TopLogprobs, top)
		out.TextOffset = append(out.TextOffset, l.offset)
		l.offset += utf8.RuneCountInString(l.decoder.Write(t.Raw))
	}
	return out
}

// tokenText spells a token that is no whole characters by its bytes, as OpenAI does.
func tokenText(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	var b strings.Builder
	b.WriteString("bytes:")
	for _, c := range raw {
		b.WriteString(`\x` + strconv.FormatUint(uint64(c)>>4, 16) + strconv.FormatUint(uint64(c)&15, 16))
	}
	return b.String()
}
