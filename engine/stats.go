package engine

import (
	"slices"
	"sync/atomic"
	"time"
)

// Stats is a snapshot of the engine's work.
type Stats struct {
	Running   int // requests that own memory
	Waiting   int // requests that have not begun
	Preempted int // requests that had to make room for older ones and will go on
	// Steps counts finished forward passes.
	Steps uint64
	// PromptTokens and GeneratedTokens count tokens since the start. Prompt tokens that were found in the prefix cache do
	// not count, those that were computed again do.
	PromptTokens, GeneratedTokens uint64
	// PrefixQueries counts the prompt tokens that were looked for in the prefix cache, PrefixHits those found there.
	PrefixQueries, PrefixHits uint64
	// Preemptions counts how often a request had to make room.
	Preemptions uint64
	// StepStarted is when the forward pass now running began; zero between
	// steps. A time long past means a stuck step.
	StepStarted time.Time
	// LastStep is when the last forward pass ended; zero before the first.
	LastStep time.Time
	// LastStepDuration is how long that pass took.
	LastStepDuration time.Duration
	// KVTokens is the number of positions that the running requests have computed.
	KVTokens int
	// CachedTokens is the number of positions that a prompt may find in the prefix cache.
	CachedTokens int
	// KVUsage is the share of the memory for keys and values that running requests hold, from 0 to 1.
	KVUsage float64
	// KVPages is how many pages that memory has for layers that see everything, and PageTokens how many positions each of them.
	KVPages, PageTokens int
	// SwapUsed is the share of the swap space that is in use, from 0 to 1; 0 without one.
	SwapUsed float64
	// Gaps are the times between two tokens of a request in seconds, Batches the requests of a step, StepTokens its tokens.
	Gaps, Batches, StepTokens Spread
}

// counters is what the step loop publishes; readers never wait for the loop.
type counters struct {
	running, waiting, preempted, kvTokens, cachedTokens atomic.Int64
	steps, promptTokens, generated                      atomic.Uint64
	prefixQueries, prefixHits, preemptions              atomic.Uint64
	stepStarted, lastStep, stepLength                   atomic.Int64 // Unix nanoseconds, and a duration
	kvPages, swapSlots                                  atomic.Int64 // in use
	gaps, batches, stepTokens                           spread
	capacity                                            capacity
}

// capacity is what does not change.
type capacity struct{ kvPages, swapSlots, pageTokens int }

// prepare is called once, before anything is counted.
func (c *counters) prepare(has capacity) {
	c.capacity = has
	c.gaps = newSpread(gapBounds, 1e-9)
	c.batches, c.stepTokens = newSpread(batchBounds, 1), newSpread(tokensBounds, 1)
}

func (c *counters) beginStep() (now time.Time) {
	now = time.Now()
	c.stepStarted.Store(now.UnixNano())
	return now
}

// endStep returns how long the step took.
func (c *counters) endStep(began time.Time) (took time.Duration) {
	took = time.Since(began)
	c.stepLength.Store(int64(took))
	c.lastStep.Store(began.Add(took).UnixNano())
	c.stepStarted.Store(0)
	c.steps.Add(1)
	return took
}

func (c *counters) snapshot() Stats {
	return Stats{
		Running:          int(c.running.Load()),
		Waiting:          int(c.waiting.Load()),
		Preempted:        int(c.preempted.Load()),
		Steps:            c.steps.Load(),
		PromptTokens:     c.promptTokens.Load(),
		GeneratedTokens:  c.generated.Load(),
		PrefixQueries:    c.prefixQueries.Load(),
		PrefixHits:       c.prefixHits.Load(),
		Preemptions:      c.preemptions.Load(),
		StepStarted:      unixNano(c.stepStarted.Load()),
		LastStep:         unixNano(c.lastStep.Load()),
		LastStepDuration: time.Duration(c.stepLength.Load()),
		KVTokens:         int(c.kvTokens.Load()),
		CachedTokens:     int(c.cachedTokens.Load()),
		KVUsage:          share(c.kvPages.Load(), c.capacity.kvPages),
		KVPages:          c.capacity.kvPages,
		PageTokens:       c.capacity.pageTokens,
		SwapUsed:         share(c.swapSlots.Load(), c.capacity.swapSlots),
		Gaps:             c.gaps.snapshot(),
		Batches:          c.batches.snapshot(),
		StepTokens:       c.stepTokens.snapshot(),
	}
}

func share(part int64, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func unixNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

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
