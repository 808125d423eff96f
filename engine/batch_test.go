package engine

import (
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/cpu"
)

func TestRequestsRunTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRunner{step: slow}
		e := startEngine(t, r, Options{})
		request := Request{Prompt: prompt(1), MaxTokens: 3}
		streams := []*Stream{submit(t, e, request), submit(t, e, request), submit(t, e, request)}
		began := time.Now()
		for i, s := range streams {
			if ids, _, err := drain(s); !slices.Equal(ids, []int32{1, 2, 3}) || err != nil {
				t.Errorf("request %d: %v, %v", i, ids, err)
			}
		}
		// The first step may have begun before the others came.
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("three requests of three steps took %v, want at most 4s", took)
		}
		closeEngine(t, e, r)
	})
}

func TestReadersTakeTurnsOnOneCore(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var steps atomic.Int64
	r := &fakeRunner{step: func(int, []cpu.Sequence) error {
		steps.Add(1)
		return nil
	}}
	e := startEngine(t, r, Options{})
	s := submit(t, e, Request{Prompt: prompt(1), MaxTokens: testContext - 1})
	if _, ok := <-s.Tokens(); !ok {
		t.Fatal("no token")
	}
	if n := steps.Load(); n > testContext/8 {
		t.Errorf("the first token was seen after %d steps", n)
	}
	if _, _, err := drain(s); err != nil {
		t.Error(err)
	}
	closeEngine(t, e, r)
}

func TestBatchTimeout(t *testing.T) {
	for name, tc := range map[string]struct {
		requests int
		want     time.Duration
	}{
		"one request waits for others":        {1, 10*time.Second + time.Second},
		"a full batch starts when it is full": {2, 3*time.Second + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &fakeRunner{step: slow}
				e := startEngine(t, r, Options{MaxSequences: 2, BatchTimeout: 10 * time.Second})
				began := time.Now()
				streams := []*Stream{submit(t, e, Request{Prompt: prompt(1), MaxTokens: 1})}
				<-time.After(3 * time.Second)
				for range tc.requests - 1 {
					streams = append(streams, submit(t, e, Request{Prompt: prompt(1), MaxTokens: 1}))
				}
				for _, s := range streams {
					if _, _, err := drain(s); err != nil {
						t.Error(err)
					}
				}
				if took := time.Since(began); took != tc.want {
					t.Errorf("the last answer came after %v, want %v", took, tc.want)
				}
				closeEngine(t, e, r)
			})
		})
	}
}

// TestALongPromptDoesNotStallStreams has steps take longer the more tokens they have: 110 ms for one.
func TestALongPromptDoesNotStallStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRunner{step: func(_ int, sequences []cpu.Sequence) error {
			took := 100 * time.Millisecond
			for _, s := range sequences {
				took += time.Duration(len(s.Tokens)) * 10 * time.Millisecond
			}
			<-time.After(took)
			return nil
		}}
		e := startEngine(t, r, Options{MaxBatchTokens: 128})
		stream := submit(t, e, Request{Prompt: prompt(1), MaxTokens: 60})
		for range 5 {
			<-stream.Tokens()
		}
		long := submit(t, e, Request{Prompt: prompt(250), MaxTokens: 1})
		last, longest := time.Now(), time.Duration(0)
		for range stream.Tokens() {
			longest = max(longest, time.Since(last))
			last = time.Now()
		}
		if longest > 330*time.Millisecond || longest < 200*time.Millisecond {
			t.Errorf("%v between two tokens while a prompt is read, want at most three times the usual 110ms, and some of that used", longest)
		}
		if _, _, err := drain(long); err != nil || time.Since(last) > 0 {
			t.Errorf("the prompt ended %v after the stream, %v", time.Since(last), err)
		}
		closeEngine(t, e, r)
	})
}

