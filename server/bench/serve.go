package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
)

const (
	// tailTokens is how long the prompts of prefix go on after what they share.
	tailTokens = 16
	// settled is how many tokens every stream has before it counts as running.
	settled = 4
	// slack is how many tokens a stream may be ahead of who looks at it: a tiny model makes thousands before that one gets
	// a core.
	slack = 8192
)

// streamTokens returns the most positions that a sequence of latency has: a stream goes on for as many steps as the long
// prompt takes, one for each of its tokens in the worst case.
func (c *command) streamTokens() int {
	return c.context + settled + c.decode + c.longPrompt + 2
}

// serve measures what needs the whole engine.
func (b *bench) serve(ctx context.Context) (err error) {
	context, streams := 2, 1
	if b.has(workPrefix) {
		context = max(context, b.command.prefix+tailTokens+1)
	}
	if b.has(workLatency) {
		context, streams = max(context, b.streamTokens()+slack), slices.Max(b.streams)
	}
	b.say("starting the engine")
	e, err := engine.New(engine.Options{
		Checkpoint: b.source.checkpoint, Packed: b.source.file, ContextLength: min(context, b.source.config.MaxContext), MaxSequences: streams + 1,
		MaxBatchTokens: b.stepTokens, PrefixCaching: true, Threads: b.threads, Kernel: b.kernel, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	s := &service{engine: e, vocabulary: b.source.config.VocabSize}
	if _, err := s.firstToken(ctx, s.prompt(tailTokens)); err != nil { // wakes all of it up
		return err
	}
	if b.has(workPrefix) {
		if err := b.prefix(ctx, s); err != nil {
			return err
		}
	}
	if !b.has(workLatency) {
		return nil
	}
	if err := b.short(ctx, s); err != nil {
		return err
	}
	for _, n := range b.streams {
		if err := b.latency(ctx, s, n); err != nil {
			return err
		}
	}
	return nil
}

// service is the engine and what it is asked.
type service struct {
	engine     *engine.Engine
	vocabulary int
	seed       uint64
}

// prompt returns tokens that nobody has seen before.
func (s *service) prompt(n int) []int32 {
	s.seed++
	return randomTokens(1<<32+s.seed, n, s.vocabulary)
}

// firstToken asks for one token and returns how long it takes to come.
func (s *service) firstToken(ctx context.Context, prompt []int32) (time.Duration, error) {
	begun := time.Now()
	stream, err := s.engine.Submit(ctx, engine.Request{Prompt: prompt, MaxTokens: 1})
	if err != nil {
		return 0, err
	}
	_, ok := <-stream.Tokens()
	took := time.Since(begun)
	for range stream.Tokens() { // until the request has ended
	}
	if _, err := stream.Result(); err != nil || !ok {
		return 0, errors.Join(errors.New("a request ended without a token"), err)
	}
	return took, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// prefix measures two prompts that begin alike.
func (b *bench) prefix(ctx context.Context, s *service) error {
	shared := b.command.prefix
	figure := func(name, unit string) Result {
		return Result{Work: workPrefix, Figure: name, Prompt: shared + tailTokens, Sequences: 1, Series: Series{Unit: unit}}
	}
	results := []Result{figure("first_request_first_token", unitTime), figure("second_request_first_token", unitTime), figure("second_to_first", unitRatio)}
	return b.measure(ctx, results, func(int) ([]float64, error) {
		prompt := s.prompt(shared)
		first, err := s.firstToken(ctx, append(slices.Clone(prompt), s.prompt(tailTokens)...))
		if err != nil {
			return nil, err
		}
		second, err := s.firstToken(ctx, append(prompt, s.prompt(tailTokens)...))
		return []float64{milliseconds(first), milliseconds(second), float64(second) / float64(first)}, err
	})
}

// short measures a short prompt that comes alone.
func (b *bench) short(ctx context.Context, s *service) error {
	r := Result{Work: workLatency, Figure: "short_prompt_first_token", Prompt: b.context, Sequences: 1, Series: Series{Unit: unitTime}}
	return b.measure(ctx, []Result{r}, func(int) ([]float64, error) {
		took, err := s.firstToken(ctx, s.prompt(b.context))
		return []float64{milliseconds(took)}, err
	})
}

// latency measures the time between two tokens of streams, alone and beside a long prompt.
func (b *bench) latency(ctx context.Context, s *service, streams int) error {
	figure := func(name, unit string, prompt int) Result {
		return Result{
			Work: workLatency, Figure: name, Prompt: prompt, Context: b.context, Sequences: streams, Series: Series{Unit: unit},
		}
	}
	results := []Result{
		figure("quiet_median", unitTime, 0), figure("quiet_p99", unitTime, 0),
		figure("busy_median", unitTime, b.longPrompt), figure("busy_p99", unitTime, b.longPrompt),
		figure("busy_max", unitTime, b.longPrompt), figure("busy_p99_to_quiet_median", unitRatio, b.longPrompt),
		figure("long_prompt_first_token", unitTime, b.longPrompt),
	}
	return b.measure(ctx, results, func(int) ([]float64, error) {
		quiet, busy, first, err := b.streamBeside(ctx, s, streams)
		if err != nil {
			return nil, err
		}
		middle, late := median(quiet), percentile(busy, 99)
		return []float64{
			middle, percentile(quiet, 99), median(busy), late, slices.Max(busy), late / middle, milliseconds(first),
		}, nil
	})
}

// arrival is a token of a stream.
type arrival struct {
	stream int
	at     time.Time
}

// streamBeside lets streams run, first alone and then beside a long prompt. It returns the times between their tokens in
// milliseconds, and how long the first token of the long prompt took.
func (b *bench) streamBeside(ctx context.Context, s *service, streams int) (quiet, busy []float64, first time.Duration, err error) {
	ctx, stop := context.WithCancel(ctx)
	arrivals := make(chan arrival, streams*s.engine.ContextLength()) // never full: no stream is as long
	open := make([]*engine.Stream, 0, streams)
	ended := make(chan string, streams)
	defer func() {
		stop()
		for range open {
			<-ended // the next measurement begins with an idle engine
		}
	}()
	for i := range streams {
		stream, err := s.engine.Submit(ctx, engine.Request{Prompt: s.prompt(b.context)})
		if err != nil {
			return nil, nil, 0, err
		}
		open = append(open, stream)
		go func() {
			for range stream.Tokens() {
				arrivals <- arrival{i, time.Now()}
			}
			reason, err := stream.Result()
			why := fmt.Sprintf("a stream ended by %q before the measurement did", reason)
			if err != nil {
				why += ": " + sentence(err)
			}
			ended <- why
		}()
	}
	watch := &watch{arrivals: arrivals, ended: ended, last: make([]time.Time, streams), count: make([]int, streams)}
	if err := watch.until(ctx, settled, nil); err != nil {
		return nil, nil, 0, err
	}
	if err := watch.until(ctx, b.command.decode, &quiet); err != nil {
		return nil, nil, 0, err
	}
	first, err = watch.beside(ctx, &busy, func() (time.Duration, error) { return s.firstToken(ctx, s.prompt(b.longPrompt)) })
	return quiet, busy, first, err
}

// watch follows streams.
type watch struct {
	arrivals <-chan arrival
	ended    chan string // one of them is over, which is too early
	last     []time.Time // when the last token of each came
	count    []int       // tokens of each since until was called
}

// note adds the time since the stream's last token.
func (w *watch) note(a arrival, to *[]float64) {
	if to != nil && !w.last[a.stream].IsZero() {
		*to = append(*to, milliseconds(a.at.Sub(w.last[a.stream])))
	}
	w.last[a.stream] = a.at
	w.count[a.stream]++
}

// until waits until every stream has so many tokens more.
func (w *watch) until(ctx context.Context, tokens int, to *[]float64) error {
	clear(w.count)
	for slices.Min(w.count) < tokens {
		if err := w.next(ctx, to); err != nil {
			return err
		}
	}
	return nil
}

// next waits for a token.
func (w *watch) next(ctx context.Context, to *[]float64) error {
	select {
	case a := <-w.arrivals:
		w.note(a, to)
		return nil
	default: // what has come goes before what has ended since
	}
	select {
	case a := <-w.arrivals:
		w.note(a, to)
		return nil
	case why := <-w.ended:
		w.ended <- why // for who waits for all of them
		return errors.New(why)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// beside follows the streams until f has returned, and each up to its next token: it was under way when f ended.
func (w *watch) beside(ctx context.Context, to *[]float64, f func() (time.Duration, error)) (took time.Duration, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		took, err = f()
	}()
	for {
		select {
		case <-done:
			if err != nil {
				return 0, fmt.Errorf("the long prompt: %w", err)
			}
			return took, w.until(ctx, 1, to)
		case a := <-w.arrivals:
			w.note(a, to)
		}
	}
}
