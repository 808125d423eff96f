package placement

import (
	"context"
	"fmt"
	"math"

	"github.com/gptoss/gptoss-operator/engine/kernel"
)

const (
	// worthCopying is how much faster huge pages must be read: less is gone with the next change of the machine's mood,
	// and a copy takes time, and memory from everybody else.
	worthCopying = 1.1
	// spareBytes stay free beside the copy, for the process itself and for whoever needs memory next.
	spareBytes = 1 << 30
)

// Weights are packed weights as they were opened.
type Weights struct {
	Sections [][]byte // views of their file's memory
	Bytes    int64    // of the file
	Mapped   bool     // rather than read
	Beside   int64    // bytes of memory that the process will take for everything else
}

// Choice is where weights are better off.
type Choice struct {
	Copy   bool
	Why    string // a sentence without an end
	Speeds Speeds // zero where nothing was measured
}

// Choose looks at this machine, at this moment.
func Choose(ctx context.Context, w Weights, k kernel.Kernel, threads int) Choice {
	room, known := int64(0), false
	if w.Mapped { // of a copy the memory is already taken
		room, known = Room()
	}
	if !known {
		room = -1
	}
	return w.choose(room, func() (Speeds, error) { return Measure(ctx, w.Sections, k, threads) })
}

// choose decides; room is below zero if nobody knows. Where there is nothing to choose nothing is measured.
func (w Weights) choose(room int64, measure func() (Speeds, error)) Choice {
	switch {
	case !w.Mapped:
		return Choice{Why: "the file cannot be mapped where it lies, so it was read"}
	case w.Bytes < sampleBytes:
		return Choice{Why: "so small that it hardly matters"}
	case room < 0:
		return Choice{Why: "this system does not tell how much memory is free"}
	case room-spareBytes-w.Bytes < w.Beside:
		return Choice{Why: fmt.Sprintf("%s of memory are free, a copy and everything beside it need %s", gigabytes(room), gigabytes(w.needs()))}
	}
	s, err := measure()
	switch {
	case err != nil:
		return Choice{Why: fmt.Sprintf("nothing could be measured: %v", err)}
	case !(s.Ratio >= worthCopying):
		return Choice{Why: fmt.Sprintf("huge pages are read %.2f times as fast, a copy is worth it from %.2f on", s.Ratio, worthCopying), Speeds: s}
	}
	return Choice{Copy: true, Why: fmt.Sprintf("huge pages are read %.2f times as fast, and there is room for a copy", s.Ratio), Speeds: s}
}

// needs is the memory that there must be for a copy. Plans for huge models saturate.
func (w Weights) needs() int64 {
	if w.Beside > math.MaxInt64-spareBytes-w.Bytes {
		return math.MaxInt64
	}
	return w.Bytes + w.Beside + spareBytes
}
