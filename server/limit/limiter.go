package limit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// beatEvery is how often a replica shows the others that it lives, tryEvery how often it looks for a lost Redis.
	beatEvery = 2 * time.Second
	tryEvery  = 500 * time.Millisecond
	// maxPending bounds what waits to be given back to Redis. What does not fit is forgotten: tokens that were reserved and
	// not used come back within a minute anyway, and requests under way when their lease ends.
	maxPending = 1 << 12
	// grace is how long a request beyond the limit of concurrent ones waits before it is refused: a client that sends its
	// next request at once after an answer may be faster than the news that the answer has ended.
	grace = 25 * time.Millisecond
)

// Kind names what is limited.
type Kind string

// The kinds, as the metric has them.
const (
	Requests    Kind = "requests"
	Tokens      Kind = "tokens"
	Concurrency Kind = "concurrency"
)

// Refusal is the error for what exceeds a limit.
type Refusal struct {
	Kind  Kind
	Limit float64 // requests per second, tokens per minute, requests at the same time
	// RetryAfter is when it fits at the earliest; 0 where nobody knows.
	RetryAfter time.Duration
	// Never says that it does not fit whenever it comes: Asked is more tokens than a minute has.
	Never bool
	Asked int64
}

// Error says what the client may do.
func (r *Refusal) Error() string {
	limit := strconv.FormatFloat(r.Limit, 'f', -1, 64)
	in := r.RetryAfter.Round(time.Millisecond)
	switch {
	case r.Never:
		return fmt.Sprintf("The request is too large: its prompt has %d tokens, and the limit is %s tokens per minute.", r.Asked, limit)
	case r.Kind == Concurrency:
		return fmt.Sprintf("Too many requests at the same time: the limit is %s. Wait until one of them has ended.", limit)
	case r.Kind == Tokens:
		return fmt.Sprintf("Rate limit reached: %s tokens per minute. Please try again in %s.", limit, in)
	}
	return fmt.Sprintf("Rate limit reached: %s requests per second. Please try again in %s.", limit, in)
}

// Config is what a Limiter is made of.
type Config struct {
	// Defaults are for identities without limits of their own.
	Defaults Rates
	// Redis keeps the limits for all replicas; nil keeps them in this process.
	Redis *Redis
	// Replicas is how many share the limits while Redis is away; 0 for as many as Redis has counted.
	Replicas int
	// Now is the clock, time.Now where nil.
	Now func() time.Time
	// Log gets a line when Redis is lost and when it is back; nil for none.
	Log *slog.Logger
}

// Limiter says who may go on.
type Limiter struct {
	defaults Rates
	now      func() time.Time
	log      *slog.Logger
	name     string // of this replica, new with each start
	fixed    int    // replicas, where configured
	timeout  time.Duration
	grace    time.Duration
	metrics  metrics
	local    table
	shared   shared // nil for none

	replicas atomic.Int64 // that Redis has counted
	away     atomic.Bool  // Redis
	names    atomic.Uint64
	lost     chan struct{}
	pending  chan giveback
	stop     context.CancelFunc
	ended    sync.WaitGroup

	mu       sync.Mutex
	underway map[string]map[string]struct{} // names of requests that Redis counts, by identity
}

// New makes a limiter. With Redis it tries to reach it once and goes on without it where that fails. Close ends it.
func New(c Config) *Limiter {
	l := newLimiter(c)
	if c.Redis != nil {
		l.start(dial(*c.Redis, l.name), c.Redis.Timeout)
	}
	return l
}

func newLimiter(c Config) *Limiter {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	l := &Limiter{
		defaults: c.Defaults, now: c.Now, log: c.Log, name: rand.Text(), fixed: c.Replicas, grace: grace,
		local: table{accounts: map[string]*account{}}, underway: map[string]map[string]struct{}{},
		lost: make(chan struct{}, 1), pending: make(chan giveback, maxPending), stop: func() {},
	}
	l.replicas.Store(1)
	l.metrics = newMetrics(l)
	return l
}

// start connects the limiter with a shared store.
func (l *Limiter) start(s shared, timeout time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	l.shared, l.timeout, l.stop = s, timeout, stop
	l.beat(ctx)
	l.ended.Go(func() { l.watch(ctx) })
	l.ended.Go(func() { l.settle(ctx) })
}

// Close ends the background work; what waits to be given back is.
func (l *Limiter) Close() error {
	l.stop()
	l.ended.Wait()
	if l.shared == nil {
		return nil
	}
	return l.shared.close()
}

// Degraded says in one sentence each what does not work as configured.
func (l *Limiter) Degraded() []string {
	if !l.away.Load() {
		return nil
	}
	return []string{fmt.Sprintf("Redis cannot be reached, so this replica enforces its share of the rate limits, one part in %d.", l.share())}
}

// share is how many replicas there are to share with.
func (l *Limiter) share() int {
	switch {
	case l.shared == nil:
		return 1
	case l.fixed > 0:
		return l.fixed
	}
	return int(l.replicas.Load())
}

// decide asks Redis, or this replica's share where Redis is away.
func (l *Limiter) decide(ctx context.Context, key string, r Rates, q take) (v verdict, remote bool) {
	if l.shared != nil && !l.away.Load() {
		v, err := l.ask(ctx, key, r.buckets(1), q)
		if err == nil {
			n := l.share()
			l.local.mirror(key, l.now(), r.buckets(n), q, v, n)
			return v, true
		}
	}
	return l.local.decide(key, l.now(), r.buckets(l.share()), q), false
}

// ask bounds the question to Redis in time and nothing else: a client that leaves meanwhile must not look like a failure.
func (l *Limiter) ask(ctx context.Context, key string, s shape, q take) (verdict, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
	defer cancel()
	v, err := l.shared.decide(ctx, key, s, q)
	if err != nil {
		l.lose(err)
	}
	return v, err
}

// lose has requests decided here until watch finds Redis again.
func (l *Limiter) lose(err error) {
	l.metrics.failures.Inc()
	if l.away.CompareAndSwap(false, true) {
		l.log.Warn("redis cannot be reached; this replica enforces its share of the rate limits", "replicas", l.share(), "error", err.Error())
		select {
		case l.lost <- struct{}{}:
		default:
		}
	}
}

// watch beats, faster while Redis is away.
func (l *Limiter) watch(ctx context.Context) {
	timer := time.NewTimer(beatEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.lost:
		case <-timer.C:
			l.beat(ctx)
		}
		if l.away.Load() {
			timer.Reset(tryEvery)
		} else {
			timer.Reset(beatEvery)
		}
	}
}

func (l *Limiter) beat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 4*l.timeout)
	defer cancel()
	counted := l.counted()
	n, err := l.shared.beat(ctx, counted)
	if err != nil {
		if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			l.lose(err)
		}
		return
	}
	l.retract(counted)
	l.replicas.Store(int64(n))
	if l.away.CompareAndSwap(true, false) {
		l.log.Info("redis is back; the rate limits are shared again", "replicas", n)
	}
}

// retract has Redis forget the requests that have ended while the beat was on its way to count them.
func (l *Limiter) retract(counted map[string][]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, names := range counted {
		for _, name := range names {
			if _, found := l.underway[key][name]; !found {
				l.later(giveback{key: key, take: take{leave: name}})
			}
		}
	}
}

// counted copies the names of the requests that Redis counts.
func (l *Limiter) counted() map[string][]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string][]string, len(l.underway))
	for key, names := range l.underway {
		for name := range names {
			out[key] = append(out[key], name)
		}
	}
	return out
}