func TestPrefixesAreShared(t *testing.T) {
	r := &fakeRunner{}
	e := startEngine(t, r, Options{PrefixCaching: true})
	p := prompt(3*testPage + 5)
	ask := func(tenant string, p []int32) int {
		s := submit(t, e, Request{Tenant: tenant, Prompt: p, MaxTokens: 1})
		if _, _, err := drain(s); err != nil {
			t.Error(err)
		}
		return s.Cached()
	}
	for i, tc := range []struct {
		what, tenant string
		prompt       []int32
		want         int
	}{
		{"a new prompt", "a", p, 0},
		{"the same", "a", p, 3 * testPage},
		{"its beginning, of which a token must be computed", "a", p[:2*testPage], testPage},
		{"another end", "a", append(slices.Clone(p[:40]), 14, 14, 14), 2 * testPage},
		{"the same of another tenant", "b", p, 0},
	} {
		if got := ask(tc.tenant, tc.prompt); got != tc.want {
			t.Errorf("request %d, %s: %d tokens cached, want %d", i, tc.what, got, tc.want)
		}
	}
	closeEngine(t, e, r)
	got := e.Stats()
	want := Stats{Steps: got.Steps, LastStep: got.LastStep, LastStepDuration: got.LastStepDuration, GeneratedTokens: 5}
	want.PrefixQueries = uint64(3*len(p) + 2*testPage + 43)
	want.PrefixHits = 6 * testPage
	want.PromptTokens = want.PrefixQueries - want.PrefixHits
	want.CachedTokens = 6 * testPage
	copyMeasured(&want, got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// TestAFailingRequestDoesNotTakeOthersWithIt has steps fail that one of three requests is part of.
func TestAFailingRequestDoesNotTakeOthersWithIt(t *testing.T) {
	for name, fail := range map[string]func() error{
		"an error": func() error { return errors.New("broken") },
		"a panic":  func() error { panic("broken") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const bad = stopToken // in no other prompt or answer
				r := &fakeRunner{step: func(_ int, sequences []cpu.Sequence) error {
					<-time.After(time.Second) // so that they run together
					for _, s := range sequences {
						if slices.Contains(s.Tokens, bad) {
							return fail()
						}
					}
					return nil
				}}
				e := startEngine(t, r, Options{Logger: slog.New(slog.DiscardHandler), PrefixCaching: true})
				first := submit(t, e, Request{Prompt: prompt(3), MaxTokens: 6})
				second := submit(t, e, Request{Prompt: []int32{bad, 1, 2}, MaxTokens: 6})
				third := submit(t, e, Request{Prompt: prompt(40), MaxTokens: 6})
				if ids, reason, err := drain(second); len(ids) != 0 || reason != FinishError || err == nil {
					t.Errorf("the broken request: %v, %q, %v", ids, reason, err)
				}
				for name, s := range map[string]*Stream{"first": first, "third": third} {
					if ids, reason, err := drain(s); !slices.Equal(ids, []int32{1, 2, 3, 4, 5, 6}) || reason != FinishLength || err != nil {
						t.Errorf("the %s request: %v, %q, %v", name, ids, reason, err)
					}
				}
				closeEngine(t, e, r)
			})
		})
	}
}

// TestABrokenSwapSpaceCostsTimeOnly has two requests that need more pages than there are.
func TestABrokenSwapSpaceCostsTimeOnly(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for name, move := range map[string]error{"it works": nil, "it is broken": errors.New("input/output error")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				r := &fakeRunner{step: slow, move: move}
				l := testLayout()
				l.fullPages = testContext / testPage
				e, err := start(r, l, Options{SwapBytes: 1 << 20, MaxBatchTokens: testChunk, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				if err != nil {
					t.Fatal(err)
				}
				a := submit(t, e, Request{Prompt: prompt(20), MaxTokens: 200})
				b := submit(t, e, Request{Prompt: prompt(20), MaxTokens: 200})
				for name, s := range map[string]*Stream{"first": a, "second": b} {
					if ids, reason, err := drain(s); len(ids) != 200 || reason != FinishLength || err != nil {
						t.Errorf("the %s request: %d tokens, %q, %v", name, len(ids), reason, err)
					}
				}
				closeEngine(t, e, r)
				if e.Stats().Preemptions == 0 {
					t.Error("nobody had to make room")
				}
				if logged := strings.Contains(log.String(), "the swap space failed"); logged != (move != nil) {
					t.Errorf("the log is %q", log.String())
				}
			})
		})
	}
}

// TestADecodingStepAllocatesNothing runs the loop's steps by hand.
func TestADecodingStepAllocatesNothing(t *testing.T) {
	e, l, err := prepare(&fakeRunner{}, testLayout(), Options{MaxBatchTokens: testChunk, PrefixCaching: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		submit(t, e, Request{Prompt: prompt(20), MaxTokens: 200, StopTokens: []int32{stopToken}})
	}
	turn := func() {
		l.collect()
		if _, ran := l.turn(); !ran {
			t.Error("there is nothing to run")
		}
	}
	for range 10 {
		turn()
	}
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("a step allocates %v times", n)
	}
	if s := e.Stats(); s.Running != 3 || s.GeneratedTokens < 300 {
		t.Errorf("stats %+v, want three requests that decode", s)
	}
	l.abandon()
	l.release()
}
