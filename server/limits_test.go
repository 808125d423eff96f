package server

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

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
