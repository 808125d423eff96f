package limit

import (
	"context"
	"sync"
	"time"
)

// maxAccounts bounds the memory for identities; where no key is needed, each client address is one.
const maxAccounts = 1 << 16

// take is one question to a store: may this be used? It is decided as a whole.
type take struct {
	requests int
	// tokens are to be reserved, and given back where negative; needed of them must be there.
	tokens, needed float64
	// enter and leave name a request under way. The table needs no name to leave; see there.
	enter, leave string
}

// verdict answers a take.
type verdict struct {
	refused  Kind // "" for yes
	requests float64
	tokens   float64 // what the buckets hold now
	wait     time.Duration
}

// account is the state of one identity.
type account struct {
	requests, tokens bucket
	running          int
}

// table holds accounts in this process. It counts the requests under way even where Redis decides, so that the count is
// right when Redis goes away.
type table struct {
	mu       sync.Mutex
	accounts map[string]*account
}

func (t *table) account(key string, now time.Time, s shape) *account {
	a := t.accounts[key]
	if a == nil {
		if len(t.accounts) >= maxAccounts {
			t.evict(now, s)
		}
		a = &account{}
		t.accounts[key] = a
	}
	a.requests.fill(now, s.requests, s.requestsPerSecond)
	a.tokens.fill(now, s.tokens, s.tokensPerSecond)
	return a
}

// evict forgets a sixteenth of the accounts that have nothing under way, idle ones before others.
func (t *table) evict(now time.Time, s shape) {
	left := maxAccounts / 16
	for _, idleOnly := range []bool{true, false} {
		for key, a := range t.accounts {
			if left == 0 {
				return
			}
			// After a minute without a request a bucket of tokens is full again, and most of requests are.
			if a.running == 0 && (!idleOnly || now.Sub(a.requests.at) > time.Minute+until(0, s.requests, s.requestsPerSecond)) {
				delete(t.accounts, key)
				left--
			}
		}
	}
}

// decide answers from this process' accounts.
func (t *table) decide(key string, now time.Time, s shape, q take) verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.account(key, now, s)
	var v verdict
	switch {
	case q.enter != "" && s.concurrent > 0 && a.running >= s.concurrent:
		v.refused = Concurrency
	case q.requests > 0 && s.requestsPerSecond > 0 && a.requests.level < float64(q.requests):
		v.refused, v.wait = Requests, until(a.requests.level, float64(q.requests), s.requestsPerSecond)
	case q.needed > 0 && s.tokensPerSecond > 0 && a.tokens.level < q.needed:
		v.refused, v.wait = Tokens, until(a.tokens.level, q.needed, s.tokensPerSecond)
	default:
		if s.requestsPerSecond > 0 {
			a.requests.level -= float64(q.requests)
		}
		if s.tokensPerSecond > 0 {
			a.tokens.level = min(a.tokens.level-q.tokens, s.tokens)
		}
		if q.enter != "" {
			a.running++
		}
	}
	v.requests, v.tokens = a.requests.level, a.tokens.level
	return v
}

// mirror takes over what Redis has decided, so that the share goes on from there when Redis goes away.
func (t *table) mirror(key string, now time.Time, s shape, q take, v verdict, replicas int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.account(key, now, s)
	a.requests.level = min(v.requests/float64(replicas), s.requests)
	a.tokens.level = min(v.tokens/float64(replicas), s.tokens)
	if q.enter != "" && v.refused == "" {
		a.running++
	}
}

// leave ends a request under way, wherever it was let in.
func (t *table) leave(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.accounts[key]; a != nil && a.running > 0 {
		a.running--
	}
}

// shared is a store that several replicas use.
type shared interface {
	decide(ctx context.Context, key string, s shape, q take) (verdict, error)
	// beat tells the others that this replica lives, keeps its requests under way counted, and returns how many live.
	beat(ctx context.Context, underway map[string][]string) (replicas int, err error)
	close() error
}
