package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// chat is a minimal OpenAI client for one streamed chat completion.
type chat struct{ url, model, key string }

// chunk is what the client reads of a chat.completion.chunk or of an error body.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content   string `json:"content"`
			Reasoning string `json:"reasoning"`
		} `json:"delta"`
		FinishReason *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	} `json:"usage"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// stream asks prompt and writes the answer to out as it arrives. An answer
// without visible text, or a stream that ends before [DONE], is an error.
func (c chat) stream(ctx context.Context, prompt string, out io.Writer) error {
	body, err := json.Marshal(map[string]any{
		"model":          c.model,
		"messages":       []map[string]string{{"role": "user", "content": prompt}},
		"stream":         true,
		"stream_options": map[string]bool{"include_usage": true},
		"max_tokens":     256,
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.url, "/")+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16)) // the status alone is worth reporting too
		return fmt.Errorf("%s: %s", res.Status, bytes.TrimSpace(text))
	}
	return readEvents(res.Body, out)
}

// readEvents prints the text of a server-sent event stream up to [DONE].
func readEvents(events io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 1<<20)
	visible := 0
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			fmt.Fprintln(out)
			if visible == 0 {
				return errors.New("the answer has no text")
			}
			return nil
		}
		var c chunk
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			return fmt.Errorf("event %q: %w", data, err)
		}
		if c.Error != nil {
			return errors.New(c.Error.Message)
		}
		for _, choice := range c.Choices {
			fmt.Fprint(out, choice.Delta.Content)
			visible += len(choice.Delta.Content)
		}
		if c.Usage != nil {
			fmt.Fprintf(out, "\n(%d prompt tokens, %d completion tokens)", c.Usage.PromptTokens, c.Usage.CompletionTokens)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	return errors.New("the stream ended before [DONE]")
}
