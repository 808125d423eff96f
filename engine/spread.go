package engine

import (
	"slices"
	"sync/atomic"
	"time"
)

// Spread is how often a quantity was how large: a histogram's numbers.
type Spread struct {
	Bounds []float64 // upper ends of the classes, which have one more at their end, without a bound; shared, not to be written
	Counts []uint64  // by class
	Sum    float64
}

// The classes of the engine's own measurements. Those of times are vLLM's, so that its dashboards fit.
var (
	gapBounds    = []float64{.001, .0025, .005, .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	batchBounds  = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256}
	tokensBounds = []float64{1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384}
)

// spread counts a quantity. One goroutine adds; readers never wait for it. They may see a value in a class that the sum
// does not have yet.
type spread struct {
	bounds []float64
	counts []atomic.Uint64
	sum    atomic.Int64 // in units
	unit   float64
}

func newSpread(bounds []float64, unit float64) spread {
	return spread{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1), unit: unit}
}

// add counts a value of so many units.
func (s *spread) add(units int64) {
	class, _ := slices.BinarySearch(s.bounds, float64(units)*s.unit)
	s.counts[class].Add(1)
	s.sum.Add(units)
}

func (s *spread) snapshot() Spread {
	out := Spread{Bounds: s.bounds, Counts: make([]uint64, len(s.counts)), Sum: float64(s.sum.Load()) * s.unit}
	for i := range s.counts {
		out.Counts[i] = s.counts[i].Load()
	}
	return out
}

// Timing is when a request passed the stations of its way; a time is zero before that.
type Timing struct {
	Queued time.Time // Submit accepted it
	Began  time.Time // the first forward pass with it began
	First  time.Time // its first token was there
	Last   time.Time // its last token so far
	Tokens int       // generated so far
}

// timing is a Timing that is written by one goroutine and read by others.
type timing struct {
	queued                     time.Time // fixed
	began, first, last, tokens atomic.Int64
}

// Timing returns when the request got how far. It may be asked at any time.
func (s *Stream) Timing() Timing {
	return Timing{
		Queued: s.timing.queued, Began: unixNano(s.timing.began.Load()), First: unixNano(s.timing.first.Load()),
		Last: unixNano(s.timing.last.Load()), Tokens: int(s.timing.tokens.Load()),
	}
}

// Begin says when the first forward pass with the request began; only the first call counts. It comes before the first Send.
func (s *Stream) Begin(at time.Time) {
	s.timing.began.CompareAndSwap(0, at.UnixNano())
}

// sent notes a token, and returns how long after the one before it came; zero for the first.
func (s *Stream) sent() (gap time.Duration) {
	now := time.Now().UnixNano()
	t := &s.timing
	before := t.last.Swap(now)
	t.tokens.Add(1)
	if before == 0 {
		t.first.Store(now)
		return 0
	}
	return time.Duration(now - before)
}
