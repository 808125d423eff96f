package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gptoss/gptoss-operator/test/process"
)

const (
	// spare is how many goroutines more than at the start are no leak: the runtime and net/http keep a few for a while.
	spare = 3
	// longestPause is how long a client rests at most after a 429.
	longestPause = 10 * time.Second
)

// load is what happened under load.
type load struct {
	Clients  int            `json:"clients"`
	Seconds  float64        `json:"seconds"`
	Counts   map[string]int `json:"requests"`
	FirstP50 float64        `json:"first_token_p50_s"`
	FirstP99 float64        `json:"first_token_p99_s"`
	Health   probes         `json:"health"`
	Fresh    sample         `json:"fresh"`     // before any request
	Start    sample         `json:"start"`     // after the warm-up
	Peak     sample         `json:"peak"`      // of memory, and what else was then
	End      sample         `json:"end"`       // when it had settled, or the time for that was over
	Settled  float64        `json:"settled_s"` // how long that took
	Troubles []string       `json:"troubles"`

	mu    sync.Mutex
	first []time.Duration
}

func (l *load) broken(s settings) []string {
	var broken []string
	for kind, n := range l.Counts {
		if strings.HasPrefix(kind, "error") {
			broken = append(broken, fmt.Sprintf("%d requests ended with an %s", n, kind))
		}
	}
	if l.Counts["whole"] == 0 {
		broken = append(broken, "no client got a whole answer")
	}
	if limit := milliseconds(s.load.health); l.Health.P99 >= limit {
		broken = append(broken, fmt.Sprintf("health took %.1f ms at p99, want less than %.0f", l.Health.P99, limit))
	}
	if l.Health.Failed > 0 {
		broken = append(broken, fmt.Sprintf("health failed %d times, first: %s", l.Health.Failed, l.Health.First))
	}
	if l.End.Memory > l.Start.Memory*(1+s.load.memory) {
		broken = append(broken, fmt.Sprintf("memory was %.1f MB at the start and is %.1f MB at the end", l.Start.Memory/1e6, l.End.Memory/1e6))
	}
	if l.End.Goroutines > l.Start.Goroutines+spare {
		broken = append(broken, fmt.Sprintf("goroutines were %.0f at the start and are %.0f at the end", l.Start.Goroutines, l.End.Goroutines))
	}
	if l.End.Active > 0 {
		broken = append(broken, fmt.Sprintf("%.0f requests are active with no client there", l.End.Active))
	}
	return broken
}

func (l *load) note(kind string, a answer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Counts[kind]++
	if a.first > 0 {
		l.first = append(l.first, a.first)
	}
	if strings.HasPrefix(kind, "error") && len(l.Troubles) < troubles {
		l.Troubles = append(l.Troubles, fmt.Sprintf("%s after %d events: %v", kind, a.events, err))
	}
}

// underLoad measures a server before, while and after a crowd uses it.
func underLoad(ctx context.Context, s settings, out io.Writer) (l *load, err error) {
	key := newKey()
	life := s.load.warm + s.load.duration + 2*s.load.settle + slack
	server, err := process.Start(ctx, s.server, life, append(strings.Fields(s.load.flags), "--api-key="+key)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	l = &load{Clients: s.load.clients, Counts: map[string]int{}, Troubles: []string{}}
	observer := newSite(server.URL, 2)
	defer observer.close()
	if l.Fresh, err = observer.sampleNow(ctx, key); err != nil {
		return l, err
	}
	fmt.Fprintf(out, "load: %d clients for %s after %s of warming up, %.0f %% leave; server %s\n",
		s.load.clients, s.load.duration, s.load.warm, 100*s.load.leave, s.load.flags)
	warming := &load{Counts: map[string]int{}}
	crowd(ctx, s, warming, server.URL, key, s.load.warm)
	if l.Start, err = observer.settle(ctx, key, s.load.settle, sample{Memory: 0, Goroutines: 0}); err != nil {
		return l, err
	}
	fmt.Fprintf(out, "load: the start: %s\n", l.Start)
	stop, err := startProbe(ctx, server.URL)
	if err != nil {
		return l, err
	}
	begun := time.Now()
	watching, rest := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { l.watch(watching, observer, key, out) })
	crowd(ctx, s, l, server.URL, key, s.load.duration)
	rest()
	watcher.Wait()
	l.Seconds = time.Since(begun).Seconds()
	if l.Health, err = stop(); err != nil {
		return l, err
	}
	l.FirstP50, l.FirstP99 = percentile(l.first, 0.5).Seconds(), percentile(l.first, 0.99).Seconds()
	fmt.Fprintf(out, "load: %v; health %+v\n", l.Counts, l.Health)
	settling := time.Now()
	l.End, err = observer.settle(ctx, key, s.load.settle, sample{Memory: l.Start.Memory * (1 + s.load.memory), Goroutines: l.Start.Goroutines + spare})
	l.Settled = time.Since(settling).Seconds()
	fmt.Fprintf(out, "load: the end, %.0f s later: %s\n", l.Settled, l.End)
	return l, err
}

