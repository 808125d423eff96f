package answer

import (
	"strings"

	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/visible"
)

// Collector puts pieces together; it does for a client that does not stream what a streaming one does itself.
type Collector struct {
	content, reasoning strings.Builder
	calls              []openai.ToolCall
	arguments          []*strings.Builder
	tokens             []visible.Token
}

// Add appends a piece.
func (c *Collector) Add(p Piece) {
	c.tokens = append(c.tokens, p.Tokens...)
	if p.Content != nil {
		c.content.WriteString(*p.Content)
	}
	c.reasoning.WriteString(p.Reasoning)
	for _, t := range p.ToolCalls {
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

// Content is the text so far.
func (c *Collector) Content() string { return c.content.String() }

// Tokens are those that made the content.
func (c *Collector) Tokens() []visible.Token { return c.tokens }

// Message is the whole as the assistant's message.
func (c *Collector) Message() openai.ResponseMessage {
	m := openai.ResponseMessage{Role: "assistant", Reasoning: c.reasoning.String(), ReasoningContent: c.reasoning.String(), ToolCalls: c.calls}
	for i := range m.ToolCalls {
		m.ToolCalls[i].Function.Arguments = c.arguments[i].String()
	}
	if text := c.content.String(); text != "" || len(c.calls) == 0 {
		m.Content = &text
	}
	return m
}
