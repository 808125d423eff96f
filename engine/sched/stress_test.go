package sched

import (
	"math/rand/v2"
	"testing"
	"time"
)

// randomConfig returns a small configuration: whatever can run out does.
func randomConfig(choose func(n int) int) Config {
	batch := 1 + choose(4)
	c := Config{
		PageTokens: 1 + choose(5), FullPages: 4 + choose(16), Window: choose(14),
		MaxSequences: 1 + choose(6), BatchSize: batch, MaxBatchTokens: batch + choose(1+choose(24)),
		BatchTimeout: time.Duration(choose(3)) * time.Second, PrefixCache: choose(4) > 0,
	}
	if c.Window > 0 {
		c.WindowPages = c.pages(c.Window-1) + 1 + choose(16)
	}
	if choose(3) > 0 {
		c.SwapFullPages, c.SwapWindowPages = choose(24), choose(24)
	}
	return c
}

// randomPrompt returns a prompt that shares its beginning with others.
func randomPrompt(choose func(n int) int, longest int) []int32 {
	prompt := make([]int32, 1+choose(longest))
	same := choose(len(prompt) + 1)
	family := int32(choose(2))
	for i := range prompt {
		if i < same {
			prompt[i] = family
		} else {
			prompt[i] = int32(choose(3))
		}
	}
	return prompt
}

// play runs requests, cancellations and failures for so many steps, then lets everybody finish.
func play(m *simulation, steps int) {
	m.t.Helper()
	c := &m.s.config
	for range steps {
		if m.choose(2) == 0 && len(m.jobs) < 12 {
			tenant := []string{"", "a", "b"}[m.choose(3)]
			half := c.FullPages * c.PageTokens / 2
			m.add(tenant, randomPrompt(m.choose, half), 1+m.choose(half))
		}
		if id, ok := m.anyJob(); ok && m.choose(24) == 0 {
			m.remove(id)
		}
		m.now += time.Duration(m.choose(1000)) * time.Millisecond
		m.step(m.choose(8), m.choose(24) == 0, m.choose(32) == 0)
	}
	// Each step computes a token, and a token is computed once, or again after a preemption by somebody older.
	for limit := 100_000; len(m.jobs) > 0; limit-- {
		if limit == 0 {
			m.t.Fatalf("%d jobs do not finish: %s", len(m.jobs), m)
		}
		m.step(0, false, false)
	}
	m.step(0, false, false)
	checkEmpty(m)
}

// checkEmpty checks that nothing is left behind.
func checkEmpty(m *simulation) {
	m.t.Helper()
	t := m.s.Stats()
	if t.Waiting+t.Running+t.Preempted+t.Tokens+t.FullUsed+t.WindowUsed+t.SwapUsed+len(m.s.byID)+len(m.s.tenants) > 0 {
		m.t.Fatalf("left behind: %s", m)
	}
}

func TestRandomRequestsGetTheirOwnTokens(t *testing.T) {
	runs := 200
	if testing.Short() {
		runs = 40
	}
	var total Stats
	var finished, rejoined int
	for seed := range runs {
		random := rand.New(rand.NewPCG(uint64(seed), 1))
		m := newSimulation(t, randomConfig(random.IntN), random.IntN)
		play(m, 200)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		got := m.s.Stats()
		finished += m.finished
		rejoined += m.rejoined
		total.HitTokens += got.HitTokens
		total.Spilled += got.Spilled
		total.Recomputed += got.Recomputed
	}
	t.Logf("%d finished, %d rejoined, %d tokens from the cache, %d spilled, %d recomputed",
		finished, rejoined, total.HitTokens, total.Spilled, total.Recomputed)
	// A stress that never comes to these places proves nothing about them.
	if finished < 10*runs || rejoined < runs || total.HitTokens == 0 || total.Spilled == 0 || total.Recomputed == 0 {
		t.Errorf("the stress is too easy: %d finished, %d rejoined, %+v", finished, rejoined, total)
	}
}

// FuzzScheduler plays a script that the fuzzer writes.
func FuzzScheduler(f *testing.F) {
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 2))
		data := make([]byte, 300)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), 2000)]
		var at int
		choose := func(n int) int {
			if at++; at > len(data) {
				return n - 1
			}
			return int(data[at-1]) % n
		}
		m := newSimulation(t, randomConfig(choose), choose)
		for at < len(data) {
			play(m, 1+len(data)/16)
		}
	})
}
