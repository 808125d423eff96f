package tgi

import (
	"strings"

	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/server/answer"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/visible"
)

// Response is the answer of POST /generate.
type Response struct {
	GeneratedText string   `json:"generated_text"`
	Details       *Details `json:"details,omitempty"`
}

// Details say how a text came to be.
type Details struct {
	FinishReason    string    `json:"finish_reason"`
	GeneratedTokens int       `json:"generated_tokens"` // those that are not shown among them
	Seed            *uint64   `json:"seed"`
	Prefill         []Token   `json:"prefill"` // always empty: the prompt is not measured
	Tokens          []Token   `json:"tokens"`
	TopTokens       [][]Token `json:"top_tokens,omitempty"`
}

// Token is a token of the text.
type Token struct {
	ID      int32   `json:"id"`
	Text    string  `json:"text"`
	Logprob float64 `json:"logprob"`
	Special bool    `json:"special"`
}

// Event is one event of POST /generate_stream.
type Event struct {
	Index         int            `json:"index"`
	Token         Token          `json:"token"`
	TopTokens     []Token        `json:"top_tokens,omitempty"`
	GeneratedText *string        `json:"generated_text"` // of the last event only
	Details       *StreamDetails `json:"details"`        // of the last event only
}

// StreamDetails end a stream.
type StreamDetails struct {
	FinishReason    string  `json:"finish_reason"`
	GeneratedTokens int     `json:"generated_tokens"`
	Seed            *uint64 `json:"seed"`
	InputLength     int     `json:"input_length"`
}

// Info is the answer of GET /info.
type Info struct {
	ModelID               string  `json:"model_id"`
	ModelSHA              *string `json:"model_sha"`
	ModelPipelineTag      string  `json:"model_pipeline_tag"`
	MaxConcurrentRequests int     `json:"max_concurrent_requests"`
	MaxBestOf             int     `json:"max_best_of"`
	MaxStopSequences      int     `json:"max_stop_sequences"`
	MaxInputTokens        int     `json:"max_input_tokens"`
	MaxTotalTokens        int     `json:"max_total_tokens"`
	ValidationWorkers     int     `json:"validation_workers"`
	MaxClientBatchSize    int     `json:"max_client_batch_size"`
	Router                string  `json:"router"`
	Version               string  `json:"version"`
	SHA                   *string `json:"sha"`
	DockerLabel           *string `json:"docker_label"`
}

// MaxStopSequences is how many stop sequences a request may have.
const MaxStopSequences = maxStops

// FinishReason names the end of an answer; stopped says that it was a stop sequence.
func FinishReason(reason openai.FinishReason, stopped bool) string {
	switch {
	case reason == openai.FinishLength:
		return "length"
	case stopped:
		return "stop_sequence"
	}
	return "eos_token"
}

// Writer makes tokens of pieces. Their texts together are the text, so a token in the middle of a character has none.
type Writer struct {
	words   answer.Vocabulary
	decoder tokenizer.Decoder
	pending string // text whose token has not come
	text    strings.Builder
}

// NewWriter returns a writer at the beginning of a text.
func NewWriter(words answer.Vocabulary) *Writer { return &Writer{words: words} }

// Take returns the tokens of a piece, each with its alternatives.
func (w *Writer) Take(p answer.Piece) (tokens []Token, top [][]Token) {
	if p.Content != nil {
		w.pending += *p.Content
		w.text.WriteString(*p.Content)
	}
	for i, t := range p.Tokens {
		text := w.decoder.Write(t.Raw)
		if i == len(p.Tokens)-1 || !strings.HasPrefix(w.pending, text) {
			text = w.pending
		}
		w.pending = w.pending[len(text):]
		tokens = append(tokens, Token{ID: t.ID, Text: text, Logprob: chosen(t)})
		top = append(top, w.alternatives(t))
	}
	return tokens, top
}

// Rest is text that no token has brought.
func (w *Writer) Rest() string { return w.pending }

// Text is the whole text so far.
func (w *Writer) Text() string { return w.text.String() }

func chosen(t visible.Token) float64 {
	if t.Logprobs == nil {
		return openai.ImpossibleLogprob
	}
	return answer.Finite(t.Logprobs.Chosen)
}

func (w *Writer) alternatives(t visible.Token) (out []Token) {
	if t.Logprobs == nil {
		return nil
	}
	for _, other := range t.Logprobs.Top {
		text := strings.ToValidUTF8(string(w.words.TokenBytes(other.ID)), "\uFFFD")
		out = append(out, Token{ID: other.ID, Text: text, Logprob: answer.Finite(other.Logprob), Special: w.words.IsSpecial(other.ID)})
	}
	return out
}
