package limit

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2025, 5, 7, 14, 20, 33, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newTest(t *testing.T, defaults Rates) (*Limiter, *clock) {
	t.Helper()
	c := newClock()
	l := newLimiter(Config{Defaults: defaults, Now: c.now})
	l.grace = 0
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, c
}

// admit lets n requests in and returns their permits and the first refusal.
func admit(t *testing.T, l *Limiter, who string, own Rates, n int) (permits []*Permit, refused *Refusal) {
	t.Helper()
	for range n {
		p, err := l.Admit(t.Context(), who, own, true)
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			return permits, refused
		}
		permits = append(permits, p)
	}
	return permits, nil
}

func TestRates(t *testing.T) {
	cases := map[string]struct{ own, defaults, want Rates }{
		"nothing":                   {Rates{}, Rates{}, Rates{}},
		"the defaults":              {Rates{}, Rates{5, 9, 100, 2}, Rates{5, 9, 100, 2}},
		"a burst of one second":     {Rates{}, Rates{RequestsPerSecond: 2.5}, Rates{RequestsPerSecond: 2.5, Burst: 3}},
		"a slow rate needs a place": {Rates{}, Rates{RequestsPerSecond: 0.1}, Rates{RequestsPerSecond: 0.1, Burst: 1}},
		"its own":                   {Rates{1, 2, 3, 4}, Rates{5, 9, 100, 2}, Rates{1, 2, 3, 4}},
		"its own rate":              {Rates{RequestsPerSecond: 20}, Rates{5, 9, 100, 2}, Rates{20, 20, 100, 2}},
		"its own burst":             {Rates{Burst: 20}, Rates{5, 9, 100, 2}, Rates{5, 20, 100, 2}},
		"all lifted":                {Rates{-1, 0, -1, -1}, Rates{5, 9, 100, 2}, Rates{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.own.Over(tc.defaults)); diff != "" {
				t.Errorf("(-want,+got):\n%s", diff)
			}
		})
	}
}

func TestRequestsPerSecond(t *testing.T) {
	l, c := newTest(t, Rates{RequestsPerSecond: 4, Burst: 6})
	permits, refused := admit(t, l, "a", Rates{}, 10)
	if len(permits) != 6 || refused == nil || refused.Kind != Requests || refused.RetryAfter != 250*time.Millisecond {
		t.Fatalf("at first %d come in, then %+v", len(permits), refused)
	}
	if others, _ := admit(t, l, "b", Rates{}, 10); len(others) != 6 {
		t.Errorf("of another identity %d come in", len(others))
	}
	c.advance(refused.RetryAfter)
	if permits, _ = admit(t, l, "a", Rates{}, 10); len(permits) != 1 {
		t.Errorf("after the time in Retry-After %d come in", len(permits))
	}
	c.advance(time.Hour)
	if permits, _ = admit(t, l, "a", Rates{}, 10); len(permits) != 6 {
		t.Errorf("after an hour %d come in", len(permits))
	}
	if permits, _ = admit(t, l, "a", Rates{RequestsPerSecond: Unlimited}, 1000); len(permits) != 1000 {
		t.Errorf("without a limit %d come in", len(permits))
	}
	if n := testutil.ToFloat64(l.metrics.refused.WithLabelValues("requests")); n != 4 {
		t.Errorf("%v refusals were counted", n)
	}
}

func TestConcurrency(t *testing.T) {
	l, _ := newTest(t, Rates{Concurrent: 2})
	permits, refused := admit(t, l, "a", Rates{}, 3)
	if len(permits) != 2 || refused == nil || refused.Kind != Concurrency {
		t.Fatalf("%d come in, then %+v", len(permits), refused)
	}
	permits[0].Close()
	permits[0].Close()
	if more, _ := admit(t, l, "a", Rates{}, 2); len(more) != 1 {
		t.Errorf("after one has left, %d come in", len(more))
	}
	l.grace = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Admit(ctx, "a", Rates{}, true); err == nil || !strings.Contains(err.Error(), "the limit is 2") {
		t.Errorf("a client that has left gets %v", err)
	}
}

// TestHold keeps a place for what a request has begun, as long as that takes, and settles it then.
func TestHold(t *testing.T) {
	l, _ := newTest(t, Rates{Concurrent: 1, TokensPerMinute: 1000})
	permits, _ := admit(t, l, "a", Rates{}, 1)
	if err := permits[0].Reserve(t.Context(), 100, 700); err != nil {
		t.Fatal(err)
	}
	release := permits[0].Hold()
	permits[0].Close()
	if _, refused := admit(t, l, "a", Rates{}, 1); refused == nil || refused.Kind != Concurrency {
		t.Errorf("beside what goes on: %+v", refused)
	}
	if _, err := l.Admit(t.Context(), "a", Rates{}, false); err != nil {
		t.Errorf("a request that makes no tokens: %v", err)
	}
	permits[0].Settle(300)
	release()
	release()
	after, refused := admit(t, l, "a", Rates{}, 2)
	if len(after) != 1 || refused == nil {
		t.Fatalf("afterwards %d come in", len(after))
	}
	if err := after[0].Reserve(t.Context(), 700, 0); err != nil {
		t.Errorf("what was settled after the end did not come back: %v", err)
	}
}

