package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/openai"
)

func TestLimits(t *testing.T) {
	post := func(f *fixture, more string, header ...string) reply {
		return f.do(t, http.MethodPost, "/v1/chat/completions", ask(more), header...)
	}
	t.Run("requests of each address", func(t *testing.T) {
		f := newFixture(t, says(hello), func(c *Config) {
			c.Options.RateLimitRPS, c.Options.RateLimitBurst, c.Options.TrustedProxies = 0.5, 2, []string{"127.0.0.1", "::1"}
		})
		for left := 1; left >= 0; left-- {
			got := post(f, "", "X-Forwarded-For", "192.0.2.1")
			if got.status != 200 || got.header.Get("X-Ratelimit-Remaining-Requests") != strconv.Itoa(left) {
				t.Fatalf("status %d, header %v", got.status, got.header)
			}
		}
		got := post(f, "", "X-Forwarded-For", "192.0.2.1")
		e := got.error(t)
		if got.status != 429 || e.Type != openai.TypeRateLimit || *e.Code != codeRateLimited || got.header.Get("Retry-After") != "2" ||
			got.header.Get("X-Ratelimit-Limit-Requests") != "2" || got.header.Get("X-Ratelimit-Reset-Requests") != "4s" {
			t.Errorf("status %d, header %v: %s", got.status, got.header, got.body)
		}
		if got := post(f, "", "X-Forwarded-For", "192.0.2.2"); got.status != 200 {
			t.Errorf("another address gets %d", got.status)
		}
		if metrics := f.do(t, http.MethodGet, "/v1/metrics", ""); !strings.Contains(metrics.body, `gpt_oss_rate_limited_total{limit="requests"} 1`) {
			t.Error("the refusal is not counted")
		}
	})
	t.Run("tokens", func(t *testing.T) {
		f := newFixture(t, says(hello), func(c *Config) { c.Options.RateLimitTPM = 4000 })
		got := post(f, `,"max_tokens":500`)
		used := decode[openai.ChatCompletion](t, got.body).Usage.TotalTokens
		if got.status != 200 || used == 0 {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
		// What was reserved and not used has come back: the next request sees all but what was used.
		models := f.do(t, http.MethodGet, "/v1/models", "")
		if left := models.header.Get("X-Ratelimit-Remaining-Tokens"); left != strconv.Itoa(4000-used) {
			t.Errorf("%s tokens are left after %d of 4000 were used", left, used)
		}
	})
	t.Run("too few tokens", func(t *testing.T) {
		f := newFixture(t, says(hello), func(c *Config) { c.Options.RateLimitTPM = 10 })
		got := post(f, "")
		if e := got.error(t); got.status != 429 || *e.Code != codePromptTooBig || got.header.Get("X-Should-Retry") != "false" || got.header.Get("Retry-After") != "" {
			t.Errorf("status %d, header %v: %s", got.status, got.header, got.body)
		}
	})
}

// TestLimiterWithoutRedis starts without the Redis that it is told of, serves, and says so.
func TestLimiterWithoutRedis(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close() // nobody answers there now
	f := newFixture(t, says(hello), func(c *Config) {
		c.Options.RedisAddress, c.Options.RateLimitRPS, c.Options.RateLimitReplicas = address, 4, 2
	})
	got := f.do(t, http.MethodGet, "/v1/models", "")
	if got.status != 200 || got.header.Get("X-Ratelimit-Limit-Requests") != "2" {
		t.Errorf("status %d, header %v", got.status, got.header)
	}
	health := decode[openai.Health](t, f.do(t, http.MethodGet, "/v1/health", "").body)
	if health.Status != "degraded" || health.Reason != "Redis cannot be reached, so this replica enforces its share of the rate limits, one part in 2." {
		t.Errorf("health is %+v", health)
	}
	if metrics := f.do(t, http.MethodGet, "/v1/metrics", ""); !strings.Contains(metrics.body, "gpt_oss_limiter_degraded 1") {
		t.Error("the metric does not say so")
	}
}

// generators are all ways to have tokens made.
var generators = map[string]struct{ method, path, body string }{
	"chat":                    {http.MethodPost, "/v1/chat/completions", `{"model":"gpt-oss-demo","messages":[{"role":"user","content":"hi"}],"max_tokens":500}`},
	"chat, streaming":         {http.MethodPost, "/v1/chat/completions", `{"model":"gpt-oss-demo","messages":[{"role":"user","content":"hi"}],"max_tokens":500,"stream":true}`},
	"chat for an EventSource": {http.MethodGet, eventSource("&prompt=hi&max_tokens=500"), ""},
	"text":                    {http.MethodPost, "/v1/completions", `{"model":"gpt-oss-demo","prompt":"hi","max_tokens":500}`},
	"text, streaming":         {http.MethodPost, "/v1/completions", `{"model":"gpt-oss-demo","prompt":"hi","max_tokens":500,"stream":true}`},
	"TGI":                     {http.MethodPost, "/generate", `{"inputs":"hi","parameters":{"max_new_tokens":500}}`},
	"TGI, streaming":          {http.MethodPost, "/generate_stream", `{"inputs":"hi","parameters":{"max_new_tokens":500}}`},
	"response":                {http.MethodPost, "/v1/responses", `{"model":"gpt-oss-demo","input":"hi","max_output_tokens":500}`},
	"response, streaming":     {http.MethodPost, "/v1/responses", `{"model":"gpt-oss-demo","input":"hi","max_output_tokens":500,"stream":true}`},
	"response, background":    {http.MethodPost, "/v1/responses", `{"model":"gpt-oss-demo","input":"hi","max_output_tokens":500,"background":true}`},
}

// left asks how many tokens a minute has still, until it is as many as wanted, or up to more of them fewer.
func (f *fixture) left(t *testing.T, want, more int) {
	t.Helper()
	eventually(t, func() (string, bool) {
		text := f.do(t, http.MethodGet, "/v1/models", "").header.Get("X-Ratelimit-Remaining-Tokens")
		got, err := strconv.Atoi(text)
		return fmt.Sprintf("%s tokens are left, want %d to %d", text, want-more, want), err == nil && got <= want && got >= want-more
	})
}

// eventually asks until the answer is yes; what it gets with it says why not.
func eventually(t *testing.T, ask func() (string, bool)) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		why, yes := ask()
		if yes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(why)
		}
	}
}

