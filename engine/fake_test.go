package engine

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

const (
	testVocabulary = 16
	testContext    = 256
	stopToken      = 15
)

// fakeRunner stands in for a model. It answers 1, 2, 3, … and then stopToken.
type fakeRunner struct {
	stopAfter int                       // tokens before the stop token
	step      func(call int) error      // runs within every Next; may panic
	refuse    error                     // NewSequence's error
	open      atomic.Int64              // sequences not closed
	calls     atomic.Int64              // calls of Next
	inputs    atomic.Pointer[[][]int32] // what Next was given
}

func (f *fakeRunner) NewSequence(maxTokens int) (sequence, error) {
	if f.refuse != nil {
		return nil, f.refuse
	}
	f.open.Add(1)
	return &fakeSequence{runner: f, room: maxTokens}, nil
}

type fakeSequence struct {
	runner    *fakeRunner
	room      int
	generated int
}

func (s *fakeSequence) Next(tokens []int32) ([]float32, error) {
	f := s.runner
	call := f.calls.Add(1)
	var inputs [][]int32
	if old := f.inputs.Load(); old != nil {
		inputs = *old
	}
	inputs = append(inputs, append([]int32(nil), tokens...))
	f.inputs.Store(&inputs)
	if s.room -= len(tokens); s.room < 0 {
		return nil, errors.New("the sequence is full")
	}
	if f.step != nil {
		if err := f.step(int(call)); err != nil {
			return nil, err
		}
	}
	logits := make([]float32, testVocabulary)
	s.generated++
	id := 1 + (s.generated-1)%(stopToken-1)
	if f.stopAfter > 0 && s.generated > f.stopAfter {
		id = stopToken
	}
	logits[id] = 1
	return logits, nil
}

func (s *fakeSequence) Close() { s.runner.open.Add(-1) }

// slow makes every step take a second of the bubble's time.
func slow(int) error {
	<-time.After(time.Second)
	return nil
}

func startEngine(t *testing.T, r *fakeRunner, o Options) *Engine {
	t.Helper()
	if o.ContextLength == 0 {
		o.ContextLength = testContext
	}
	e, err := start(r, testVocabulary, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func submit(t *testing.T, e *Engine, r Request) *Stream {
	t.Helper()
	s, err := e.Submit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func prompt(n int) []int32 {
	p := make([]int32, n)
	for i := range p {
		p[i] = int32(i % stopToken)
	}
	return p
}

// drain reads a stream to its end.
func drain(s *Stream) (ids []int32, reason FinishReason, err error) {
	for token := range s.Tokens() {
		ids = append(ids, token.ID)
	}
	reason, err = s.Result()
	return ids, reason, err
}

// closeEngine closes the engine and checks that nothing is left of its work.
func closeEngine(t *testing.T, e *Engine, r *fakeRunner) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if n := r.open.Load(); n != 0 {
		t.Errorf("%d sequences were not closed", n)
	}
	if s := e.Stats(); s.Active != 0 || s.Queued != 0 || s.KVTokens != 0 || !s.StepStarted.IsZero() {
		t.Errorf("stats after Close: %+v", s)
	}
}
