//go:build linux

package limits

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server"
	"github.com/gptoss/gptoss-operator/server/limit"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/options"
)

const (
	key      = "a-key-that-nobody-may-find-in-redis"
	rate     = 60.0 // requests per second
	burst    = 60
	replicas = 3
	span     = 5 * time.Second // of each measurement
)

// idle is a model that is never asked.
type idle struct{}

func (idle) Submit(context.Context, engine.Request) (*engine.Stream, error) {
	return nil, engine.ErrClosed
}
func (idle) Stats() engine.Stats { return engine.Stats{} }

// newReplica starts a server that keeps its limits in Redis, and returns its URL.
func newReplica(t *testing.T, redis string) string {
	t.Helper()
	o := options.Default()
	o.APIKeys, o.RateLimitRPS, o.RateLimitBurst, o.RedisAddress = options.Keys{key}, rate, burst, redis
	// A busy machine must not look like a Redis that is gone.
	o.RedisTimeout = 2 * time.Second
	s, err := server.New(server.Config{Options: o, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s.SetModel(&server.Model{Generator: idle{}, ContextLength: 1024, Created: time.Unix(0, 0)})
	web := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return web.URL
}

func get(t *testing.T, url string) (status int, body []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, body
}

// hammer asks all replicas for more than the limit for a while, fails on an answer that is neither 200 nor 429, and
// returns how many were 200 and how long it took.
func hammer(t *testing.T, urls []string) (admitted int64, took time.Duration) {
	t.Helper()
	var count atomic.Int64
	var clients sync.WaitGroup
	begin := time.Now()
	for _, url := range urls {
		for range 2 {
			clients.Go(func() {
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for time.Since(begin) < span {
					switch status, body := get(t, url+"/v1/models"); status {
					case http.StatusOK:
						count.Add(1)
					case http.StatusTooManyRequests:
					default:
						t.Errorf("status %d: %s", status, body)
						return
					}
					<-tick.C
				}
			})
		}
	}
	clients.Wait()
	return count.Load(), time.Since(begin)
}

func health(t *testing.T, url string) openai.Health {
	t.Helper()
	var h openai.Health
	status, body := get(t, url+"/v1/health")
	if err := json.Unmarshal(body, &h); err != nil || status != http.StatusOK {
		t.Fatalf("health is %d, %s", status, body)
	}
	return h
}

// TestReplicasShareOneLimit is three servers and one Redis, which dies and comes back.
func TestReplicasShareOneLimit(t *testing.T) {
	s := newStore(t)
	var urls []string
	for range replicas {
		urls = append(urls, newReplica(t, s.address))
	}
	all := func(status string) func() bool {
		return func() bool {
			for _, url := range urls {
				if health(t, url).Status != status {
					return false
				}
			}
			return true
		}
	}
	counted := func() bool { // each replica knows of the others
		for _, url := range urls {
			if _, body := get(t, url+"/v1/metrics"); !strings.Contains(string(body), "\ngpt_oss_limiter_replicas 3\n") {
				return false
			}
		}
		return true
	}
	check := func(when string, full float64) {
		t.Helper()
		admitted, took := hammer(t, urls)
		// The last requests may take a while on a busy machine, when most clients have stopped.
		low, high := full+rate*span.Seconds(), full+rate*took.Seconds()
		t.Logf("%s: %d requests in %s, the limit is %.0f", when, admitted, took.Round(time.Millisecond), high)
		if n := float64(admitted); n < 0.95*low || n > 1.05*high {
			t.Errorf("%s: %d requests were let in, want %.0f to %.0f within 5 %%", when, admitted, low, high)
		}
	}
	eventually(t, "all replicas know of each other", counted)
	check("with redis", burst)
	if names := s.names(t); strings.Contains(names, key) || !strings.Contains(names, "gptoss:") {
		t.Errorf("redis has %s", names)
	}
	s.kill(t)
	check("without redis", 0)
	if !all("degraded")() {
		t.Error("health does not say that redis is gone")
	}
	s.start(t)
	eventually(t, "redis is seen again", all("healthy"))
	eventually(t, "all replicas know of each other", counted)
	check("with redis again", burst) // it has forgotten all, and begins with a full bucket
}

// TestTogether has two limiters share tokens and places through a real Redis.
func TestTogether(t *testing.T) {
	s := newStore(t)
	var limiters []*limit.Limiter
	for range 2 {
		l := limit.New(limit.Config{
			Defaults: limit.Rates{TokensPerMinute: 1000, Concurrent: 3},
			Redis:    &limit.Redis{Address: s.address, Prefix: "test:", Timeout: 2 * time.Second},
		})
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		limiters = append(limiters, l)
	}
	admit := func(l *limit.Limiter) (*limit.Permit, error) {
		return l.Admit(t.Context(), "someone", limit.Rates{}, true)
	}
	var permits []*limit.Permit
	for i := range 3 {
		p, err := admit(limiters[i%2])
		if err != nil {
			t.Fatal(err)
		}
		permits = append(permits, p)
	}
	if _, err := admit(limiters[1]); err == nil {
		t.Error("a fourth request comes in beside three")
	}
	permits[0].Close()
	eventually(t, "the place is free for the other replica", func() bool {
		p, err := admit(limiters[1])
		permits[0] = p
		return err == nil
	})
	if err := permits[1].Reserve(t.Context(), 500, 400); err != nil {
		t.Fatal(err)
	}
	if err := permits[2].Reserve(t.Context(), 100, 200); err == nil {
		t.Error("1200 of 1000 tokens are reserved")
	}
	permits[1].Settle(510)
	eventually(t, "what was not used is there for the other replica", func() bool {
		return permits[2].Reserve(t.Context(), 100, 200) == nil
	})
	if err := permits[0].Reserve(t.Context(), 500, 0); err == nil {
		t.Error("510, 300 and 500 of 1000 tokens are reserved")
	}
	if names := s.names(t); strings.Contains(names, "someone") || !strings.Contains(names, "test:") {
		t.Errorf("redis has %s", names)
	}
}

// TestStalledRedis is a Redis that takes connections and says nothing: requests are answered all the same.
func TestStalledRedis(t *testing.T) {
	s := newStore(t)
	url := newReplica(t, s.address)
	if h := health(t, url); h.Status != "healthy" {
		t.Fatalf("health is %+v", h)
	}
	if err := s.process.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if status, body := get(t, url+"/v1/models"); status != http.StatusOK {
			t.Errorf("status %d: %s", status, body)
		}
	}
	if h := health(t, url); h.Status != "degraded" {
		t.Errorf("health is %+v", h)
	}
	if err := s.process.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "redis is seen again", func() bool { return health(t, url).Status == "healthy" })
}
