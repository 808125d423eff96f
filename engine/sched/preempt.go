package sched

import "slices"

// swap keeps the books of the swap space.
type swap struct {
	size         int     // slots of both kinds
	full, window []int32 // free slots
}

func newSwap(full, window int) swap {
	return swap{size: full + window, full: slots(full), window: slots(window)}
}

// slots returns n slots, the lowest last.
func slots(n int) []int32 {
	list := make([]int32, n)
	for i := range list {
		list[i] = int32(n - 1 - i)
	}
	return list
}

// used returns how many slots hold a page.
func (w *swap) used() int { return w.size - len(w.full) - len(w.window) }

// release takes back the slots of a sequence.
func (w *swap) release(q *sequence) {
	w.full = append(w.full, q.fullSlots...)
	w.window = append(w.window, q.windowSlots...)
	q.fullSlots, q.windowSlots = nil, nil
}

// pop takes the last n slots of a list.
func pop(list *[]int32, n int) []int32 {
	kept := len(*list) - n
	taken := slices.Clone((*list)[kept:])
	*list = (*list)[:kept]
	return taken
}

// preempt takes the pages of the youngest sequence that is younger than q and not
// part of this step; it returns false if there is none.
func (s *Scheduler) preempt(q *sequence) bool {
	for _, v := range slices.Backward(s.running) {
		if v.serial <= q.serial {
			break
		}
		if v.lastRun == s.steps || v.unfinished {
			continue
		}
		spilled := s.spill(v)
		if spilled {
			s.stats.Spilled++
		} else {
			v.computed = 0
			s.stats.Recomputed++
		}
		s.retreat(v)
		s.step.Preempted = append(s.step.Preempted, Preemption{ID: v.id, Spilled: spilled})
		return true
	}
	return false
}

// retreat takes a running sequence off its pages.
func (s *Scheduler) retreat(q *sequence) {
	s.release(q)
	s.running = without(s.running, q)
	q.state = preempted
	q.restarted = true
	at, _ := slices.BinarySearchFunc(s.preempted, q, bySerial)
	s.preempted = slices.Insert(s.preempted, at, q)
}

// spill saves what q has computed, if the swap space has room for all of it. Cached
// pages are saved too: they may be gone when q comes back.
func (s *Scheduler) spill(q *sequence) bool {
	window := q.window[q.slid:]
	if q.computed == 0 || len(q.full) > len(s.swap.full) || len(window) > len(s.swap.window) {
		return false
	}
	q.fullSlots, q.windowSlots = pop(&s.swap.full, len(q.full)), pop(&s.swap.window, len(window))
	for i, id := range q.full {
		s.step.Saves = append(s.step.Saves, Move{ID: q.id, Kind: Full, Page: id, Slot: q.fullSlots[i]})
	}
	for i, id := range window {
		s.step.Saves = append(s.step.Saves, Move{ID: q.id, Kind: Window, Page: id, Slot: q.windowSlots[i]})
	}
	s.spilled = append(s.spilled, q)
	return true
}

// load gives a spilled sequence pages again: those that are cached still, and new
// ones that the step has to load. The slots are kept until it has.
func (s *Scheduler) load(q *sequence) {
	blocks := s.config.pages(q.computed)
	q.full = s.restore(Full, q, q.full, 0, blocks)
	if s.config.Window > 0 {
		q.slid = s.config.firstBlock(s.align(q.computed))
		for range q.slid {
			q.window = append(q.window, none)
		}
		q.window = s.restore(Window, q, q.window, q.slid, blocks)
	}
	s.loaded = append(s.loaded, q)
}

// restore appends the pages of blocks from first to q's table of a kind.
func (s *Scheduler) restore(kind Kind, q *sequence, table []int32, first, blocks int) []int32 {
	p, slots := s.full, q.fullSlots
	if kind == Window {
		p, slots = s.window, q.windowSlots
	}
	// Shared first: a page taken for one block may be the cached page of another.
	for i := first; i < blocks; i++ {
		id := none
		if s.config.PrefixCache && i < q.computed/s.config.PageTokens {
			if id = p.find(q.digests[i]); id != none {
				p.share(id)
			}
		}
		table = append(table, id)
	}
	for i := first; i < blocks; i++ {
		if table[i] == none {
			table[i] = p.take()
			s.step.Loads = append(s.step.Loads, Move{ID: q.id, Kind: kind, Page: table[i], Slot: slots[i-first]})
		}
	}
	return table
}
