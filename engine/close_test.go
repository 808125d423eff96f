package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestCloseEndsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRunner{step: slow}
		e := startEngine(t, r, Options{MaxSequences: 1})
		running := submit(t, e, Request{Prompt: prompt(1), MaxTokens: 50})
		synctest.Wait()
		waiting := submit(t, e, Request{Prompt: prompt(1), MaxTokens: 50})
		<-time.After(3500 * time.Millisecond)
		began := time.Now()
		closeEngine(t, e, r)
		if took := time.Since(began); took > time.Second {
			t.Errorf("Close took %v, want at most a step", took)
		}
		for name, s := range map[string]*Stream{"running": running, "waiting": waiting} {
			if _, reason, err := drain(s); reason != FinishError || !errors.Is(err, ErrClosed) {
				t.Errorf("the %s request ended with %q, %v", name, reason, err)
			}
		}
		if _, err := e.Submit(t.Context(), Request{Prompt: prompt(1)}); !errors.Is(err, ErrClosed) {
			t.Errorf("Submit after Close: %v", err)
		}
		closeEngine(t, e, r) // a second time
	})
}

func TestDrainLetsAcceptedRequestsFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRunner{step: slow}
		e := startEngine(t, r, Options{MaxSequences: 1})
		running := submit(t, e, Request{Prompt: prompt(1), MaxTokens: 5})
		synctest.Wait()
		waiting := submit(t, e, Request{Prompt: prompt(1), MaxTokens: 5})

		short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := e.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain for two seconds: %v", err)
		}
		if _, err := e.Submit(t.Context(), Request{Prompt: prompt(1)}); !errors.Is(err, ErrClosed) {
			t.Errorf("Submit while draining: %v", err)
		}
		if err := e.Drain(t.Context()); err != nil {
			t.Errorf("Drain: %v", err)
		}
		for _, s := range []*Stream{running, waiting} {
			if ids, reason, err := drain(s); len(ids) != 5 || reason != FinishLength {
				t.Errorf("a request ended with %v, %q, %v", ids, reason, err)
			}
		}
		closeEngine(t, e, r)
	})
}

func TestDrainDoesNotWaitForFullerBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRunner{}
		e := startEngine(t, r, Options{BatchTimeout: 10 * time.Second})
		s := submit(t, e, Request{Prompt: prompt(1), MaxTokens: 3})
		synctest.Wait() // it waits for others
		began := time.Now()
		if err := e.Drain(t.Context()); err != nil || time.Since(began) > 0 {
			t.Errorf("Drain: %v, after %v", err, time.Since(began))
		}
		if ids, reason, err := drain(s); len(ids) != 3 || reason != FinishLength {
			t.Errorf("the request ended with %v, %q, %v", ids, reason, err)
		}
		closeEngine(t, e, r)
	})
}

func TestDrainOfAnIdleEngineReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRunner{}
		e := startEngine(t, r, Options{})
		if err := e.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		closeEngine(t, e, r)
	})
}

// TestManyClients has clients submit, cancel and read while the engine closes.
func TestManyClients(t *testing.T) {
	r := &fakeRunner{stopAfter: 5}
	e := startEngine(t, r, Options{QueueLimit: 8})
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() {
			for n := range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				s, err := e.Submit(ctx, Request{Prompt: prompt(1 + i), MaxTokens: 1 + n%9, StopTokens: []int32{stopToken}})
				switch {
				case errors.Is(err, ErrQueueFull), errors.Is(err, ErrClosed):
				case err != nil:
					t.Error(err)
				default:
					if n%3 == 0 {
						cancel()
					}
					if _, reason, _ := drain(s); reason == "" {
						t.Error("a stream closed without a reason")
					}
				}
				cancel()
				e.Stats()
			}
		})
	}
	for e.Stats().GeneratedTokens < 100 {
		if _, _, err := drain(submitEventually(t, e)); err != nil {
			t.Error(err)
		}
	}
	closeEngine(t, e, r)
	clients.Wait()
	closeEngine(t, e, r)
}

// submitEventually submits until there is room.
func submitEventually(t *testing.T, e *Engine) *Stream {
	t.Helper()
	for {
		s, err := e.Submit(t.Context(), Request{Prompt: prompt(1), MaxTokens: 1})
		if err == nil {
			return s
		}
		if !errors.Is(err, ErrQueueFull) {
			t.Fatal(err)
		}
	}
}

func TestStream(t *testing.T) {
	s := NewStream(1)
	if reason, err := s.Result(); reason != "" || err != nil {
		t.Errorf("before the end: %q, %v", reason, err)
	}
	if err := s.Send(t.Context(), Token{ID: 3}); err != nil {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Send(gone, Token{ID: 4}); !errors.Is(err, context.Canceled) {
		t.Errorf("Send to a full stream of a client that is gone: %v", err)
	}
	s.Finish(FinishStop, nil)
	s.Finish(FinishError, errors.New("too late"))
	if ids, reason, err := drain(s); len(ids) != 1 || reason != FinishStop || err != nil {
		t.Errorf("at the end: %v, %q, %v", ids, reason, err)
	}
}
