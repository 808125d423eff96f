package engine

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/sample"
)

func TestSubmitGenerates(t *testing.T) {
	for name, tc := range map[string]struct {
		stopAfter  int
		request    Request
		limit      int // VocabularyLimit
		wantIDs    []int32
		wantReason FinishReason
		wantSteps  uint64
	}{
		"until a stop token, which is delivered": {
			stopAfter: 2, request: Request{Prompt: prompt(3), MaxTokens: 9, StopTokens: []int32{7, stopToken}},
			wantIDs: []int32{1, 2, stopToken}, wantReason: FinishStop, wantSteps: 3,
		},
		"until the token limit": {
			request: Request{Prompt: prompt(3), MaxTokens: 4}, wantIDs: []int32{1, 2, 3, 4}, wantReason: FinishLength, wantSteps: 4,
		},
		"a stop token at the limit counts as a stop": {
			stopAfter: 1, request: Request{Prompt: prompt(3), MaxTokens: 2, StopTokens: []int32{stopToken}},
			wantIDs: []int32{1, stopToken}, wantReason: FinishStop, wantSteps: 2,
		},
		"until the context is full": {
			request: Request{Prompt: prompt(testContext - 2), MaxTokens: 100},
			wantIDs: []int32{1, 2}, wantReason: FinishLength, wantSteps: 8 + 1,
		},
		"without a limit until the context is full": {
			request: Request{Prompt: prompt(testContext - 1)}, wantIDs: []int32{1}, wantReason: FinishLength, wantSteps: 8,
		},
		"only ids below the vocabulary limit": {
			stopAfter: 1, limit: stopToken, request: Request{Prompt: prompt(1), MaxTokens: 2},
			wantIDs: []int32{1, 0}, wantReason: FinishLength, wantSteps: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &fakeRunner{stopAfter: tc.stopAfter}
				e := startEngine(t, r, Options{VocabularyLimit: tc.limit})
				ids, reason, err := drain(submit(t, e, tc.request))
				if diff := cmp.Diff(tc.wantIDs, ids); diff != "" || reason != tc.wantReason || err != nil {
					t.Errorf("reason %q (want %q), error %v, ids (-want +got):\n%s", reason, tc.wantReason, err, diff)
				}
				closeEngine(t, e, r)
				want := Stats{Steps: tc.wantSteps, PromptTokens: uint64(len(tc.request.Prompt)), GeneratedTokens: uint64(len(ids)), LastStep: time.Now()}
				got := e.Stats()
				copyMeasured(&want, got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("stats (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestPromptIsFedInChunks(t *testing.T) {
	r := &fakeRunner{record: true}
	e := startEngine(t, r, Options{})
	p := prompt(2*testChunk + 5)
	if _, _, err := drain(submit(t, e, Request{Prompt: p, MaxTokens: 2})); err != nil {
		t.Error(err)
	}
	closeEngine(t, e, r)
	want := [][]int32{p[:testChunk], p[testChunk : 2*testChunk], p[2*testChunk:], {1}}
	if diff := cmp.Diff(want, r.inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
}

func TestSubmitRefuses(t *testing.T) {
	seven := uint64(7)
	for name, tc := range map[string]struct {
		request Request
		want    error
	}{
		"an empty prompt":                   {Request{}, ErrInvalidRequest},
		"a prompt as long as the context":   {Request{Prompt: prompt(testContext)}, ErrPromptTooLong},
		"a prompt longer than the context":  {Request{Prompt: prompt(testContext + 1)}, ErrPromptTooLong},
		"a negative token":                  {Request{Prompt: []int32{-1}}, ErrInvalidRequest},
		"a token outside of the vocabulary": {Request{Prompt: []int32{testVocabulary}}, ErrInvalidRequest},
		"too many alternatives":             {Request{Prompt: prompt(1), Logprobs: new(sample.MaxTop + 1)}, ErrInvalidRequest},
		"fewer alternatives than none":      {Request{Prompt: prompt(1), Logprobs: new(-1)}, ErrInvalidRequest},
		"a sampling parameter out of range": {Request{Prompt: prompt(1), Sampling: sample.Params{Temperature: -1, Seed: &seven}}, ErrInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			r := &fakeRunner{}
			e := startEngine(t, r, Options{})
			if _, err := e.Submit(t.Context(), tc.request); !errors.Is(err, tc.want) || !strings.HasPrefix(err.Error(), "engine: ") {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			closeEngine(t, e, r)
		})
	}
}

func TestStartRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		options Options
		want    string
	}{
		"a context without room":        {Options{ContextLength: 1}, "engine: context length 1, it must hold a prompt and an answer"},
		"a context beyond the model's":  {Options{ContextLength: testContext + 1}, "engine: context length 257, the model was made for at most 256"},
		"a negative vocabulary limit":   {Options{VocabularyLimit: -1}, "engine: vocabulary limit -1, the model has 16 entries"},
		"a limit over the vocabulary":   {Options{VocabularyLimit: testVocabulary + 1}, "engine: vocabulary limit 17, the model has 16 entries"},
		"a negative limit of the queue": {Options{QueueLimit: -1}, "engine: queue limit -1 is negative"},
		"negative memory":               {Options{KVBytes: -1}, "engine: -1 bytes of memory for keys and values, 0 of swap space, neither may be negative"},
		"no sequences":                  {Options{MaxSequences: -1, BatchSize: 1}, "engine: sched: -1 sequences, there may be 1 to 2147483647"},
		"steps smaller than a batch":    {Options{BatchSize: 4, MaxBatchTokens: 3}, "engine: sched: 3 batch tokens, there may be 4 to 2147483647"},
		"a negative time of waiting":    {Options{BatchTimeout: -1}, "engine: sched: batch timeout -1ns is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := start(&fakeRunner{}, testLayout(), tc.options); err == nil || err.Error() != tc.want {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
	if _, err := New(Options{}); err == nil {
		t.Error("New without a model: no error")
	}
	small := testLayout()
	small.fullPages = 4
	if _, err := start(&fakeRunner{}, small, Options{}); err == nil || !strings.Contains(err.Error(), "holds 64 tokens, the context length is 256") {
		t.Errorf("a context beyond the memory: %v", err)
	}
}

func TestRequestsRunInOrderAndTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRunner{step: slow}
		e := startEngine(t, r, Options{QueueLimit: 2, MaxSequences: 1})
		request := Request{Prompt: prompt(1), MaxTokens: 3}
		first := submit(t, e, request)
		synctest.Wait() // it runs now
		second, third := submit(t, e, request), submit(t, e, request)
		if _, err := e.Submit(t.Context(), request); !errors.Is(err, ErrQueueFull) {
			t.Errorf("error %v, want %v", err, ErrQueueFull)
		}
		if s := e.Stats(); s.Running != 1 || s.Waiting != 2 || !s.StepStarted.Equal(time.Now()) {
			t.Errorf("stats %+v, want one running, two waiting, in a step", s)
		}
		began := time.Now()
		for i, s := range []*Stream{first, second, third} {
			if _, _, err := drain(s); err != nil {
				t.Error(err)
			}
			if got, want := time.Since(began), time.Duration(3*(i+1))*time.Second; got != want {
				t.Errorf("request %d ended after %v, want %v", i, got, want)
			}
		}
		if s := e.Stats(); s.LastStepDuration != time.Second {
			t.Errorf("the last step took %v, want 1s", s.LastStepDuration)
		}
		closeEngine(t, e, r)
	})
}

func TestCancelEndsARequestWithinOneStep(t *testing.T) {
	for name, tc := range map[string]struct {
		promptLength int
		other        bool // another request runs
		sequences    int
		timeout      time.Duration // of batches
	}{
		"while it generates":         {promptLength: 1},
		"while its prompt is fed":    {promptLength: 200},
		"while it waits":             {promptLength: 1, other: true, sequences: 1},
		"while it waits for company": {promptLength: 1, timeout: 10 * time.Second},
		"beside another":             {promptLength: 1, other: true},
		"its prompt, beside another": {promptLength: 200, other: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &fakeRunner{step: slow}
				e := startEngine(t, r, Options{MaxSequences: tc.sequences, BatchTimeout: tc.timeout})
				var other *Stream
				if tc.other {
					other = submit(t, e, Request{Prompt: prompt(1), MaxTokens: 20})
					synctest.Wait()
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				s, err := e.Submit(ctx, Request{Prompt: prompt(tc.promptLength), MaxTokens: 20})
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(2500 * time.Millisecond)
				began := time.Now()
				gone := errors.New("the client is gone")
				cancel(gone)
				_, reason, err := drain(s)
				if reason != FinishCancelled || !errors.Is(err, gone) || time.Since(began) > time.Second {
					t.Errorf("reason %q, error %v after %v; want cancelled, %v, within a step", reason, err, time.Since(began), gone)
				}
				synctest.Wait()
				if held := e.Stats(); held.Running+held.Waiting > 0 != tc.other {
					t.Errorf("stats %+v after the end", held)
				}
				if other != nil {
					if ids, reason, _ := drain(other); len(ids) != 20 || reason != FinishLength {
						t.Errorf("the running request ended with %d tokens, %q", len(ids), reason)
					}
				}
				closeEngine(t, e, r)
			})
		})
	}
}

func TestAnUnreadStreamDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRunner{}
		e := startEngine(t, r, Options{})
		unread := submit(t, e, Request{Prompt: prompt(1)})
		ids, reason, err := drain(submit(t, e, Request{Prompt: prompt(1), MaxTokens: 2}))
		if len(ids) != 2 || reason != FinishLength || err != nil {
			t.Errorf("the request behind: %v, %q, %v", ids, reason, err)
		}
		if ids, _, _ := drain(unread); len(ids) != testContext-1 {
			t.Errorf("the unread request generated %d tokens, want %d", len(ids), testContext-1)
		}
		closeEngine(t, e, r)
	})
}

func TestAFailingStepEndsItsRequest(t *testing.T) {
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		fail func() error
		want string
	}{
		"an error": {fail: func() error { return broken }, want: "engine: broken"},
		"a panic":  {fail: func() error { panic("index out of range") }, want: "engine: the forward pass panicked"},
		"a panic of a worker": {
			fail: func() error { return &cpu.PanicError{Value: "index out of range", Stack: []byte("a stack")} },
			want: "engine: the forward pass panicked",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			r := &fakeRunner{step: func(call int, _ []cpu.Sequence) error {
				if call == 2 {
					return tc.fail()
				}
				return nil
			}}
			e := startEngine(t, r, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			_, reason, err := drain(submit(t, e, Request{ID: "r1", Prompt: prompt(1), MaxTokens: 5}))
			if reason != FinishError || err == nil || err.Error() != tc.want {
				t.Errorf("reason %q, error %v, want %q", reason, err, tc.want)
			}
			if ids, reason, err := drain(submit(t, e, Request{Prompt: prompt(1), MaxTokens: 2})); len(ids) != 2 || err != nil {
				t.Errorf("the next request: %v, %q, %v", ids, reason, err)
			}
			closeEngine(t, e, r)
			if logged := strings.Contains(log.String(), "request=r1"); logged != (name != "an error") {
				t.Errorf("the log is %q", log.String())
			}
		})
	}
}
