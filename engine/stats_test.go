package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// copyMeasured is for tests of everything else.
func copyMeasured(want *Stats, got Stats) {
	want.KVPages, want.PageTokens = got.KVPages, got.PageTokens
	want.Gaps, want.Batches, want.StepTokens = got.Gaps, got.Batches, got.StepTokens
}

// counted returns the classes of a spread that are not empty, by their upper ends.
func counted(s Spread) map[float64]uint64 {
	out := map[float64]uint64{}
	for i, n := range s.Counts {
		if n > 0 && i < len(s.Bounds) {
			out[s.Bounds[i]] = n
		}
	}
	return out
}

// TestTiming follows a request that has to wait for another through an engine whose steps take a second.
func TestTiming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRunner{step: slow}
		e := startEngine(t, r, Options{MaxSequences: 1})
		start := time.Now()
		first := submit(t, e, Request{Prompt: prompt(2 * testChunk), MaxTokens: 3})
		second := submit(t, e, Request{Prompt: prompt(5), MaxTokens: 1})
		if got := second.Timing(); got != (Timing{Queued: start}) {
			t.Errorf("while it waits: %+v", got)
		}
		_, _, _ = drain(first)
		_, _, _ = drain(second)
		after := func(seconds int) time.Time {
			return time.Unix(0, start.Add(time.Duration(seconds)*time.Second).UnixNano())
		}
		want := []Timing{
			{Queued: start, Began: after(0), First: after(2), Last: after(4), Tokens: 3},
			{Queued: start, Began: after(4), First: after(5), Last: after(5), Tokens: 1},
		}
		if diff := cmp.Diff(want, []Timing{first.Timing(), second.Timing()}); diff != "" {
			t.Errorf("timing (-want +got):\n%s", diff)
		}
		got := e.Stats()
		for what, tc := range map[string]struct {
			got  Spread
			want map[float64]uint64
			sum  float64
		}{
			"gaps":    {got.Gaps, map[float64]uint64{1: 2}, 2},
			"batches": {got.Batches, map[float64]uint64{1: 5}, 5},
			"tokens":  {got.StepTokens, map[float64]uint64{1: 2, 8: 1, 32: 2}, 2*testChunk + 2 + 5},
		} {
			if diff := cmp.Diff(tc.want, counted(tc.got)); diff != "" || tc.got.Sum != tc.sum {
				t.Errorf("%s: sum %v, want %v; classes (-want +got):\n%s", what, tc.got.Sum, tc.sum, diff)
			}
		}
		if got.KVPages != testLayout().fullPages || got.PageTokens != testPage || got.KVUsage != 0 {
			t.Errorf("memory: %d pages of %d tokens, %v in use", got.KVPages, got.PageTokens, got.KVUsage)
		}
		closeEngine(t, e, r)
	})
}
