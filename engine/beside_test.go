package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gptoss/gptoss-operator/engine/cpu"
)

// layered makes steps take as long as a model's with ten layers would: a second, and for each layer of a prompt's token
// beside that a hundredth. It notes the layers that prompts went through.
type layered struct {
	*fakeRunner
	mu   sync.Mutex
	seen []int // first, last, first, last …
}

// parts returns what was noted so far.
func (r *layered) parts() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

func newLayered() *layered {
	r := &layered{fakeRunner: &fakeRunner{layers: 10}}
	r.beside = func(sequences []cpu.Sequence, whole, first, last int) {
		took := time.Second
		for i, s := range sequences {
			switch {
			case i >= whole:
				took += time.Duration(len(s.Tokens)*(last-first)) * 10 * time.Millisecond
			case len(s.Tokens) > 1:
				took += time.Duration(len(s.Tokens)) * 100 * time.Millisecond
			}
		}
		if whole < len(sequences) {
			r.mu.Lock()
			r.seen = append(r.seen, first, last)
			r.mu.Unlock()
		}
		<-time.After(took)
	}
	return r
}

// gaps reads a stream to its end and returns the times between its tokens.
func gaps(s *Stream) (ids []int32, all []time.Duration) {
	last := time.Now()
	for token := range s.Tokens() {
		ids, all = append(ids, token.ID), append(all, time.Since(last))
		last = time.Now()
	}
	return ids, all
}

func TestPromptsGoBesideStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLayered()
		e := startEngine(t, r.fakeRunner, Options{MaxBatchTokens: 128})
		running := submit(t, e, Request{Prompt: prompt(1), MaxTokens: 100})
		<-time.After(3 * time.Second)
		long := submit(t, e, Request{Prompt: prompt(200), MaxTokens: 3})
		var got []int32
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			got, _, _ = drain(long)
		}()
		_, times := gaps(running)
		<-ended
		if !slices.Equal(got, []int32{1, 2, 3}) {
			t.Errorf("the long prompt is answered with %v", got)
		}
		if most := slices.Max(times[1:]); most > 3*time.Second {
			t.Errorf("%v between two tokens, want at most 3s", most)
		}
		at, seen := 0, r.parts()
		for i := 0; i < len(seen); i += 2 {
			if seen[i] != at {
				t.Fatalf("layers %v: want each part from 0 to 10 without a gap", seen)
			}
			at = seen[i+1] % 10
		}
		if at != 0 || len(seen) < 20 {
			t.Errorf("layers %v: want several parts, and the last one whole", seen)
		}
		closeEngine(t, e, r.fakeRunner)
	})
}

// TestPromptsBesideBeginAnew cancels one of two prompts that go beside a stream, and fails a step.
func TestPromptsBesideBeginAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLayered()
		broken := errors.New("broken")
		failed := false
		r.step = func(int, []cpu.Sequence) error {
			if !failed && len(r.parts()) > 8 {
				failed = true
				return broken
			}
			return nil
		}
		e := startEngine(t, r.fakeRunner, Options{MaxBatchTokens: 128})
		running := submit(t, e, Request{Prompt: prompt(1), MaxTokens: 100})
		<-time.After(3 * time.Second)
		long := submit(t, e, Request{Prompt: prompt(200), MaxTokens: 3})
		ids, _ := gaps(running)
		if len(ids) != 100 {
			t.Errorf("the stream has %d tokens, want 100", len(ids))
		}
		if got, reason, err := drain(long); !slices.Equal(got, []int32{1, 2, 3}) || reason != FinishLength || err != nil {
			t.Errorf("after a failed step: %v, %v, %v", got, reason, err)
		}
		if !failed {
			t.Error("no step failed")
		}
		closeEngine(t, e, r.fakeRunner)
	})
}

// TestWhoLeavesBesideAStreamFreesItsPages cancels a prompt between two of its layers.
func TestWhoLeavesBesideAStreamFreesItsPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLayered()
		e := startEngine(t, r.fakeRunner, Options{MaxBatchTokens: 128})
		running := submit(t, e, Request{Prompt: prompt(1), MaxTokens: 100})
		<-time.After(3 * time.Second)
		long, cancel := submitCancellable(t, e, Request{Prompt: prompt(200), MaxTokens: 3})
		<-time.After(10 * time.Second)
		if len(r.parts()) == 0 {
			t.Fatal("the prompt does not go beside the stream")
		}
		cancel()
		began := time.Now()
		if _, reason, _ := drain(long); reason != FinishCancelled {
			t.Errorf("the cancelled prompt ends with %q", reason)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it ends after %v, want within a step", took)
		}
		steps := len(r.parts())
		if ids, _ := gaps(running); len(ids) != 100 {
			t.Errorf("the stream has %d tokens, want 100", len(ids))
		}
		if seen := r.parts(); len(seen) > steps+2 {
			t.Errorf("layers %v of a prompt that nobody waits for", seen[steps:])
		}
		closeEngine(t, e, r.fakeRunner)
	})
}

func submitCancellable(t *testing.T, e *Engine, r Request) (*Stream, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	s, err := e.Submit(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	return s, cancel
}
