package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxTurns bounds the tool calls that one question may lead to.
const maxTurns = 4

// chat is a minimal OpenAI client: it streams answers, shows the reasoning, and runs the tools that the model calls.
type chat struct{ url, model, key string }

// question is what is asked, and with what.
type question struct {
	prompt    string
	reasoning string // low, medium, high or empty for the server's default
	weather   bool   // offer the weather tool
}

// message is a message of a chat completion, as sent and as received.
type message struct {
	Role       string     `json:"role"`
	Content    *string    `json:"content"`
	ToolCalls  []toolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

type toolCall struct {
	Index    int      `json:"index"`
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type function struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// request is the body of a chat completion.
type request struct {
	Model           string            `json:"model"`
	Messages        []message         `json:"messages"`
	Stream          bool              `json:"stream"`
	StreamOptions   map[string]bool   `json:"stream_options"`
	MaxTokens       int               `json:"max_tokens"`
	Temperature     float64           `json:"temperature"` // 0: the demo shows the same each time
	ReasoningEffort string            `json:"reasoning_effort,omitempty"`
	Tools           []json.RawMessage `json:"tools,omitempty"`
}

// ask puts the question and writes what happens to out: its reasoning, its calls and what the tool said, its answer.
func (c chat) ask(ctx context.Context, q question, out io.Writer) error {
	r := request{
		Model: c.model, Messages: []message{{Role: "user", Content: &q.prompt}}, Stream: true,
		StreamOptions: map[string]bool{"include_usage": true}, MaxTokens: 512, ReasoningEffort: q.reasoning,
	}
	if q.weather {
		r.Tools = []json.RawMessage{json.RawMessage(weatherTool)}
	}
	for range maxTurns {
		answer, err := c.stream(ctx, r, out)
		if err != nil {
			return err
		}
		if len(answer.ToolCalls) == 0 {
			return nil
		}
		r.Messages = append(r.Messages, answer)
		for _, call := range answer.ToolCalls {
			result := runTool(call.Function)
			fmt.Fprintf(out, "  call: %s(%s)\n  tool: %s\n", call.Function.Name, call.Function.Arguments, result)
			r.Messages = append(r.Messages, message{Role: "tool", Content: &result, ToolCallID: call.ID})
		}
	}
	return fmt.Errorf("the model still calls tools after %d turns", maxTurns)
}

// stream asks for one completion and writes it to out as it arrives.
func (c chat) stream(ctx context.Context, r request, out io.Writer) (message, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return message{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.url, "/")+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return message{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return message{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16)) // the status alone is worth reporting too
		return message{}, fmt.Errorf("%s: %s", res.Status, bytes.TrimSpace(text))
	}
	return readEvents(res.Body, out)
}

// weatherTool is offered to the model; runTool plays it.
const weatherTool = `{"type":"function","function":{"name":"get_weather","description":"Get the current weather",` +
	`"parameters":{"type":"object","properties":{"location":{"type":"string"}},"required":["location"]}}}`

// runTool answers a call. The weather is made up: what the demo shows is the way of the call.
func runTool(f function) string {
	var arguments struct {
		Location string `json:"location"`
	}
	if err := json.Unmarshal([]byte(f.Arguments), &arguments); err != nil || f.Name != "get_weather" || arguments.Location == "" {
		return "error: unknown tool or arguments"
	}
	return `{"temperature": 18, "condition": "sunny"}`
}