// TestGrace lets a request in that comes a moment before another has ended, and refuses one that comes earlier.
func TestGrace(t *testing.T) {
	for before, admitted := range map[time.Duration]bool{grace / 2: true, 2 * grace: false} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(Config{Defaults: Rates{Concurrent: 1}})
			first, err := l.Admit(t.Context(), "a", Rates{}, true)
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(before, first.Close)
			if _, err := l.Admit(t.Context(), "a", Rates{}, true); (err == nil) != admitted {
				t.Errorf("%s before: %v", before, err)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	l, c := newTest(t, Rates{TokensPerMinute: 600})
	permit := func() *Permit {
		t.Helper()
		p, err := l.Admit(t.Context(), "a", Rates{}, true)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var refused *Refusal
	first := permit()
	if err := first.Reserve(t.Context(), 100, 400); err != nil {
		t.Fatal(err)
	}
	if err := permit().Reserve(t.Context(), 100, 50); !errors.As(err, &refused) || refused.RetryAfter != 5*time.Second || refused.Kind != Tokens {
		t.Fatalf("150 of the 100 that are left give %v", err)
	}
	first.Settle(200)
	first.Settle(0)
	first.Close()
	second := permit()
	if err := second.Reserve(t.Context(), 100, 300); err != nil {
		t.Errorf("what was not used did not come back: %v", err)
	}
	second.Settle(460) // more than was reserved
	if _, err := l.Admit(t.Context(), "a", Rates{}, true); !errors.As(err, &refused) || refused.RetryAfter != 6100*time.Millisecond {
		t.Errorf("a request that makes tokens without any left gives %v", err)
	}
	if _, err := l.Admit(t.Context(), "a", Rates{}, false); err != nil {
		t.Errorf("a request that makes none is refused: %v", err)
	}
	c.advance(time.Minute + 6*time.Second)
	if err := permit().Reserve(t.Context(), 601, 0); !errors.As(err, &refused) || !refused.Never {
		t.Errorf("a prompt that never fits gives %v", err)
	}
	if err := permit().Reserve(t.Context(), 10, 100000); err != nil {
		t.Errorf("a long answer does not fit into a full bucket: %v", err)
	}
	// Without a reservation, what was used is taken afterwards.
	c.advance(2 * time.Minute)
	permit().Settle(700)
	if _, err := l.Admit(t.Context(), "a", Rates{}, true); err == nil {
		t.Error("what was used without being reserved does not count")
	}
}

func TestHeaders(t *testing.T) {
	l, c := newTest(t, Rates{RequestsPerSecond: 0.5, Burst: 3, TokensPerMinute: 6000})
	p, err := l.Admit(t.Context(), "a", Rates{}, true)
	if err != nil {
		t.Fatal(err)
	}
	headers := func(p *Permit) map[string]string {
		h, out := http.Header{}, map[string]string{}
		p.WriteHeaders(h)
		for name := range h {
			out[strings.ToLower(name)] = h.Get(name)
		}
		return out
	}
	want := map[string]string{
		"x-ratelimit-limit-requests": "3", "x-ratelimit-remaining-requests": "2", "x-ratelimit-reset-requests": "2s",
		"x-ratelimit-limit-tokens": "6000", "x-ratelimit-remaining-tokens": "6000", "x-ratelimit-reset-tokens": "0s",
	}
	if diff := cmp.Diff(want, headers(p)); diff != "" {
		t.Errorf("on entering (-want,+got):\n%s", diff)
	}
	if err := p.Reserve(t.Context(), 3000, 3000); err != nil {
		t.Fatal(err)
	}
	want["x-ratelimit-remaining-tokens"], want["x-ratelimit-reset-tokens"] = "0", "1m0s"
	if diff := cmp.Diff(want, headers(p)); diff != "" {
		t.Errorf("after reserving (-want,+got):\n%s", diff)
	}
	c.advance(30 * time.Second)
	_, refused := admit(t, l, "a", Rates{}, 4)
	h := http.Header{}
	refused.WriteRetry(h)
	if h.Get("Retry-After") != "2" || h.Get("Retry-After-Ms") != "2000" {
		t.Errorf("a refused client gets %v", h)
	}
	h = http.Header{}
	(&Refusal{Never: true}).WriteRetry(h)
	if h.Get("X-Should-Retry") != "false" || h.Get("Retry-After") != "" {
		t.Errorf("a client that never gets in gets %v", h)
	}
	unlimited, err := l.Admit(t.Context(), "a", Rates{RequestsPerSecond: -1, TokensPerMinute: -1}, true)
	if err != nil || len(headers(unlimited)) != 0 {
		t.Errorf("without limits: %v, %v", headers(unlimited), err)
	}
}

// TestManyAddresses keeps memory bounded, and who is under way counted.
func TestManyAddresses(t *testing.T) {
	table, c := table{accounts: map[string]*account{}}, newClock()
	s := Rates{RequestsPerSecond: 1, Burst: 1, Concurrent: 1}.buckets(1)
	table.decide("busy", c.now(), s, take{requests: 1, enter: "x"})
	for i := range 2 * maxAccounts {
		table.decide(string(rune(i+0x10000))+"x", c.now(), s, take{requests: 1})
		c.advance(time.Millisecond)
	}
	if n := len(table.accounts); n > maxAccounts {
		t.Errorf("%d accounts are kept", n)
	}
	if table.accounts["busy"] == nil {
		t.Error("an account with a request under way is gone")
	}
}
