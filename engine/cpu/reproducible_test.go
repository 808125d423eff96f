package cpu

import (
	"math"
	"math/rand/v2"
	"testing"
)

// wantRow compares a row of logits bit by bit.
func wantRow(t *testing.T, name string, i int, got, want []float32) {
	t.Helper()
	for j := range want {
		if math.Float32bits(got[j]) != math.Float32bits(want[j]) {
			t.Fatalf("%s, row %d: logit %d is %v, want %v", name, i, j, got[j], want[j])
		}
	}
}

// TestSameLogitsHoweverComputed computes texts together, in pieces of random lengths, with logits of random rows, with
// each number of threads and each set of kernels. Every row must be what its text gives alone, in one step, on one thread.
func TestSameLogitsHoweverComputed(t *testing.T) {
	models := map[string]*Weights{
		"demo":                                packCheckpoint(t, openDemo(t)),
		"a window that moves":                 packCheckpoint(t, openCase(t, "window")),
		"heads that share blocks":             packCheckpoint(t, openCase(t, "shapes")),
		"equal logits of experts, four taken": packCheckpoint(t, openCase(t, "ties")),
	}
	for name, w := range models {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.MaxTokens, o.MaxLogits = 200, 200
			lists := [][]int32{
				randomTokens(1, 150, w.Config.VocabSize), randomTokens(2, 90, w.Config.VocabSize),
				randomTokens(3, 17, w.Config.VocabSize), randomTokens(4, 1, w.Config.VocabSize),
			}
			o.Threads = 1
			alone := newModel(t, w, o)
			var want []*text
			for _, list := range lists {
				want = append(want, run(t, alone, list, len(list)))
			}
			for _, threads := range []int{1, 2, 5} {
				for _, kernels := range []string{"", "generic"} {
					o.Threads, o.Kernel = threads, kernels
					m := newModel(t, w, o)
					if kernels == "generic" {
						// Plain Go is slow; the shortest texts say enough about it.
						together(t, m, uint64(threads), want[2:])
						continue
					}
					together(t, m, uint64(threads), want)
				}
			}
		})
	}
}

// together computes texts side by side and compares every row asked for with that of the text alone.
func together(t *testing.T, m *Model, seed uint64, want []*text) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 4))
	lists := make([][]int32, len(want))
	for i := range want {
		lists[i] = want[i].tokens
	}
	texts := newTexts(m, seed, lists...)
	for {
		var sequences []Sequence
		var check [][2]int // text and row
		room := m.options.MaxTokens
		for i, s := range texts {
			left := min(len(s.tokens)-s.done, room)
			if left == 0 || r.IntN(4) == 0 {
				continue
			}
			n := 1 + r.IntN(min(left, 1+r.IntN(left)))
			k := r.IntN(n + 1)
			sequences = append(sequences, s.next(n, k))
			room -= n
			for row := s.done - k; row < s.done; row++ {
				check = append(check, [2]int{i, row})
			}
		}
		if len(sequences) > 0 {
			step(t, m, sequences...)
		}
		left := 0
		for _, s := range texts {
			left += len(s.tokens) - s.done
		}
		for _, c := range check {
			wantRow(t, "a text among others", c[1], texts[c[0]].row(c[1]), want[c[0]].row(c[1]))
		}
		if left == 0 {
			return
		}
	}
}

// TestPagesBehindTheWindowAreNotNeeded gives them away as soon as no later token sees them.
func TestPagesBehindTheWindowAreNotNeeded(t *testing.T) {
	w := packCheckpoint(t, openCase(t, "window"))
	tokens := randomTokens(5, 100, w.Config.VocabSize)
	o := options()
	o.PageTokens = 4
	want := run(t, newModel(t, w, o), tokens, len(tokens))

	m := newModel(t, w, o)
	got, other := newTexts(m, 2, tokens, randomTokens(6, 4, w.Config.VocabSize)), 0
	s, spoiler := got[0], got[1]
	for s.done < len(tokens) {
		step(t, m, s.next(1, 1))
		if behind := s.done - w.Config.SlidingWindow + 1; behind >= 0 {
			for i := range behind / o.PageTokens {
				if s.window[i] < 0 {
					continue
				}
				// Somebody else writes to the page.
				spoiler.done, spoiler.window[0] = 0, s.window[i]
				step(t, m, spoiler.next(4, 0))
				s.window[i] = -1
				other++
			}
		}
	}
	if other < 20 {
		t.Fatalf("%d pages were given away, want most of %d", other, len(s.window))
	}
	for i := range tokens {
		wantRow(t, "without old pages", i, s.row(i), want.row(i))
	}
}

// TestPagesMove saves the pages of a text, has others write over them, and goes on in other pages.
func TestPagesMove(t *testing.T) {
	w := packCheckpoint(t, openCase(t, "window"))
	tokens := randomTokens(7, 60, w.Config.VocabSize)
	m := newModel(t, w, options())
	want := run(t, m, tokens, len(tokens))

	s := newTexts(m, 3, tokens)[0]
	step(t, m, s.next(37, 0))
	tables := map[Kind][]int32{Full: s.full, Window: s.window}
	saved := map[Kind][][]byte{}
	for kind, table := range tables {
		for _, page := range table {
			buffer := make([]byte, m.PageBytes(kind))
			if err := m.SavePage(kind, page, buffer); err != nil {
				t.Fatal(err)
			}
			saved[kind] = append(saved[kind], buffer)
		}
	}
	for page := range m.options.FullPages {
		spoiler := Sequence{Tokens: randomTokens(8, 16, w.Config.VocabSize), Full: []int32{int32(page)}, Window: []int32{int32(page)}}
		step(t, m, spoiler)
	}
	for kind, table := range tables {
		for i := range table {
			table[i] = (table[i] + 7) % int32(m.options.FullPages)
			if err := m.LoadPage(kind, table[i], saved[kind][i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	step(t, m, s.next(23, 23))
	for i := 37; i < len(tokens); i++ {
		wantRow(t, "in other pages", i, s.row(i), want.row(i))
	}
}
