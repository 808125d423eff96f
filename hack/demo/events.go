package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// chunk is what the client reads of a chat.completion.chunk or of an error body.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content   string     `json:"content"`
			Reasoning string     `json:"reasoning"`
			ToolCalls []toolCall `json:"tool_calls"`
		} `json:"delta"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	} `json:"usage"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// readEvents prints a server-sent event stream up to [DONE] and returns the message that it carried. A message
// without text or call, or a stream that ends early, is an error.
func readEvents(events io.Reader, out io.Writer) (message, error) {
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 1<<20)
	p := printer{out: out}
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			return p.finish()
		}
		var c chunk
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			return message{}, fmt.Errorf("event %q: %w", data, err)
		}
		if c.Error != nil {
			return message{}, errors.New(c.Error.Message)
		}
		if err := p.print(c); err != nil {
			return message{}, err
		}
	}
	if err := lines.Err(); err != nil {
		return message{}, fmt.Errorf("stream: %w", err)
	}
	return message{}, errors.New("the stream ended before [DONE]")
}

// printer writes deltas as they come and keeps what they add up to.
type printer struct {
	out     io.Writer
	part    string // what the current line shows: the label it began with, or nothing yet
	content strings.Builder
	calls   []toolCall
	usage   string
}

func (p *printer) print(c chunk) error {
	for _, choice := range c.Choices {
		p.line("  thinks: ", choice.Delta.Reasoning)
		p.line("  ", choice.Delta.Content)
		p.content.WriteString(choice.Delta.Content)
		for _, d := range choice.Delta.ToolCalls {
			if d.Index < 0 || d.Index > len(p.calls) {
				return fmt.Errorf("tool call %d comes after %d others", d.Index, len(p.calls))
			}
			if d.Index == len(p.calls) {
				p.calls = append(p.calls, toolCall{Index: d.Index, Type: "function"})
			}
			call := &p.calls[d.Index]
			call.ID += d.ID
			call.Function.Name += d.Function.Name
			call.Function.Arguments += d.Function.Arguments
		}
	}
	if c.Usage != nil {
		p.usage = fmt.Sprintf("  (%d prompt tokens, %d completion tokens)\n", c.Usage.PromptTokens, c.Usage.CompletionTokens)
	}
	return nil
}

// line writes text, after the label if the line so far was of another kind.
func (p *printer) line(label, text string) {
	if text == "" {
		return
	}
	if p.part != label {
		if p.part != "" {
			fmt.Fprintln(p.out)
		}
		fmt.Fprint(p.out, label)
		p.part = label
	}
	fmt.Fprint(p.out, strings.ReplaceAll(text, "\n", "\n  "))
}

func (p *printer) finish() (message, error) {
	if p.part != "" {
		fmt.Fprintln(p.out)
	}
	content := p.content.String()
	if content == "" && len(p.calls) == 0 {
		return message{}, errors.New("the answer has no text")
	}
	if len(p.calls) == 0 {
		fmt.Fprint(p.out, p.usage)
	}
	m := message{Role: "assistant", ToolCalls: p.calls}
	if content != "" {
		m.Content = &content
	}
	return m, nil
}