// TestTokensAreSettled has each way to make tokens reserve them before and pay for those that were made.
func TestTokensAreSettled(t *testing.T) {
	const limit = 4000
	limited := func(c *Config) { c.Options.RateLimitTPM = limit }
	for name, way := range generators {
		t.Run(name, func(t *testing.T) {
			g := says(hello)
			f := newFixture(t, g, limited)
			got := f.do(t, way.method, way.path, way.body)
			if n := len(g.request(t).Prompt); got.status != 200 || got.header.Get("X-Ratelimit-Remaining-Tokens") != strconv.Itoa(limit-n-500) {
				t.Errorf("status %d, header %v with a prompt of %d", got.status, got.header, n)
			}
			f.left(t, limit-len(g.request(t).Prompt)-len(g.tokens), 0)
		})
		t.Run(name+", refused by the engine", func(t *testing.T) {
			f := newFixture(t, &script{submitErr: engine.ErrQueueFull}, limited)
			got := f.do(t, way.method, way.path, way.body)
			if got.status != 429 || got.header.Get("Retry-After") == "" {
				t.Errorf("status %d, header %v", got.status, got.header)
			}
			f.left(t, limit, 0)
		})
		t.Run(name+", failing", func(t *testing.T) {
			g := says(hello)
			g.reason, g.err = engine.FinishError, errors.New("broken")
			f := newFixture(t, g, limited)
			f.do(t, way.method, way.path, way.body)
			f.left(t, limit-len(g.request(t).Prompt)-len(g.tokens), 0)
		})
		t.Run(name+", too large", func(t *testing.T) {
			g := says(hello)
			f := newFixture(t, g, func(c *Config) { c.Options.RateLimitTPM = 1 })
			got := f.do(t, way.method, way.path, way.body)
			if got.status != 429 || got.header.Get("X-Should-Retry") != "false" || got.header.Get("Retry-After") != "" || len(g.requests) != 0 {
				t.Errorf("status %d, header %v", got.status, got.header)
			}
		})
		t.Run(name+", too often", func(t *testing.T) {
			f := newFixture(t, says(hello), func(c *Config) { c.Options.RateLimitRPS, c.Options.RateLimitBurst = 0.1, 1 })
			f.do(t, http.MethodGet, "/v1/models", "")
			got := f.do(t, way.method, way.path, way.body)
			if got.status != 429 || got.header.Get("Retry-After") != "10" || got.header.Get("X-Ratelimit-Remaining-Requests") != "0" {
				t.Errorf("status %d, header %v", got.status, got.header)
			}
			if metrics := f.do(t, http.MethodGet, "/metrics", "").body; !strings.Contains(metrics, `gpt_oss_request_count{status="rejected"} 1`+"\n") {
				t.Error("the refusal is not among the requests that ended")
			}
		})
		t.Run(name+", left by its client", func(t *testing.T) {
			if strings.Contains(name, "background") {
				t.Skip("nobody waits for it")
			}
			g := says(hello)
			g.gate, g.cancelled = make(chan struct{}), make(chan struct{})
			f := newFixture(t, g, limited)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			request, err := http.NewRequestWithContext(ctx, way.method, f.url+way.path, strings.NewReader(way.body))
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if response, err := http.DefaultClient.Do(request); err == nil {
					_, _ = io.Copy(io.Discard, response.Body) // which fails when the client leaves
					_ = response.Body.Close()
				}
			}()
			select {
			case g.gate <- struct{}{}:
			case <-ended:
				t.Fatal("the request ended at once")
			}
			leave()
			<-g.cancelled
			<-ended
			f.left(t, limit-len(g.request(t).Prompt), 2)
		})
	}
}

var statusLine = regexp.MustCompile(`"status":"[a-z_]+"`)

// TestBackgroundKeepsItsPlace has a response that is made in the background count as under way until it has ended, and be
// asked for meanwhile.
func TestBackgroundKeepsItsPlace(t *testing.T) {
	g := says(hello)
	g.gate = make(chan struct{})
	f := newFixture(t, g, func(c *Config) { c.Options.MaxConcurrentPerKey, c.Options.RateLimitTPM = 1, 4000 })
	if got := f.respond(t, `,"background":true,"max_output_tokens":500`); got.status != 200 {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	if e := f.chat(t, ask("")).error(t); e.Status != 429 || *e.Code != codeConcurrency {
		t.Errorf("beside it a request gets %+v", e)
	}
	if got := f.do(t, http.MethodGet, "/v1/responses/resp_test", ""); got.status != 200 || !strings.Contains(got.body, `"status":"queued"`) {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	close(g.gate)
	eventually(t, func() (string, bool) {
		got := f.do(t, http.MethodGet, "/v1/responses/resp_test", "")
		return got.body, strings.HasSuffix(statusLine.FindString(got.body), `"completed"`)
	})
	f.left(t, 4000-len(g.request(t).Prompt)-len(g.tokens), 0)
	g.gate = nil
	if got := f.chat(t, ask(`,"max_tokens":500`)); got.status != 200 {
		t.Errorf("after it a request gets %d: %s", got.status, got.body)
	}
}
