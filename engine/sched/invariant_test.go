package sched

import (
	"slices"
)

// checkIdle asks for a reason why a step has no row.
func (m *simulation) checkIdle(step *Step) {
	m.t.Helper()
	if len(step.Saves)+len(step.Loads)+len(step.Preempted) > 0 {
		m.t.Fatalf("a step without rows has work: %+v", step)
	}
	if len(m.s.running)+len(m.s.preempted) > 0 {
		m.t.Fatalf("nobody of those admitted runs: %s", m)
	}
	if (step.Wait > 0) != (m.s.queued > 0) {
		m.t.Fatalf("wait %v for %s", step.Wait, m)
	}
}

// checkLimits checks a step against the configuration.
func (m *simulation) checkLimits(step *Step, promptTokens int, oldest *sequence, decoding map[ID]bool) {
	m.t.Helper()
	c := &m.s.config
	var tokens, prompts, decodes int
	seen := map[ID]bool{}
	for i := range step.Rows {
		r := &step.Rows[i]
		if seen[r.ID] || m.jobs[r.ID] == nil || len(r.Tokens) == 0 {
			m.t.Fatalf("row %+v: twice, without tokens, or of nobody", r)
		}
		seen[r.ID] = true
		tokens += len(r.Tokens)
		switch {
		case decoding[r.ID]:
			decodes++
		case r.sequence.computed+1 < len(r.sequence.tokens):
			prompts += len(r.Tokens) // with one token left, a prompt found the rest of it in the cache just now
		}
		if want := c.pages(r.Position + len(r.Tokens)); len(r.Full) != want || c.Window > 0 && len(r.Window) != want {
			m.t.Fatalf("row %+v: %d and %d pages, want %d", r, len(r.Full), len(r.Window), want)
		}
		m.checkWritten(r)
	}
	if len(step.Rows) > c.BatchSize || tokens > c.MaxBatchTokens || len(m.s.running) > c.MaxSequences {
		m.t.Fatalf("%d rows, %d tokens, %d sequences: over the limits", len(step.Rows), tokens, len(m.s.running))
	}
	if decodes > 0 && promptTokens > 0 && prompts > promptTokens {
		m.t.Fatalf("%d prompt tokens beside %d rows that decode, want at most %d", prompts, decodes, promptTokens)
	}
	if len(step.Saves) > 0 && len(step.Loads) > 0 {
		m.t.Fatal("pages are saved and loaded in one step: somebody was let in too early")
	}
	for _, p := range step.Preempted {
		if oldest != nil && p.ID == oldest.id {
			m.t.Fatalf("the oldest sequence %d was preempted", p.ID)
		}
	}
}

// checkWritten checks that the pages of a row's new tokens are its own and that no prompt can find them.
func (m *simulation) checkWritten(r *Row) {
	m.t.Helper()
	n := m.s.config.PageTokens
	for block := r.Position / n; block < len(r.Full); block++ {
		if g := m.s.full.pages[r.Full[block]]; g.refs != 1 || g.cached {
			m.t.Fatalf("row %+v writes into full page %d: %d holders, cached %t", r, r.Full[block], g.refs, g.cached)
		}
		if m.s.config.Window == 0 {
			continue
		}
		if g := m.s.window.pages[r.Window[block]]; g.refs != 1 || g.cached {
			m.t.Fatalf("row %+v writes into window page %d: %d holders, cached %t", r, r.Window[block], g.refs, g.cached)
		}
	}
}

// checkBooks compares the scheduler's books with what the sequences hold.
func (m *simulation) checkBooks() {
	m.t.Helper()
	s := m.s
	full, window := holders{}, holders{}
	var reserved int
	slots := [2]int{len(s.swap.full), len(s.swap.window)}
	for _, q := range s.byID {
		full.add(q, q.full)
		window.add(q, q.window)
		slots[Full] += len(q.fullSlots)
		slots[Window] += len(q.windowSlots)
		if q.state != running {
			if len(q.full)+len(q.window) > 0 {
				m.t.Fatalf("sequence %d has pages and does not run", q.id)
			}
			continue
		}
		reserve := s.config.windowReserve(q.positions)
		reserved += reserve
		if held := len(q.window) - q.slid; !s.pending && !q.unfinished && held > reserve {
			m.t.Fatalf("sequence %d holds %d window pages, it was promised %d", q.id, held, reserve)
		}
	}
	m.checkPool(s.full, full)
	m.checkPool(s.window, window)
	for i := range s.window.size {
		if g := &s.window.pages[i]; g.cached && s.full.find(g.digest) == none {
			m.t.Fatalf("window page %d is cached without its full page", i)
		}
	}
	if slots != [2]int{s.config.SwapFullPages, s.config.SwapWindowPages} {
		m.t.Fatalf("%v slots of the swap space are left", slots)
	}
	if reserved > s.config.WindowPages {
		m.t.Fatalf("%d window pages are promised, there are %d", reserved, s.config.WindowPages)
	}
	if !slices.IsSortedFunc(s.running, bySerial) || !slices.IsSortedFunc(s.preempted, bySerial) {
		m.t.Fatal("a list is out of order")
	}
	if len(s.byID) != s.queued+len(s.running)+len(s.preempted) || len(s.byID) != len(m.jobs) {
		m.t.Fatalf("%d sequences for %d jobs: %s", len(s.byID), len(m.jobs), m)
	}
}

// holders are the sequences that hold each page.
type holders map[int32][]*sequence

func (h holders) add(q *sequence, table []int32) {
	for _, id := range table {
		if id != none {
			h[id] = append(h[id], q)
		}
	}
}

// checkPool compares a pool with who holds its pages.
func (m *simulation) checkPool(p *pool, held holders) {
	m.t.Helper()
	var free, cached, listed int
	for i := range p.size {
		id, g := int32(i), &p.pages[i]
		if int(g.refs) != len(held[id]) {
			m.t.Fatalf("page %d has %d holders, %d are counted", id, len(held[id]), g.refs)
		}
		if g.refs == 0 {
			free++
		}
		if g.cached {
			cached++
			if p.find(g.digest) != id {
				m.t.Fatalf("page %d cannot be found", id)
			}
		}
		for _, q := range held[id] {
			if q.tenant != held[id][0].tenant || g.refs > 1 && !g.cached {
				m.t.Fatalf("page %d has holders of several tenants, or is not from the cache", id)
			}
		}
	}
	for c := range classes {
		for id := p.pages[p.sentinel(c)].next; id != p.sentinel(c); id = p.pages[id].next {
			listed++
			if g := &p.pages[id]; g.refs != 0 || g.cached != (c != empty) {
				m.t.Fatalf("page %d, %d holders, cached %t, is in class %d", id, g.refs, g.cached, c)
			}
		}
	}
	if free != p.free || free != listed || cached != p.cached {
		m.t.Fatalf("%d pages are free, %d are counted, %d are listed; %d are cached, %d are counted", free, p.free, listed, cached, p.cached)
	}
}
