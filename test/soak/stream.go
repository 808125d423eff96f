package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// patience is how long a client waits for a whole answer, its turn included.
const patience = 3 * time.Minute

// questions are such as the demo model knows.
var questions = []string{
	"Hello! Who are you?", "What is the capital of France?", "What is the capital of Japan?", "What is 17 + 25?", "What is 8 times 7?",
	"Explain gravity in one sentence.", "List five colors.", "List six fruits.", "What is the weather in Paris?", "Tell me about the sea.",
}

// site is a server as clients see it.
type site struct {
	url    string
	client *http.Client
}

func newSite(url string, connections int) *site {
	return &site{url: url, client: &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		MaxIdleConnsPerHost: connections, MaxIdleConns: connections, IdleConnTimeout: 30 * time.Second,
	}}}
}

// close leaves no connection behind.
func (s *site) close() { s.client.CloseIdleConnections() }

// answer is how a request ended.
type answer struct {
	status     int
	retryAfter time.Duration // of a 429
	events     int
	left       bool          // by us
	first      time.Duration // until the first event with something of the model's
}

// errLeft ends a stream on the client's side.
var errLeft = errors.New("left")

// chunk is what matters of an event.
type chunk struct {
	Choices []struct {
		Delta        struct{ Content, Reasoning string }
		FinishReason *string `json:"finish_reason"`
	}
	Error *struct{ Message string }
}

// stream asks a question and reads the answer; leaveAfter is the event at which the client leaves, or 0 for staying. An
// error is whatever should not happen: 429 is an answer, and so is any other status.
func (s *site) stream(ctx context.Context, key string, rng *rand.Rand, leaveAfter int) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no whole answer within %s", patience))
	defer cancel()
	body := fmt.Sprintf(`{"model":"gpt-oss-demo","stream":true,"seed":%d,"reasoning_effort":%q,"messages":[{"role":"user","content":%q}]}`,
		rng.IntN(1<<30), []string{"low", "medium", "high"}[rng.IntN(3)], questions[rng.IntN(len(questions))])
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/chat/completions", bytes.NewReader([]byte(body)))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	begun := time.Now()
	response, err := s.client.Do(r)
	if err != nil {
		return answer{}, cause(ctx, err)
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode}
	if a.status != http.StatusOK {
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // absent is 0, as is nonsense
		a.retryAfter = time.Duration(seconds) * time.Second
		_, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
		return a, cause(ctx, err)
	}
	err = a.read(response.Body, begun, leaveAfter)
	if errors.Is(err, errLeft) {
		a.left, err = true, nil
	}
	return a, cause(ctx, err)
}

// cause tells why a context ended an operation.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// read follows the events; a whole answer has a finish reason and [DONE].
func (a *answer) read(body io.Reader, begun time.Time, leaveAfter int) error {
	lines := bufio.NewScanner(body)
	finished := false
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		if bytes.Equal(data, []byte("[DONE]")) {
			if !finished {
				return errors.New("[DONE] without a finish reason")
			}
			return nil
		}
		var c chunk
		if err := json.Unmarshal(data, &c); err != nil {
			return fmt.Errorf("an event that is no JSON: %w", err)
		}
		if c.Error != nil {
			return fmt.Errorf("an error event: %s", c.Error.Message)
		}
		a.events++
		for _, choice := range c.Choices {
			if a.first == 0 && choice.Delta.Content+choice.Delta.Reasoning != "" {
				a.first = time.Since(begun)
			}
			finished = finished || choice.FinishReason != nil
		}
		if a.events == leaveAfter {
			return errLeft
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.New("the stream ended without [DONE]")
}

// percentile is the smallest value that the share p of all does not exceed.
func percentile(values []time.Duration, p float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
