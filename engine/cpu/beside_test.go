package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestBesideGivesTheSame takes two prompts through a few layers at a time, beside texts that decode. Every row must be what
// its text gives alone.
func TestBesideGivesTheSame(t *testing.T) {
	for _, name := range []string{"window", "shapes"} {
		w := packCheckpoint(t, openCase(t, name))
		layers := len(w.Layers)
		alone := newModel(t, w, options())
		var lists [][]int32
		var want []*text
		for i, n := range []int{60, 25, 40, 40} {
			lists = append(lists, randomTokens(uint64(i), n, w.Config.VocabSize))
			want = append(want, run(t, alone, lists[i], n))
		}
		for seed := range uint64(12) {
			t.Run(fmt.Sprintf("%s %d", name, seed), func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 9))
				m := newModel(t, w, options())
				texts := newTexts(m, seed, lists...)
				prompts, decoding := texts[:2], texts[2:]
				for prompts[0].done < 60 {
					// The shorter prompt ends first.
					var late []Sequence
					for _, s := range prompts {
						if n := min(13, len(s.tokens)-s.done); n > 0 {
							late = append(late, s.next(n, n))
						}
					}
					for first := 0; first < layers; {
						last := first + 1 + r.IntN(layers-first)
						var now []Sequence
						for _, s := range decoding {
							if s.done < len(s.tokens) && r.IntN(3) > 0 {
								now = append(now, s.next(1, 1))
							}
						}
						if r.IntN(3) == 0 && len(now) > 0 {
							step(t, m, now...) // the prompts pause
							continue
						}
						if err := m.StepBeside(append(now, late...), len(now), first, last); err != nil {
							t.Fatal(err)
						}
						first = last
					}
				}
				for i, s := range texts {
					for row := range s.done {
						wantRow(t, fmt.Sprintf("text %d", i), row, s.row(row), want[i].row(row))
					}
				}
			})
		}
	}
}

func TestBesideRefuses(t *testing.T) {
	w := packCheckpoint(t, openCase(t, "window"))
	m := newModel(t, w, options())
	one := []Sequence{{Tokens: []int32{1}, Full: []int32{0}, Window: []int32{0}}}
	for name, tc := range map[string]struct{ whole, first, last int }{
		"fewer than no whole sequence":   {-1, 0, 1},
		"more whole ones than there are": {2, 0, 1},
		"a layer before the first":       {0, -1, 1},
		"no layer":                       {0, 1, 1},
		"a layer after the last":         {0, 0, len(w.Layers) + 1},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, m.StepBeside(one, tc.whole, tc.first, tc.last), "sequences beside, in layers")
		})
	}
}
