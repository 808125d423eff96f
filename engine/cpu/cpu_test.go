package cpu

import (
	"math/rand/v2"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/weights"
)

// options fit every test that does not say otherwise.
func options() Options {
	return Options{Threads: 2, PageTokens: 16, FullPages: 40, WindowPages: 40, MaxTokens: 128, MaxLogits: 128}
}

// openCase opens one of the small configurations of engine/reference.
func openCase(t testing.TB, name string) *weights.Checkpoint {
	t.Helper()
	c, err := weights.Open("../reference/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// openDemo opens the model inside the server.
func openDemo(t testing.TB) *weights.Checkpoint {
	t.Helper()
	c, err := weights.OpenFS(demo.Files())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// packCheckpoint returns a checkpoint's weights in the form of the kernels.
func packCheckpoint(t testing.TB, c *weights.Checkpoint) *Weights {
	t.Helper()
	w, err := FromCheckpoint(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func newModel(t testing.TB, w *Weights, o Options) *Model {
	t.Helper()
	m, err := New(w, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func step(t testing.TB, m *Model, sequences ...Sequence) {
	t.Helper()
	if err := m.Step(sequences); err != nil {
		t.Fatal(err)
	}
}

// text is a sequence that grows step by step, with pages of its own.
type text struct {
	tokens []int32
	done   int
	full   []int32
	window []int32
	logits []float32 // of all tokens, in order
	vocab  int
}

// newTexts gives each of the token lists its pages, in an order that the seed decides.
func newTexts(m *Model, seed uint64, tokens ...[]int32) []*text {
	r := rand.New(rand.NewPCG(seed, 1))
	full, window := r.Perm(m.options.FullPages), r.Perm(m.options.WindowPages)
	texts := make([]*text, len(tokens))
	for i, list := range tokens {
		vocab := m.weights.Config.VocabSize
		s := &text{tokens: list, vocab: vocab, logits: make([]float32, len(list)*vocab)}
		for range (len(list) + m.options.PageTokens - 1) / m.options.PageTokens {
			s.full, full = append(s.full, int32(full[0])), full[1:]
			s.window, window = append(s.window, int32(window[0])), window[1:]
		}
		texts[i] = s
	}
	return texts
}

// next is the sequence of the next n tokens, with the logits of the last k.
func (s *text) next(n, k int) Sequence {
	from, to := s.done, s.done+n
	s.done = to
	return Sequence{
		Tokens: s.tokens[from:to], Position: from, Full: s.full, Window: s.window,
		Logits: s.logits[(to-k)*s.vocab : to*s.vocab],
	}
}

func (s *text) rows() (rows [][]float32) {
	for t := range s.done {
		rows = append(rows, s.row(t))
	}
	return rows
}

func (s *text) row(t int) []float32 { return s.logits[t*s.vocab : (t+1)*s.vocab] }

// run computes all logits of one token list, at most chunk tokens at a time.
func run(t testing.TB, m *Model, tokens []int32, chunk int) *text {
	t.Helper()
	s := newTexts(m, 1, tokens)[0]
	for left := len(tokens); left > 0; left = len(tokens) - s.done {
		n := min(chunk, left)
		step(t, m, s.next(n, n))
	}
	return s
}

func randomTokens(seed uint64, n, vocab int) []int32 {
	r := rand.New(rand.NewPCG(seed, 2))
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = r.Int32N(int32(vocab))
	}
	return tokens
}
