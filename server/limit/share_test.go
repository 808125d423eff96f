package limit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// fake is a store that several limiters share and that can go away.
type fake struct {
	table    *table
	clock    *clock
	replicas int
	away     *atomic.Bool
	asked    atomic.Int64

	mu       sync.Mutex
	underway map[string][]string // of the last beat
}

var errAway = errors.New("connection refused")

func (f *fake) decide(_ context.Context, key string, s shape, q take) (verdict, error) {
	f.asked.Add(1)
	if f.away.Load() {
		return verdict{}, errAway
	}
	v := f.table.decide(key, f.clock.now(), s, q)
	if q.leave != "" {
		f.table.leave(key)
	}
	return v, nil
}

func (f *fake) beat(_ context.Context, underway map[string][]string) (int, error) {
	if f.away.Load() {
		return 0, errAway
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.underway = underway
	return f.replicas, nil
}

func (f *fake) close() error { return nil }

// cluster makes n limiters on one store.
func cluster(t *testing.T, n int, r Rates) (limiters []*Limiter, stores []*fake, c *clock, away *atomic.Bool) {
	t.Helper()
	c, away = newClock(), &atomic.Bool{}
	all := &table{accounts: map[string]*account{}}
	for range n {
		l := newLimiter(Config{Defaults: r, Now: c.now})
		l.grace = 0
		f := &fake{table: all, clock: c, replicas: n, away: away}
		l.start(f, time.Second)
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		limiters, stores = append(limiters, l), append(stores, f)
	}
	return limiters, stores, c, away
}

// TestShares has three replicas enforce one limit together, then a third of it each while the store is away, and again one
// together when it is back.
func TestShares(t *testing.T) {
	limiters, stores, c, away := cluster(t, 3, Rates{RequestsPerSecond: 30})
	seconds := func(n int) int {
		admitted := 0
		for range n * 10 {
			c.advance(100 * time.Millisecond)
			for _, l := range limiters {
				permits, _ := admit(t, l, "a", Rates{}, 10)
				admitted += len(permits)
			}
		}
		return admitted
	}
	seconds(2) // uses up the burst
	if n := seconds(20); n < 595 || n > 605 {
		t.Errorf("together they let %d in, of 600", n)
	}
	away.Store(true)
	before := [3]int64{}
	for i, l := range limiters {
		if p, err := l.Admit(t.Context(), "a", Rates{}, true); err == nil {
			p.Close()
		}
		before[i] = stores[i].asked.Load()
		if len(l.Degraded()) != 1 || testutil.ToFloat64(l.metrics.degraded) != 1 {
			t.Errorf("replica %d does not say that it goes on alone", i)
		}
	}
	if n := seconds(20); n < 570 || n > 630 {
		t.Errorf("alone they let %d in, of 600", n)
	}
	for i := range limiters {
		if stores[i].asked.Load() != before[i] {
			t.Errorf("requests of replica %d go on asking a store that is away", i)
		}
	}
	away.Store(false)
	for _, l := range limiters {
		l.beat(t.Context())
		if len(l.Degraded()) != 0 {
			t.Error("a replica does not see that the store is back")
		}
	}
	seconds(2)
	if n := seconds(20); n < 595 || n > 605 {
		t.Errorf("together again they let %d in, of 600", n)
	}
}

// TestShareOfOne gives small limits a place in each replica, though the rate is divided.
func TestShareOfOne(t *testing.T) {
	limiters, _, c, away := cluster(t, 3, Rates{RequestsPerSecond: 0.5, Concurrent: 2})
	away.Store(true)
	for _, l := range limiters {
		permits, refused := admit(t, l, "a", Rates{}, 2)
		if len(permits) != 1 || refused.Kind != Concurrency {
			t.Fatalf("%d come in, then %+v", len(permits), refused)
		}
		permits[0].Close()
		if _, refused := admit(t, l, "a", Rates{}, 1); refused == nil || refused.RetryAfter != 6*time.Second {
			t.Errorf("the next one gets %+v", refused)
		}
	}
	c.advance(6 * time.Second)
	if permits, _ := admit(t, limiters[0], "a", Rates{}, 1); len(permits) != 1 {
		t.Error("after a share's time nobody comes in")
	}
}

// TestUnderWay counts the requests of all replicas, also those that came while the store was away.
func TestUnderWay(t *testing.T) {
	limiters, stores, _, away := cluster(t, 2, Rates{Concurrent: 4})
	here, _ := admit(t, limiters[0], "a", Rates{}, 2)
	there, _ := admit(t, limiters[1], "a", Rates{}, 9)
	if len(here) != 2 || len(there) != 2 {
		t.Fatalf("%d and %d come in, of 4", len(here), len(there))
	}
	away.Store(true)
	if more, _ := admit(t, limiters[0], "a", Rates{}, 1); len(more) != 0 {
		t.Error("when the store goes away, a replica forgets who is under way")
	}
	here[0].Close()
	late, _ := admit(t, limiters[0], "a", Rates{}, 1)
	if len(late) != 1 {
		t.Fatal("after one has left, nobody comes in")
	}
	away.Store(false)
	limiters[0].beat(t.Context())
	if names := stores[0].underway["a"]; len(names) != 2 {
		t.Errorf("after the store is back, %q are counted", names)
	}
}

// TestSettlingElsewhere gives back to the store what was reserved there.
func TestSettlingElsewhere(t *testing.T) {
	limiters, stores, _, _ := cluster(t, 2, Rates{TokensPerMinute: 1000})
	permits, _ := admit(t, limiters[0], "a", Rates{}, 1)
	if err := permits[0].Reserve(t.Context(), 400, 600); err != nil {
		t.Fatal(err)
	}
	other, refused := admit(t, limiters[1], "a", Rates{}, 1)
	if refused == nil {
		t.Fatalf("%d come in though all tokens are reserved", len(other))
	}
	permits[0].Settle(450)
	if err := limiters[0].Close(); err != nil { // all is given back by then
		t.Fatal(err)
	}
	if level := stores[0].table.accounts["a"].tokens.level; level != 550 {
		t.Errorf("%v tokens are left, want 550", level)
	}
}
