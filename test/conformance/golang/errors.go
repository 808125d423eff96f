package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// refused checks that err is the API's error; "" is any param or code.
func refused(err error, status int, param, code string) error {
	e, ok := errors.AsType[*openai.Error](err)
	if !ok {
		return fmt.Errorf("the error is %w, want status %d", err, status)
	}
	return errors.Join(
		same("status", e.StatusCode, status), check(e.Message != "", "no message in %s", e.RawJSON()),
		check(param == "" || e.Param == param, "param is %q, want %q", e.Param, param), check(code == "" || e.Code == code, "code is %q, want %q", e.Code, code),
	)
}

func (p *player) errorKey(ctx context.Context) error {
	const wrong = "sk-wrong-0123456789"
	other := p.to(p.url, wrong, 0)
	_, err := other.Chat.Completions.New(ctx, p.ask(nil))
	if e, ok := errors.AsType[*openai.Error](err); ok && strings.Contains(e.RawJSON(), wrong) {
		return errors.New("the message repeats the key")
	}
	return refused(err, http.StatusUnauthorized, "", "invalid_api_key")
}

func (p *player) errorModel(ctx context.Context) error {
	_, err := p.complete(ctx, func(a *openai.ChatCompletionNewParams) { a.Model = "no-such-model" })
	return refused(err, http.StatusNotFound, "", "model_not_found")
}

func (p *player) errorParam(ctx context.Context) error {
	_, temperature := p.complete(ctx, func(a *openai.ChatCompletionNewParams) { a.Temperature = openai.Float(3) })
	_, messages := p.complete(ctx, func(a *openai.ChatCompletionNewParams) { a.Messages = []openai.ChatCompletionMessageParamUnion{} })
	_, _, streamed := p.read(ctx, func(a *openai.ChatCompletionNewParams) { a.TopP = openai.Float(7) })
	_, long := p.complete(ctx, func(a *openai.ChatCompletionNewParams) {
		a.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage(longQuestion(20_000))}
	})
	return errors.Join(
		refused(temperature, 400, "temperature", ""), refused(messages, 400, "messages", ""), refused(streamed, 400, "top_p", ""),
		refused(long, 400, "", "context_length_exceeded"),
	)
}

// longQuestion takes a server a while and is in no cache.
func longQuestion(repeats int) string {
	return strconv.FormatInt(time.Now().UnixNano(), 36) + " " + strings.Repeat(question+" ", repeats)
}

func (p *player) askLong(repeats int) openai.ChatCompletionNewParams {
	return p.ask(func(a *openai.ChatCompletionNewParams) {
		a.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage(longQuestion(repeats))}
	})
}

func (p *player) errorLimit(ctx context.Context) error {
	const crowd = 6
	burst := func(retries int) (failures []error) {
		client := p.to(p.limited, p.key, retries)
		var all sync.WaitGroup
		var mu sync.Mutex
		for range crowd {
			all.Go(func() {
				if _, err := client.Chat.Completions.New(ctx, p.askLong(100)); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failures = append(failures, err)
				}
			})
		}
		all.Wait()
		return failures
	}
	failures := burst(0)
	if len(failures) == 0 {
		return errors.New("six at once fit into a server for two")
	}
	for _, err := range failures {
		if err := refused(err, http.StatusTooManyRequests, "", ""); err != nil {
			return err
		}
		e, _ := errors.AsType[*openai.Error](err)
		if after := e.Response.Header.Get("Retry-After"); after == "" || after == "0" {
			return fmt.Errorf("Retry-After is %q", after)
		}
	}
	if failures := burst(10); len(failures) > 0 {
		return fmt.Errorf("with retries: %w", errors.Join(failures...))
	}
	return nil
}

func (p *player) cancel(ctx context.Context) error {
	return p.noticed(ctx, func() error {
		ctx, cancel := context.WithCancel(ctx)
		stream := p.client.Chat.Completions.NewStreaming(ctx, p.askLong(600))
		defer func() { _ = stream.Close() }() // what matters is stream.Err
		begun := stream.Next()
		cancel()
		for stream.Next() { // what had arrived before
		}
		return errors.Join(check(begun, "the stream did not begin: %v", stream.Err()), check(errors.Is(stream.Err(), context.Canceled), "the stream ended with %v", stream.Err()))
	})
}

func (p *player) timeout(ctx context.Context) error {
	return p.noticed(ctx, func() error {
		_, err := p.client.Chat.Completions.New(ctx, p.askLong(600), option.WithRequestTimeout(200*time.Millisecond))
		return check(errors.Is(err, context.DeadlineExceeded), "the error is %v", err)
	})
}

var countLine = regexp.MustCompile(`(?m)^gpt_oss_request_count\{status="(\w+)"\} (\d+)`)

// state is what a server tells about itself.
type state struct{ active, cancelled, ended int }

// state asks; ok is false where it is not a gptoss-server.
func (p *player) state(ctx context.Context) (s state, ok bool) {
	var health struct {
		Active *int `json:"active_requests"`
	}
	body, err := p.get(ctx, p.url+"/health")
	if err != nil || json.Unmarshal(body, &health) != nil || health.Active == nil {
		return s, false
	}
	s.active = *health.Active
	body, err = p.get(ctx, p.url+"/metrics")
	if err != nil {
		return s, false
	}
	for _, m := range countLine.FindAllSubmatch(body, -1) {
		n, _ := strconv.Atoi(string(m[2])) // the expression lets only digits through
		s.ended += n
		if string(m[1]) == "cancelled" {
			s.cancelled = n
		}
	}
	return s, true
}

func (p *player) get(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+p.key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(io.LimitReader(answer.Body, 1<<20))
}

// noticed runs leave, which must leave a request in its middle, and waits until the server has noticed. On a slow machine
// the client may be gone before its request is on its way; then it leaves again.
func (p *player) noticed(ctx context.Context, leave func() error) error {
	const attempts, unseen, limit = 5, 2 * time.Second, 10 * time.Second
	for range attempts {
		before, ok := p.state(ctx)
		if err := leave(); err != nil || !ok {
			return err
		}
		for begun := time.Now(); ; {
			now, _ := p.state(ctx)
			if now.active <= before.active && now.ended > before.ended {
				return check(now.cancelled > before.cancelled, "the server counts a request as ended, but not as cancelled")
			}
			if now.active <= before.active && time.Since(begun) > unseen {
				break
			}
			if time.Since(begun) > limit {
				return fmt.Errorf("%s later the server still has %d active requests", limit, now.active)
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return errors.New("no request reached the server before its client left")
}
