package talk

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Load is a bounded load: so many requests, so many at once, and no new ones after the context's end.
type Load struct {
	Servers     []Server // taken in turn
	Request     Request
	Requests    int
	Concurrency int
	Now         func() time.Time
	Done        func(finished int) // hears of every request that ended, one at a time
}

// Spread is a distribution.
type Spread struct {
	P50 time.Duration `json:"p50"`
	P95 time.Duration `json:"p95"`
	Max time.Duration `json:"max"`
}

// Figures are what a load measured.
type Figures struct {
	Requests        int           `json:"requests"` // that succeeded
	Failed          int           `json:"failed"`
	Duration        time.Duration `json:"duration"`
	PromptTokens    int           `json:"promptTokens"`
	Tokens          int           `json:"tokens"` // generated
	TokensPerSecond float64       `json:"tokensPerSecond"`
	FirstToken      Spread        `json:"timeToFirstToken"`
	BetweenTokens   Spread        `json:"interTokenLatency"`
	FirstError      string        `json:"firstError,omitempty"`
}

// sample is one request. gaps are the times between two pieces of the answer.
type sample struct {
	answer Answer
	first  time.Duration
	gaps   []time.Duration
	err    error
}

// Run puts the load on the servers.
func (l Load) Run(ctx context.Context) Figures {
	begin := l.Now()
	var mu sync.Mutex
	var samples []sample
	jobs := make(chan int)
	var wait sync.WaitGroup
	for range l.Concurrency {
		wait.Go(func() {
			for i := range jobs {
				s := l.one(ctx, l.Servers[i%len(l.Servers)])
				mu.Lock()
				samples = append(samples, s)
				l.Done(len(samples))
				mu.Unlock()
			}
		})
	}
feed:
	for i := range l.Requests {
		select {
		case jobs <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(jobs)
	wait.Wait()
	return figures(samples, l.Now().Sub(begin))
}

func (l Load) one(ctx context.Context, server Server) sample {
	var s sample
	begin, last := l.Now(), time.Time{}
	s.answer, s.err = server.Ask(ctx, l.Request, func(Piece) error {
		now := l.Now()
		if last.IsZero() {
			s.first = now.Sub(begin)
		} else {
			s.gaps = append(s.gaps, now.Sub(last))
		}
		last = now
		return nil
	})
	return s
}

// figures adds up. A request that the end of the time cut is neither a success nor a failure of the server.
func figures(samples []sample, took time.Duration) Figures {
	f := Figures{Duration: took}
	var first, gaps []time.Duration
	for _, s := range samples {
		switch {
		case errors.Is(s.err, context.DeadlineExceeded) || errors.Is(s.err, context.Canceled):
			continue
		case s.err != nil:
			f.Failed++
			if f.FirstError == "" {
				f.FirstError = s.err.Error()
			}
			continue
		}
		f.Requests++
		f.PromptTokens += s.answer.PromptTokens
		f.Tokens += s.answer.CompletionTokens
		if s.first > 0 {
			first = append(first, s.first)
		}
		gaps = append(gaps, s.gaps...)
	}
	if took > 0 {
		f.TokensPerSecond = float64(f.Tokens) / took.Seconds()
	}
	f.FirstToken, f.BetweenTokens = spread(first), spread(gaps)
	return f
}

func spread(all []time.Duration) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	slices.Sort(all)
	at := func(percent int) time.Duration { return all[min(len(all)-1, (len(all)*percent+99)/100-1)] }
	return Spread{P50: at(50), P95: at(95), Max: all[len(all)-1]}
}
