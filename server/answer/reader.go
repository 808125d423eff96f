package answer

import (
	"slices"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/visible"
)

// messageBreak stands between two messages of one kind, such as a preamble and the answer after it.
const messageBreak = "\n\n"

// Parser takes generated ids apart. [harmony.Parser] is one, [Plain] another.
type Parser interface {
	Push(id int32) []harmony.Delta
	Close() []harmony.Delta
	Usage() harmony.Usage
}

// Piece is a part of an answer. Tokens are those that made its content, where the reader tracks them.
type Piece struct {
	openai.Delta
	// Message numbers the model's messages; that of a tool call is not set.
	Message int
	Tokens  []visible.Token
}

// Config says how an answer is read. Emit and Parser must be set, and Words where Track is.
type Config struct {
	Parser Parser
	Words  Vocabulary
	// Stop are texts that end the visible text and are no part of it.
	Stop []string
	// StopTokens are ids that end the answer and are no part of it, beside those that the parser knows.
	StopTokens []int32
	// Track has the tokens of the content reported.
	Track bool
	// Separate has messages of one kind told apart by their number, and not by a blank line between them.
	Separate bool
	// HideReasoning leaves the reasoning out.
	HideReasoning bool
	// SingleCall ends the answer before a second tool call.
	SingleCall bool
	// FunctionName turns the model's name of a function into the client's.
	FunctionName func(string) string
	// NewID makes the ids of tool calls.
	NewID func(prefix string) string
	// Emit takes the pieces in order. Its error ends the answer.
	Emit func(Piece) error
}

// Vocabulary knows what tokens stand for.
type Vocabulary interface {
	TokenBytes(id int32) []byte
	IsSpecial(id int32) bool
}

// Reader reads one answer.
type Reader struct {
	Config
	stop    visible.Stop
	aligner *visible.Aligner
	last    map[harmony.Kind]int // the message that the last delta of a kind belonged to
	message int                  // that content was last read of
	calls   int
	tokens  int
	ended   bool
	cut     bool // by SingleCall
	stopID  bool // one of StopTokens came
	finish  openai.FinishReason
}

// NewReader returns a reader at the beginning of an answer.
func NewReader(c Config) *Reader {
	r := &Reader{Config: c, stop: visible.Stop{Sequences: c.Stop}, last: map[harmony.Kind]int{}}
	if c.Track {
		r.aligner = visible.NewAligner(c.Words, c.Parser.Usage)
	}
	return r
}

// Take reads a token. It is not called again once the answer has ended.
func (r *Reader) Take(t engine.Token) error {
	r.tokens++
	if slices.Contains(r.StopTokens, t.ID) {
		r.stopID = true
		return nil
	}
	deltas := r.Parser.Push(t.ID)
	if r.Track {
		r.aligner.Push(t, !r.Words.IsSpecial(t.ID), deltas)
	}
	if err := r.deliver(deltas); err != nil {
		return err
	}
	if r.over() {
		return r.end(openai.FinishStop)
	}
	return nil
}

// Close reads the end of the tokens, whose reason is stop or length.
func (r *Reader) Close(reason openai.FinishReason) error {
	if r.ended {
		return nil
	}
	deltas := r.Parser.Close()
	r.aligner.Close(deltas)
	if err := r.deliver(deltas); err != nil {
		return err
	}
	if err := r.flush(); err != nil {
		return err
	}
	return r.end(reason)
}

// end finds out the reason. A call that max_tokens cut off ends with length, not with tool_calls.
func (r *Reader) end(reason openai.FinishReason) error {
	r.ended = true
	switch {
	case r.cut:
		reason = openai.FinishToolCalls
	case r.stop.Stopped():
		reason = openai.FinishStop
	case reason == openai.FinishStop && r.calls > 0:
		reason = openai.FinishToolCalls
	}
	r.finish = reason
	return nil
}

// over reports whether nothing that comes is shown any more.
func (r *Reader) over() bool { return r.cut || r.stop.Stopped() }

// Ended reports whether the answer has ended, be it before the tokens have.
func (r *Reader) Ended() bool { return r.ended }

// Finish is why the answer ended.
func (r *Reader) Finish() openai.FinishReason { return r.finish }

// Stopped reports whether a stop sequence or one of StopTokens ended the answer, rather than the model.
func (r *Reader) Stopped() bool { return r.stop.Stopped() || r.stopID }

// Tokens counts the tokens that were read, ReasoningTokens those of them that are reasoning.
func (r *Reader) Tokens() int { return r.tokens }

// ReasoningTokens counts the tokens that are reasoning.
func (r *Reader) ReasoningTokens() int { return r.Parser.Usage().Reasoning }

func (r *Reader) deliver(deltas []harmony.Delta) error {
	for _, d := range deltas {
		if r.over() {
			return nil
		}
		if err := r.deliverOne(d); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) deliverOne(d harmony.Delta) error {
	if d.Kind == harmony.KindToolCall {
		if err := r.flush(); err != nil {
			return err
		}
		if r.SingleCall && d.Index > 0 {
			r.cut = true
			return nil
		}
		return r.Emit(Piece{Delta: r.toolCall(d)})
	}
	if d.Text == "" {
		return nil
	}
	separator := r.separator(d)
	if d.Kind == harmony.KindReasoning {
		if r.HideReasoning {
			return nil
		}
		return r.Emit(Piece{Delta: openai.Delta{Reasoning: separator + d.Text, ReasoningContent: separator + d.Text}, Message: d.Message})
	}
	if r.Separate && r.message != d.Message { // a stop sequence does not reach from one message into the next
		if err := r.flush(); err != nil {
			return err
		}
	}
	r.message = d.Message
	r.aligner.Write(len(separator), len(d.Text))
	return r.content(r.stop.Push(separator + d.Text))
}

// separator is a break before a message's first text where text of that kind came before it.
func (r *Reader) separator(d harmony.Delta) string {
	before, seen := r.last[d.Kind]
	r.last[d.Kind] = d.Message
	if seen && before != d.Message && !r.Separate {
		return messageBreak
	}
	return ""
}

func (r *Reader) content(text string) error {
	if text == "" {
		return nil
	}
	return r.Emit(Piece{Delta: openai.Delta{Content: &text}, Message: r.message, Tokens: r.aligner.Show(len(text))})
}

// flush shows what the stop filter holds back.
func (r *Reader) flush() error { return r.content(r.stop.Flush()) }

func (r *Reader) toolCall(d harmony.Delta) openai.Delta {
	call := openai.ToolCallDelta{Index: d.Index, Function: openai.FunctionCallDelta{Arguments: d.Text}}
	if d.Index >= r.calls {
		r.calls = d.Index + 1
		call.ID, call.Type = r.NewID("call_"), "function"
		call.Function.Name = r.FunctionName(d.Name)
	}
	return openai.Delta{ToolCalls: []openai.ToolCallDelta{call}}
}
