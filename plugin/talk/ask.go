package talk

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

const (
	maxLine   = 1 << 20  // of an event
	maxAnswer = 64 << 20 // of a stream
	maxError  = 64 << 10
)

// Server is where to ask.
type Server struct {
	HTTP *http.Client
	Base string // such as http://pod
	Key  string // "" for none
}

// Message is one of the conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Request is what is asked.
type Request struct {
	Model           string          `json:"model"`
	Messages        []Message       `json:"messages"`
	MaxTokens       int             `json:"max_tokens,omitempty"`
	Temperature     *float64        `json:"temperature,omitempty"`
	ReasoningEffort string          `json:"reasoning_effort,omitempty"`
	Stream          bool            `json:"stream"`
	StreamOptions   map[string]bool `json:"stream_options,omitempty"`
}

// Piece is a part of the answer as it arrives.
type Piece struct {
	Reasoning, Content string
}

// Answer is all of it.
type Answer struct {
	Content          string `json:"content"`
	Reasoning        string `json:"reasoning,omitempty"`
	FinishReason     string `json:"finish_reason,omitempty"`
	PromptTokens     int    `json:"prompt_tokens"`
	CompletionTokens int    `json:"completion_tokens"`
}

// StatusError is an answer that refuses.
type StatusError struct {
	Status  int
	Message string
}

// Error is the refusal for people.
func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answers %d %s: %s", e.Status, http.StatusText(e.Status), e.Message)
}

func (s Server) request(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.Base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.Key != "" {
		req.Header.Set("Authorization", "Bearer "+s.Key)
	}
	res, err := s.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the server cannot be reached: %w", err)
	}
	return res, nil
}

// Accepts reports whether the server takes the key.
func (s Server) Accepts(ctx context.Context) (bool, error) {
	res, err := s.request(ctx, http.MethodGet, "/v1/models", nil)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return false, nil
	case http.StatusOK, http.StatusForbidden, http.StatusTooManyRequests: // known, whatever it may do
		return true, nil
	}
	return false, refusal(res, s.Key)
}

// Ask streams a completion. each hears of every piece in order; what it returns ends the stream.
func (s Server) Ask(ctx context.Context, r Request, each func(Piece) error) (Answer, error) {
	r.Stream, r.StreamOptions = true, map[string]bool{"include_usage": true}
	body, err := json.Marshal(r)
	if err != nil {
		return Answer{}, err
	}
	res, err := s.request(ctx, http.MethodPost, "/v1/chat/completions", body)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return Answer{}, refusal(res, s.Key)
	}
	return read(res.Body, each)
}

// refusal reads OpenAI's error, or what else stands in its place. Some servers repeat the key; this does not.
func refusal(res *http.Response, key string) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxError)) // the status alone is worth reporting too
	message := strings.TrimSpace(string(text))
	var body struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &body); err == nil && body.Error.Message != "" {
		message = body.Error.Message
	}
	if key != "" {
		message = strings.ReplaceAll(message, key, "[key]")
	}
	return &StatusError{Status: res.StatusCode, Message: message}
}

// chunk is an event of the stream. The two names of reasoning hold the same text.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content          string `json:"content"`
			Reasoning        string `json:"reasoning"`
			ReasoningContent string `json:"reasoning_content"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	} `json:"usage"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
}

var errCut = errors.New("the stream ended before the answer did")

// read follows server-sent events to their end.
func read(stream io.Reader, each func(Piece) error) (Answer, error) {
	var content, reasoning strings.Builder
	var a Answer
	finish := func(err error) (Answer, error) {
		a.Content, a.Reasoning = content.String(), reasoning.String()
		return a, err
	}
	lines := bufio.NewScanner(io.LimitReader(stream, maxAnswer))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		if data = strings.TrimSpace(data); data == "[DONE]" {
			return finish(nil)
		}
		var c chunk
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			return finish(fmt.Errorf("the stream holds something that is not an event: %w", err))
		}
		if c.Error != nil {
			return finish(fmt.Errorf("the server gave up: %s", c.Error.Message))
		}
		if c.Usage != nil {
			a.PromptTokens, a.CompletionTokens = c.Usage.PromptTokens, c.Usage.CompletionTokens
		}
		for _, choice := range c.Choices {
			p := Piece{Content: choice.Delta.Content, Reasoning: choice.Delta.Reasoning}
			if p.Reasoning == "" {
				p.Reasoning = choice.Delta.ReasoningContent
			}
			if choice.FinishReason != "" {
				a.FinishReason = choice.FinishReason
			}
			if p == (Piece{}) {
				continue
			}
			content.WriteString(p.Content)
			reasoning.WriteString(p.Reasoning)
			if err := each(p); err != nil {
				return finish(err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return finish(fmt.Errorf("the stream broke: %w", err))
	}
	return finish(errCut)
}
