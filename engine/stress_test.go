package engine

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/sample"
	"github.com/gptoss/gptoss-operator/engine/weights"
)

// stressContext is longer than any request, and many times the window of eight tokens that the model has.
const stressContext = 96

// tinyWeights is a random model with four layers.
func tinyWeights(t *testing.T) *cpu.Weights {
	t.Helper()
	c, err := weights.Open("reference/testdata/window")
	if err != nil {
		t.Fatal(err)
	}
	w, err := cpu.FromCheckpoint(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return w
}

// startTiny runs the tiny model on so many threads and in so much memory.
func startTiny(t *testing.T, w *cpu.Weights, threads int, l layout, o Options) (*Engine, *loop) {
	t.Helper()
	m, err := cpu.New(w, cpu.Options{
		Threads: threads, PageTokens: l.pageTokens, FullPages: l.fullPages, WindowPages: l.windowPages,
		MaxTokens: o.MaxBatchTokens, MaxLogits: o.MaxBatchTokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	l.vocabulary, l.contextLength, l.window, l.layers = w.Config.VocabSize, stressContext, w.Config.SlidingWindow, w.Config.Layers
	e, loop, err := prepare(m, l, o)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, uint64(threads)))
	loop.share = func(pace, int) int { return r.IntN(w.Config.Layers + 1) } // prompts go beside others for no reason
	go loop.run()
	return e, loop
}

// stressRequest is a request, what it gives alone, and after how many tokens its client leaves.
type stressRequest struct {
	Request
	want  []Token
	leave int // -1: never
}

// randomRequests makes requests of which many begin alike.
func randomRequests(r *rand.Rand, n, vocabulary int) []stressRequest {
	prompts := make([][]int32, 5)
	for i := range prompts {
		prompts[i] = make([]int32, 48)
		for j := range prompts[i] {
			prompts[i][j] = r.Int32N(int32(vocabulary))
		}
	}
	all := make([]stressRequest, n)
	for i := range all {
		q := &all[i]
		p := prompts[r.IntN(len(prompts))]
		q.Prompt = slices.Clone(p[:r.IntN(len(p)+1)])
		for range 1 + r.IntN(8) {
			q.Prompt = append(q.Prompt, r.Int32N(int32(vocabulary)))
		}
		q.Tenant = []string{"a", "a", "b"}[r.IntN(3)]
		q.MaxTokens = 1 + r.IntN(36)
		seed := r.Uint64()
		q.Sampling = sample.Params{Temperature: []float64{0, 1}[r.IntN(2)], TopP: 0.9, FrequencyPenalty: []float64{0, 0.5}[r.IntN(2)], Seed: &seed}
		if r.IntN(3) == 0 {
			q.StopTokens = []int32{r.Int32N(int32(vocabulary))}
		}
		if r.IntN(4) == 0 {
			q.Logprobs = new(2)
		}
		if q.leave = -1; r.IntN(4) == 0 {
			q.leave = r.IntN(q.MaxTokens)
		}
	}
	return all
}

// TestStress runs hundreds of requests, with clients that leave, in memory for a few, and wants each to get what it gets
// alone: tokens and probabilities, to the last bit.
func TestStress(t *testing.T) {
	requests, clients := 400, 24
	if raceDetector {
		requests, clients = 160, 16
	}
	w := tinyWeights(t)
	t.Setenv("TMPDIR", t.TempDir())
	all := randomRequests(rand.New(rand.NewPCG(1, 9)), requests, w.Config.VocabSize)
	alone, _ := startTiny(t, w, 1, layout{pageTokens: 4, fullPages: 40, windowPages: 36}, Options{MaxSequences: 1, MaxBatchTokens: 64})
	for i := range all {
		all[i].want = tokens(t, submit(t, alone, all[i].Request))
	}
	if err := alone.Close(); err != nil {
		t.Error(err)
	}
	// Threads wait for each other actively, so with many of them this takes long on a machine that has other things to do.
	for name, tc := range map[string]struct {
		threads int
		options Options
	}{
		"everything":             {1, Options{MaxSequences: 8, BatchSize: 5, MaxBatchTokens: 20, PrefixCaching: true, SwapBytes: 32 << 10, Threads: 3}},
		"no cache and no swap":   {1, Options{MaxSequences: 6, BatchSize: 6, MaxBatchTokens: 64, Threads: 1}},
		"one sequence at a time": {2, Options{MaxSequences: 1, MaxBatchTokens: 7, PrefixCaching: true}},
	} {
		t.Run(name, func(t *testing.T) {
			o := tc.options
			o.QueueLimit = clients
			e, l := startTiny(t, w, tc.threads, layout{pageTokens: 4, fullPages: 26, windowPages: 34}, o)
			requests := all
			if o.MaxSequences == 1 {
				requests = all[:len(all)/4]
			}
			stress(t, e, requests, clients)
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			got, left := e.Stats(), l.sched.Stats()
			t.Logf("%+v; %+v", got, left)
			if left.Waiting+left.Running+left.Preempted+left.Tokens+left.FullUsed+left.WindowUsed+left.SwapUsed > 0 || len(l.tasks) > 0 {
				t.Errorf("something is left behind: %+v", left)
			}
			if len(l.samplers) > o.MaxSequences {
				t.Errorf("%d samplers for %d sequences", len(l.samplers), o.MaxSequences)
			}
			// A stress that never comes to these places proves nothing about them.
			preempted := left.Recomputed
			if o.SwapBytes > 0 {
				preempted = left.Spilled
			}
			if o.PrefixCaching != (left.HitTokens > 0) || (o.MaxSequences > 1) != (preempted > 0) {
				t.Errorf("the stress is too easy: %+v", left)
			}
		})
	}
}

// stress has clients ask for the requests in turn.
func stress(t *testing.T, e *Engine, all []stressRequest, clients int) {
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			for i := c; i < len(all); i += clients {
				ask(t, e, i, &all[i])
			}
		})
	}
	running.Wait()
}

// ask compares one answer, or as much of it as the client waits for.
func ask(t *testing.T, e *Engine, number int, q *stressRequest) {
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	s, err := e.Submit(ctx, q.Request)
	if err != nil {
		t.Errorf("request %d: %v", number, err)
		return
	}
	var got []Token
	for {
		if len(got) == q.leave {
			leave()
		}
		token, ok := <-s.Tokens()
		if !ok {
			break
		}
		got = append(got, token)
	}
	reason, err := s.Result()
	want := q.want
	if reason == FinishCancelled && q.leave >= 0 {
		err, want = nil, want[:min(len(got), len(want))]
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("request %d, %d cached: %q, %v, tokens (-alone +beside others):\n%s", number, s.Cached(), reason, err, diff)
	}
}
