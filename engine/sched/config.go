package sched

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrTooLarge says that a request needs more pages than the pools have: it could
// never finish, however long it waited.
var ErrTooLarge = errors.New("request needs more memory than there is")

// Config sets the limits of a scheduler.
type Config struct {
	// PageTokens is the number of positions of a page, in both pools.
	PageTokens int
	// FullPages is the size of the pool for layers that see everything.
	FullPages int
	// WindowPages is the size of the pool for layers with a window. A sequence
	// needs (Window-1)/PageTokens, rounded up, and one more; n prompt tokens in a
	// step take n/PageTokens beside that; what is left caches prefixes.
	WindowPages int
	// Window is the number of positions that a token sees in a layer with a
	// window, itself included; 0 if there are no such layers.
	Window int
	// SwapFullPages and SwapWindowPages are the pages that the swap space holds.
	SwapFullPages, SwapWindowPages int
	// MaxSequences bounds the sequences that own pages.
	MaxSequences int
	// BatchSize bounds the sequences of a step.
	BatchSize int
	// MaxBatchTokens bounds the tokens of a step; at least BatchSize.
	MaxBatchTokens int
	// BatchTimeout is how long the first request of an idle engine may wait for
	// others to fill its batch; 0 starts at once.
	BatchTimeout time.Duration
	// PrefixCache lets sequences of a tenant share pages of equal tokens.
	PrefixCache bool
}

// check reports what cannot work.
func (c *Config) check() error {
	for _, f := range []struct {
		name     string
		value    int
		min, max int
	}{
		{"page tokens", c.PageTokens, 1, math.MaxInt16},
		{"full pages", c.FullPages, 1, math.MaxInt32 / max(c.PageTokens, 1)},
		{"window", c.Window, 0, math.MaxInt32},
		{"window pages", c.WindowPages, min(c.Window, 1), math.MaxInt32 / max(c.PageTokens, 1)},
		{"full pages of the swap space", c.SwapFullPages, 0, math.MaxInt32},
		{"window pages of the swap space", c.SwapWindowPages, 0, math.MaxInt32},
		{"sequences", c.MaxSequences, 1, math.MaxInt32},
		{"batch size", c.BatchSize, 1, math.MaxInt32},
		{"batch tokens", c.MaxBatchTokens, c.BatchSize, math.MaxInt32},
	} {
		if f.value < f.min || f.value > f.max {
			return fmt.Errorf("sched: %d %s, there may be %d to %d", f.value, f.name, f.min, f.max)
		}
	}
	if c.BatchTimeout < 0 {
		return fmt.Errorf("sched: batch timeout %v is negative", c.BatchTimeout)
	}
	return nil
}

// ID names a sequence of one scheduler; it is never used again.
type ID uint64

// Request asks for a sequence.
type Request struct {
	// Tenant is who asks: places and prompt tokens are shared out between
	// tenants, prefixes are not shared across them.
	Tenant string
	// Salt keeps prefixes apart within a tenant: only sequences with the same one
	// share them.
	Salt string
	// Prompt has at least one token. It must not change before the sequence ends.
	Prompt []int32
	// MaxTokens is how many tokens may be sampled, at least one.
	MaxTokens int
	// Arrived is when the request came, on the clock that Next is given.
	Arrived time.Duration
}

// check returns the number of positions that the request may come to compute: the
// token sampled last never is.
func (r *Request) check(c *Config) (positions int, err error) {
	if len(r.Prompt) == 0 {
		return 0, errors.New("sched: the prompt is empty")
	}
	if r.MaxTokens < 1 {
		return 0, fmt.Errorf("sched: %d tokens to be sampled, at least one is needed", r.MaxTokens)
	}
	held := c.Capacity()
	if r.MaxTokens > held || len(r.Prompt) > held-(r.MaxTokens-1) {
		return 0, fmt.Errorf("sched: %w: %d prompt tokens and %d to be sampled, the cache holds %d", ErrTooLarge, len(r.Prompt), r.MaxTokens, held)
	}
	return len(r.Prompt) + r.MaxTokens - 1, nil
}

// Capacity is how many positions a sequence can have when it is alone. A request
// takes one for every token of its prompt and every sampled one but the last.
func (c *Config) Capacity() int {
	pages := c.FullPages
	if c.Window > 0 && c.pages(c.Window-1)+1 > c.WindowPages {
		pages = min(pages, c.WindowPages)
	}
	return pages * c.PageTokens
}

// pages returns how many pages so many positions take.
func (c *Config) pages(positions int) int { return (positions + c.PageTokens - 1) / c.PageTokens }

// windowReserve returns the window pages that a sequence of so many positions needs
// to decode: Window positions, wherever in a page they begin.
func (c *Config) windowReserve(positions int) int {
	if c.Window == 0 {
		return 0
	}
	return min(c.pages(c.Window-1)+1, c.pages(positions))
}

// firstBlock returns the block of the first position that a token at position sees
// through the window; with no window, its own.
func (c *Config) firstBlock(position int) int {
	if c.Window == 0 {
		return position / c.PageTokens
	}
	return max(0, position-c.Window+1) / c.PageTokens
}
