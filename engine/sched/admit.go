package sched

import "slices"

// growthPages is how many full pages beyond its known tokens a sequence must find
// when it starts, and leave to the others. One would do for the next step; two keep
// a sequence that has just come back from being preempted again within a page.
const growthPages = 2

// admit starts sequences while there is room: the preempted first, oldest first,
// then tenant by tenant. Nobody overtakes the one whose turn it is.
func (s *Scheduler) admit() {
	for len(s.preempted) > 0 {
		if !s.start(s.preempted[0]) {
			return
		}
	}
	for s.queued > 0 {
		var turn *tenant
		for _, t := range s.tenants {
			if len(t.queue) > 0 && (turn == nil || byTurn(t, turn) < 0) {
				turn = t
			}
		}
		if !s.start(turn.queue[0]) {
			return
		}
	}
}

// start gives q its first pages, or returns false if there is no room for it.
func (s *Scheduler) start(q *sequence) bool {
	if len(s.running) >= s.config.MaxSequences {
		return false
	}
	held, idle := s.cachedPages(q)
	if !s.fits(q, held, idle) {
		return false
	}
	if q.state == preempted {
		s.preempted = without(s.preempted, q)
	} else {
		s.introduce(q)
	}
	q.state = running
	at, _ := slices.BinarySearchFunc(s.running, q, bySerial)
	s.running = slices.Insert(s.running, at, q)
	if q.spilled() {
		s.load(q)
	} else {
		s.adopt(q)
	}
	return true
}

// introduce makes room for all that q will ever hold, so that later steps need not.
func (s *Scheduler) introduce(q *sequence) {
	t := q.tenant
	t.queue = slices.Delete(t.queue, 0, 1)
	t.admitted++
	s.queued--
	s.serial++
	q.serial = s.serial
	q.tokens = append(make([]int32, 0, q.positions+1), q.tokens...)
	q.full = make([]int32, 0, s.config.pages(q.positions))
	if s.config.Window > 0 {
		q.window = make([]int32, 0, s.config.pages(q.positions))
	}
	s.stats.PromptTokens += uint64(q.prompt)
}

// cachedPages returns how many full pages q finds in the prefix cache, and how many
// of them nobody holds.
func (s *Scheduler) cachedPages(q *sequence) (held, idle int) {
	blocks := q.computed / s.config.PageTokens // of a spilled sequence
	if !q.spilled() {
		blocks, _ = s.match(q)
	}
	if !s.config.PrefixCache {
		return 0, 0
	}
	for _, d := range q.digests[:blocks] {
		if id := s.full.find(d); id != none {
			held++
			if s.full.pages[id].refs == 0 {
				idle++
			}
		}
	}
	return held, idle
}

// fits reports whether q, which finds so many pages in the cache, can run beside the
// running sequences until all of them decode.
func (s *Scheduler) fits(q *sequence, held, idle int) bool {
	full := s.demand(q) - held
	window := s.config.windowReserve(q.positions)
	for _, r := range s.running {
		full += max(0, s.demand(r)-len(r.full))
		window += s.config.windowReserve(r.positions)
	}
	return full <= s.full.free-idle && window <= s.config.WindowPages
}

// demand returns the full pages that q needs for its known tokens and some growth.
func (s *Scheduler) demand(q *sequence) int {
	return s.config.pages(min(len(q.tokens)+growthPages*s.config.PageTokens, q.positions))
}
