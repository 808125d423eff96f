package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// messageBreak stands between two messages of one kind, such as a preamble and the answer after it.
const messageBreak = "\n\n"

// completion is one answer on its way from token ids to deltas.
type completion struct {
	id      string
	created int64 // Unix seconds
	request *openai.ChatRequest
	names   *functionNames
	newID   func(prefix string) string
	parser  *harmony.Parser
	stop    stopFilter
	aligner *aligner // nil where no log probabilities are asked for
	stream  *engine.Stream
	cancel  context.CancelFunc // ends the request in the engine
	// firstToken is called once, when the first token arrives.
	firstToken func()
	// quiet delivers when the client has heard nothing for long; alive is called then. A nil channel never does.
	quiet <-chan time.Time
	alive func() error

	emit   emitter
	last   map[harmony.Kind]int // the message that the last delta of a kind belonged to
	calls  int
	usage  openai.Usage
	finish openai.FinishReason
}

// emitter takes a delta and the tokens of its content, if there are any to report.
type emitter func(openai.Delta, *openai.Logprobs) error

// run reads the stream to its end, gives its deltas to emit in order and returns why the answer ended. An error of emit
// ends the answer.
func (c *completion) run(ctx context.Context, emit emitter) (openai.FinishReason, error) {
	c.emit = emit
	err := c.read(ctx)
	c.usage.TotalTokens = c.usage.PromptTokens + c.usage.CompletionTokens
	c.usage.PromptTokensDetails.CachedTokens = c.stream.Cached()
	c.usage.CompletionTokensDetails.ReasoningTokens = c.parser.Usage().Reasoning
	return c.finish, err
}

func (c *completion) read(ctx context.Context) error {
	for {
		token, ok, err := c.next()
		if err == nil && ok {
			err = c.take(token)
		}
		switch {
		case err != nil:
			c.cancel()
			return err
		case c.stop.stopped:
			c.cancel()
			c.finish = openai.FinishStop
			return nil
		case !ok:
			return c.end(ctx)
		}
	}
}

// next waits for a token; ok is false at the end.
func (c *completion) next() (token engine.Token, ok bool, err error) {
	for {
		select {
		case token, ok = <-c.stream.Tokens():
			return token, ok, nil
		case <-c.quiet:
			if err := c.alive(); err != nil {
				return engine.Token{}, false, err
			}
		}
	}
}

// take delivers what a token adds to the answer.
func (c *completion) take(token engine.Token) error {
	if c.usage.CompletionTokens == 0 {
		c.firstToken()
	}
	c.usage.CompletionTokens++
	deltas := c.parser.Push(token.ID)
	c.aligner.push(token, deltas)
	return c.deliver(deltas)
}

// end delivers what was held back and finds out why the stream ended.
func (c *completion) end(ctx context.Context) error {
	reason, err := c.reason(ctx)
	if err != nil {
		return err
	}
	deltas := c.parser.Close()
	c.aligner.close(deltas)
	if err := c.deliver(deltas); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	switch {
	case c.stop.stopped:
		reason = openai.FinishStop
	case reason == openai.FinishStop && c.calls > 0:
		reason = openai.FinishToolCalls
	}
	c.finish = reason
	return nil
}

// reason translates the engine's reason. A call that max_tokens cut off ends with length, not with tool_calls.
func (c *completion) reason(ctx context.Context) (openai.FinishReason, error) {
	switch reason, err := c.stream.Result(); {
	case reason == engine.FinishStop:
		return openai.FinishStop, nil
	case reason == engine.FinishLength:
		return openai.FinishLength, nil
	case errors.Is(err, engine.ErrClosed), errors.Is(context.Cause(ctx), errShutdown):
		return "", errShutdown
	case reason == engine.FinishCancelled:
		return "", errClientGone
	case err != nil:
		return "", err
	default:
		return "", fmt.Errorf("the engine ended with reason %q", reason)
	}
}

func (c *completion) deliver(deltas []harmony.Delta) error {
	for _, d := range deltas {
		if c.stop.stopped {
			return nil
		}
		if err := c.deliverOne(d); err != nil {
			return err
		}
	}
	return nil
}

func (c *completion) deliverOne(d harmony.Delta) error {
	if d.Kind == harmony.KindToolCall {
		if err := c.flush(); err != nil {
			return err
		}
		return c.emit(c.toolCall(d), nil)
	}
	if d.Text == "" {
		return nil
	}
	separator := c.separator(d)
	if d.Kind == harmony.KindReasoning {
		if !c.request.IncludeReasoning {
			return nil
		}
		return c.emit(openai.Delta{Reasoning: separator + d.Text, ReasoningContent: separator + d.Text}, nil)
	}
	c.aligner.write(len(separator), len(d.Text))
	return c.content(c.stop.push(separator + d.Text))
}

// separator is a break before a message's first text where text of that kind came before it.
func (c *completion) separator(d harmony.Delta) string {
	before, seen := c.last[d.Kind]
	c.last[d.Kind] = d.Message
	if seen && before != d.Message {
		return messageBreak
	}
	return ""
}

func (c *completion) content(text string) error {
	if text == "" {
		return nil
	}
	return c.emit(openai.Delta{Content: &text}, c.aligner.show(len(text)))
}

// flush shows what the stop filter holds back.
func (c *completion) flush() error { return c.content(c.stop.flush()) }

func (c *completion) toolCall(d harmony.Delta) openai.Delta {
	call := openai.ToolCallDelta{Index: d.Index, Function: openai.FunctionCallDelta{Arguments: d.Text}}
	if d.Index >= c.calls {
		c.calls = d.Index + 1
		call.ID, call.Type = c.newID("call_"), "function"
		call.Function.Name = c.names.toClient(d.Name)
	}
	return openai.Delta{ToolCalls: []openai.ToolCallDelta{call}}
}

// collector puts deltas together to a message; it does for a client that does not stream what a streaming one does itself.
type collector struct {
	content, reasoning strings.Builder
	calls              []openai.ToolCall
	arguments          []*strings.Builder
	logprobs           []openai.TokenLogprob
}

func (c *collector) add(d openai.Delta, l *openai.Logprobs) {
	if l != nil {
		c.logprobs = append(c.logprobs, l.Content...)
	}
	if d.Content != nil {
		c.content.WriteString(*d.Content)
	}
	c.reasoning.WriteString(d.Reasoning)
	for _, t := range d.ToolCalls {
		for len(c.calls) <= t.Index {
			c.calls = append(c.calls, openai.ToolCall{})
			c.arguments = append(c.arguments, &strings.Builder{})
		}
		if t.ID != "" {
			c.calls[t.Index] = openai.ToolCall{ID: t.ID, Type: t.Type, Function: openai.FunctionCall{Name: t.Function.Name}}
		}
		c.arguments[t.Index].WriteString(t.Function.Arguments)
	}
}

func (c *collector) message() openai.ResponseMessage {
	m := openai.ResponseMessage{Role: "assistant", Reasoning: c.reasoning.String(), ReasoningContent: c.reasoning.String(), ToolCalls: c.calls}
	for i := range m.ToolCalls {
		m.ToolCalls[i].Function.Arguments = c.arguments[i].String()
	}
	if text := c.content.String(); text != "" || len(c.calls) == 0 {
		m.Content = &text
	}
	return m
}
