package engine

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gptoss/gptoss-operator/engine/cpu"
)

const (
	testVocabulary = 16
	testContext    = 256
	testPage       = 16 // tokens of a page
	testChunk      = 32 // tokens of a step
	stopToken      = 15
)

// testLayout has room for four requests as long as can be.
func testLayout() layout {
	return layout{vocabulary: testVocabulary, contextLength: testContext, pageTokens: testPage, fullPages: 4 * testContext / testPage}
}

// fakeRunner stands in for a model. It answers every request with 1, 2, 3, … and then stopToken. Requests are told apart by
// their first page.
type fakeRunner struct {
	stopAfter int                                                    // tokens before the stop token
	step      func(call int, sequences []cpu.Sequence) error         // runs within every StepBeside; may panic
	beside    func(sequences []cpu.Sequence, whole, first, last int) // runs within every Step
	layers    int                                                    // of the model, if rows may go beside others
	move      error                                                  // of SavePage and LoadPage
	record    bool                                                   // keep the inputs
	closed    atomic.Int64                                           // calls of Close
	calls     int                                                    // of StepBeside
	inputs    [][]int32                                              // tokens of every sequence of every step
	generated [testContext / testPage * 4]int                        // by first page
}

func (f *fakeRunner) StepBeside(sequences []cpu.Sequence, whole, first, last int) error {
	f.calls++
	if f.beside != nil {
		f.beside(sequences, whole, first, last)
	}
	if last < f.layers {
		sequences = sequences[:whole]
	}
	if f.record {
		for _, s := range sequences {
			f.inputs = append(f.inputs, slices.Clone(s.Tokens))
		}
	}
	if f.step != nil {
		if err := f.step(f.calls, sequences); err != nil {
			return err
		}
	}
	for _, s := range sequences {
		n := &f.generated[s.Full[0]]
		if s.Position == 0 {
			*n = 0
		}
		if len(s.Logits) == 0 {
			continue
		}
		*n++
		id := 1 + (*n-1)%(stopToken-1)
		if f.stopAfter > 0 && *n > f.stopAfter {
			id = stopToken
		}
		clear(s.Logits)
		s.Logits[id] = 1
	}
	return nil
}

func (f *fakeRunner) PageBytes(cpu.Kind) int { return 8 }

func (f *fakeRunner) SavePage(cpu.Kind, int32, []byte) error { return f.move }

func (f *fakeRunner) LoadPage(cpu.Kind, int32, []byte) error { return f.move }

func (f *fakeRunner) Close() { f.closed.Add(1) }

// slow makes every step take a second of the bubble's time.
func slow(int, []cpu.Sequence) error {
	<-time.After(time.Second)
	return nil
}

func startEngine(t *testing.T, r *fakeRunner, o Options) *Engine {
	t.Helper()
	if o.MaxBatchTokens == 0 {
		o.MaxBatchTokens = testChunk
	}
	l := testLayout()
	l.layers = r.layers
	e, err := start(r, l, o)
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
	if n := r.closed.Load(); n != 1 {
		t.Errorf("the model was closed %d times", n)
	}
	if s := e.Stats(); s.Running != 0 || s.Waiting != 0 || s.Preempted != 0 || s.KVTokens != 0 || !s.StepStarted.IsZero() {
		t.Errorf("stats after Close: %+v", s)
	}
}
