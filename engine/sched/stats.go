package sched

// Stats is a snapshot of a scheduler.
type Stats struct {
	// Waiting, Running and Preempted count sequences.
	Waiting, Running, Preempted int
	// Tokens is how many positions the running sequences have computed.
	Tokens int
	// FullUsed and WindowUsed count pages that sequences hold.
	FullUsed, WindowUsed int
	// FullCached and WindowCached count pages that can be found by a prompt,
	// whether somebody holds them or not.
	FullCached, WindowCached int
	// SwapUsed counts pages in the swap space.
	SwapUsed int
	// PromptTokens counts the prompt tokens of all sequences admitted so far, and
	// HitTokens those of them that the prefix cache had.
	PromptTokens, HitTokens uint64
	// Spilled and Recomputed count preemptions.
	Spilled, Recomputed uint64
}

// Stats returns a snapshot; it allocates nothing.
func (s *Scheduler) Stats() Stats {
	t := s.stats
	t.Waiting, t.Running, t.Preempted = s.queued, len(s.running), len(s.preempted)
	t.FullUsed, t.WindowUsed = s.full.size-s.full.free, s.window.size-s.window.free
	t.FullCached, t.WindowCached = s.full.cached, s.window.cached
	t.SwapUsed = s.swap.used()
	for _, q := range s.running {
		t.Tokens += q.computed
	}
	return t
}
