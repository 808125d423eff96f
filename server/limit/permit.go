package limit

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Permit is a request that was let in. Close ends it. Its methods may be called from several goroutines, and on nil.
type Permit struct {
	l     *Limiter
	key   string
	rates Rates
	name  string // among those under way; "" where they are not counted

	mu               sync.Mutex
	requests, tokens standing
	reserved         float64
	remote           bool // where it was reserved
	settled, closed  bool
	holders          int // who keeps the place among those under way
}

// giveback is what goes back to Redis behind the client's back.
type giveback struct {
	key   string
	rates Rates
	take  take
}

// Admit lets a request of an identity in, or returns a *Refusal. own are the identity's limits. A request that makes
// tokens is one of those under way at the same time, and is refused where no tokens are left. The permit is never nil: of
// a refused request, it only knows the headers.
func (l *Limiter) Admit(ctx context.Context, identity string, own Rates, makesTokens bool) (*Permit, error) {
	p := &Permit{l: l, key: identity, rates: own.Over(l.defaults), holders: 1}
	if p.rates.none() {
		return p, nil
	}
	q := take{requests: 1}
	if p.rates.Concurrent > 0 && makesTokens {
		p.name = l.name + strconv.FormatUint(l.names.Add(1), 36)
		q.enter = p.name
	}
	if makesTokens {
		q.needed = 1
	}
	v, remote := l.decide(ctx, p.key, p.rates, q)
	if v.refused == Concurrency && l.pause(ctx) {
		v, remote = l.decide(ctx, p.key, p.rates, q)
	}
	p.note(v, remote)
	if v.refused != "" {
		p.closed = true
		return p, p.refuse(v)
	}
	if p.name != "" && l.shared != nil {
		l.enter(p.key, p.name)
	}
	return p, nil
}

// pause waits for the grace of concurrent requests; false where the client does not.
func (l *Limiter) pause(ctx context.Context) bool {
	timer := time.NewTimer(l.grace)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// note keeps what the headers say.
func (p *Permit) note(v verdict, remote bool) {
	n := 1
	if !remote {
		n = p.l.share()
	}
	s := p.rates.buckets(n)
	p.requests = standing{s.requests, v.requests, s.requestsPerSecond}
	p.tokens = standing{s.tokens, v.tokens, s.tokensPerSecond}
}

func (p *Permit) refuse(v verdict) *Refusal {
	p.l.metrics.refused.WithLabelValues(string(v.refused)).Inc()
	r := &Refusal{Kind: v.refused, RetryAfter: v.wait}
	switch v.refused {
	case Requests:
		r.Limit = p.rates.RequestsPerSecond
	case Tokens:
		r.Limit = float64(p.rates.TokensPerMinute)
	case Concurrency:
		r.Limit = float64(p.rates.Concurrent)
	}
	return r
}

// Reserve takes the tokens that a request will use at most: those of its prompt, which are known, and those of its
// answer. It returns a *Refusal where they are not there. An answer that may be longer than a minute's tokens needs all
// of them; a prompt that is longer never fits.
func (p *Permit) Reserve(ctx context.Context, prompt, answer int64) error {
	if p == nil || p.rates.TokensPerMinute == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if limit := p.rates.TokensPerMinute; prompt > limit {
		p.l.metrics.refused.WithLabelValues(string(Tokens)).Inc()
		return &Refusal{Kind: Tokens, Limit: float64(limit), Never: true, Asked: prompt}
	}
	n := float64(min(prompt+answer, p.rates.TokensPerMinute))
	v, remote := p.l.decide(ctx, p.key, p.rates, take{tokens: n, needed: n})
	p.note(v, remote)
	if v.refused != "" {
		return p.refuse(v)
	}
	p.reserved += n
	p.remote = remote
	return nil
}

// Settle replaces what was reserved by what was used. The first call counts, also one after Close.
func (p *Permit) Settle(used int64) {
	if p == nil || p.rates.TokensPerMinute == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	difference := float64(used) - p.reserved
	if p.settled || difference == 0 {
		return
	}
	p.settled = true
	q := take{tokens: difference}
	if p.remote || p.reserved == 0 && p.l.shared != nil && !p.l.away.Load() {
		p.l.later(giveback{p.key, p.rates, q})
		return
	}
	p.l.local.decide(p.key, p.l.now(), p.rates.buckets(p.l.share()), q)
}

// Close ends the request. What it has reserved and not settled counts as used.
func (p *Permit) Close() {
	if p != nil {
		p.drop(&p.closed)
	}
}

// Hold keeps the place among those under way, beyond Close too, until the returned function is called: what a request has
// begun may outlive it.
func (p *Permit) Hold() (release func()) {
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holders++
	released := false
	return func() { p.drop(&released) }
}

// drop ends one hold. done says whether that has happened.
func (p *Permit) drop(done *bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if *done {
		return
	}
	*done = true
	if p.holders--; p.holders > 0 || p.name == "" {
		return
	}
	p.l.local.leave(p.key)
	if p.l.leave(p.key, p.name) {
		p.l.later(giveback{p.key, p.rates, take{leave: p.name}})
	}
}

// WriteHeaders sets the x-ratelimit headers.
func (p *Permit) WriteHeaders(h http.Header) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests.write(h, "requests")
	p.tokens.write(h, "tokens")
}

// enter remembers a request that Redis counts, or will count when it is back.
func (l *Limiter) enter(key, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.underway[key] == nil {
		l.underway[key] = map[string]struct{}{}
	}
	l.underway[key][name] = struct{}{}
}

// leave forgets it and reports whether it was one.
func (l *Limiter) leave(key, name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, found := l.underway[key][name]
	delete(l.underway[key], name)
	if len(l.underway[key]) == 0 {
		delete(l.underway, key)
	}
	return found
}

// later gives back without keeping anybody waiting.
func (l *Limiter) later(g giveback) {
	select {
	case l.pending <- g:
	default:
	}
}

// settle gives back what is pending, also what is left when ctx ends.
func (l *Limiter) settle(ctx context.Context) {
	for {
		select {
		case g := <-l.pending:
			l.give(g)
		case <-ctx.Done():
			for {
				select {
				case g := <-l.pending:
					l.give(g)
				default:
					return
				}
			}
		}
	}
}

// give tells Redis. While it is away there is nobody to tell: its buckets fill meanwhile, and its leases end.
func (l *Limiter) give(g giveback) {
	if l.away.Load() {
		return
	}
	v, err := l.ask(context.Background(), g.key, g.rates.buckets(1), g.take)
	if err == nil && !g.rates.none() {
		n := l.share()
		l.local.mirror(g.key, l.now(), g.rates.buckets(n), g.take, v, n)
	}
}