// String is a sample on a line of progress.
func (s sample) String() string {
	return fmt.Sprintf("%.1f MB resident, heap %.1f of %.1f MB, %.0f goroutines, %.0f active, %.0f waiting",
		s.Memory/1e6, s.HeapInUse/1e6, s.HeapGoal/1e6, s.Goroutines, s.Active, s.Queued)
}

// crowd lets the clients loose for a while, and returns when all of them have gone.
func crowd(ctx context.Context, s settings, l *load, url, key string, duration time.Duration) {
	at := newSite(url, s.load.clients)
	defer at.close()
	ctx, end := context.WithTimeout(ctx, duration)
	defer end()
	// They do not all come in one moment: a second for every 200.
	arrival := min(time.Duration(s.load.clients)*5*time.Millisecond, duration/4)
	var all sync.WaitGroup
	for i := range s.load.clients {
		rng := mathrand.New(mathrand.NewPCG(3, uint64(i)))
		all.Go(func() {
			pause(ctx, time.Duration(rng.Float64()*float64(arrival)))
			for ctx.Err() == nil {
				l.once(ctx, s, at, key, rng)
			}
		})
	}
	all.Wait()
}

// once is one request of one client.
func (l *load) once(ctx context.Context, s settings, at *site, key string, rng *mathrand.Rand) {
	leave := 0
	if rng.Float64() < s.load.leave {
		leave = 1 + rng.IntN(20) // the first event comes while the request still waits for its turn
	}
	a, err := at.stream(ctx, key, rng, leave)
	switch {
	case ctx.Err() != nil: // the end, which leaves in the middle too
		l.note("unfinished", answer{}, nil)
	case err != nil:
		l.note("error: "+kindOf(err), a, err)
	case a.left:
		l.note("left", a, nil)
	case a.status == http.StatusTooManyRequests:
		l.note("429", a, nil)
		pause(ctx, time.Duration((0.5+rng.Float64())*float64(min(max(a.retryAfter, time.Second), longestPause))))
	case a.status != http.StatusOK:
		l.note(fmt.Sprintf("error: status %d", a.status), a, nil)
	default:
		l.note("whole", a, nil)
	}
}

// kindOf makes few words of an error, to be counted by.
func kindOf(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text[:min(len(text), 80)]
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// watch prints a line of progress every five seconds and keeps the peak.
func (l *load) watch(ctx context.Context, at *site, key string, out io.Writer) {
	begun := time.Now()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := at.sampleNow(ctx, key)
		if err != nil {
			if ctx.Err() == nil {
				l.note("error: metrics", answer{}, err)
			}
			continue
		}
		if now.Memory > l.Peak.Memory {
			l.Peak = now
		}
		l.mu.Lock()
		fmt.Fprintf(out, "load: %3.0f s: %s; %v\n", time.Since(begun).Seconds(), now, l.Counts)
		l.mu.Unlock()
	}
}

// settle waits until the server is idle and at most as large as want, or else until nothing has become smaller for ten
// seconds, or the time is over.
func (s *site) settle(ctx context.Context, key string, limit time.Duration, want sample) (last sample, err error) {
	const quiet = 10 * time.Second
	begun := time.Now()
	var lowest sample
	lowered := begun
	for {
		last, err = s.sampleNow(ctx, key)
		if err != nil {
			return last, err
		}
		now := time.Now()
		if lowest.Memory == 0 || last.Memory < 0.99*lowest.Memory || last.Goroutines < lowest.Goroutines {
			lowest, lowered = last, now
		}
		idle := last.Active == 0
		switch {
		case idle && last.Memory <= want.Memory && last.Goroutines <= want.Goroutines:
			return last, nil
		case idle && want.Memory == 0 && now.Sub(lowered) >= quiet:
			return last, nil
		case now.Sub(begun) >= limit:
			return last, nil
		}
		pause(ctx, 500*time.Millisecond)
		if ctx.Err() != nil {
			return last, ctx.Err()
		}
	}
}
