package visible

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestStopFilter feeds random texts in random pieces and compares with cutting the whole text.
func TestStop(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	random := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString([]string{"a", "b", "é"}[r.IntN(3)])
		}
		return b.String()
	}
	for range 20000 {
		text := random(r.IntN(20))
		var sequences []string
		for range r.IntN(3) {
			sequences = append(sequences, random(1+r.IntN(4)))
		}
		want, wantStopped := text, false
		for _, s := range sequences {
			if i := strings.Index(text, s); i >= 0 && (!wantStopped || i < len(want)) {
				want, wantStopped = text[:i], true
			}
		}
		f := Stop{Sequences: sequences}
		got := ""
		for rest := []rune(text); len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			got += f.Push(string(rest[:n]))
			rest = rest[n:]
		}
		got += f.Flush()
		// Of two sequences that overlap, the one that is complete first wins, so that text is not held back for long.
		if got != want && (!wantStopped || !strings.HasPrefix(got, want)) {
			t.Fatalf("%q with stops %q: got %q, want %q", text, sequences, got, want)
		}
		if f.stopped != wantStopped {
			t.Fatalf("%q with stops %q: stopped is %v", text, sequences, f.stopped)
		}
	}
}

func TestStopHoldsBackNoMoreThanNeeded(t *testing.T) {
	f := Stop{Sequences: []string{"STOP"}}
	for _, tc := range []struct{ in, want string }{{"ab", "ab"}, {"cS", "c"}, {"Tx", "STx"}, {"SSTO", "S"}, {"Px", ""}, {"more", ""}} {
		if got := f.Push(tc.in); got != tc.want {
			t.Fatalf("push(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
}
