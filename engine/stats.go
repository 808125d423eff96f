package engine

import (
	"sync/atomic"
	"time"
)

// Stats is a snapshot of the engine's work.
type Stats struct {
	Active int // requests that run
	Queued int // requests that wait
	// Steps counts finished forward passes.
	Steps uint64
	// PromptTokens and GeneratedTokens count tokens since the start.
	PromptTokens, GeneratedTokens uint64
	// StepStarted is when the forward pass now running began; zero between
	// steps. A time long past means a stuck step.
	StepStarted time.Time
	// LastStep is when the last forward pass ended; zero before the first.
	LastStep time.Time
	// LastStepDuration is how long that pass took.
	LastStepDuration time.Duration
	// KVTokens is the number of positions that the running requests have cached.
	KVTokens int
}

// counters is what the step loop publishes; readers never wait for the loop.
type counters struct {
	active, queued, kvTokens          atomic.Int64
	steps, promptTokens, generated    atomic.Uint64
	stepStarted, lastStep, stepLength atomic.Int64 // Unix nanoseconds, and a duration
}

func (c *counters) beginStep() { c.stepStarted.Store(time.Now().UnixNano()) }

func (c *counters) endStep() {
	now := time.Now().UnixNano()
	c.stepLength.Store(now - c.stepStarted.Load())
	c.lastStep.Store(now)
	c.stepStarted.Store(0)
	c.steps.Add(1)
}

func (c *counters) snapshot() Stats {
	return Stats{
		Active:           int(c.active.Load()),
		Queued:           int(c.queued.Load()),
		Steps:            c.steps.Load(),
		PromptTokens:     c.promptTokens.Load(),
		GeneratedTokens:  c.generated.Load(),
		StepStarted:      unixNano(c.stepStarted.Load()),
		LastStep:         unixNano(c.lastStep.Load()),
		LastStepDuration: time.Duration(c.stepLength.Load()),
		KVTokens:         int(c.kvTokens.Load()),
	}
}

func unixNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}
