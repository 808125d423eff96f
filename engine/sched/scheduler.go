package sched

import (
	"crypto/sha256"
	"slices"
)

// Scheduler decides for one engine. It is not safe for concurrent use.
type Scheduler struct {
	config  Config
	full    *pool
	window  *pool
	swap    swap
	stats   Stats  // what only grows
	lastID  ID     // given out
	serial  uint64 // given out
	hashed  []byte // what hash digests: a digest and the tokens of a block
	byID    map[ID]*sequence
	tenants []*tenant

	queued    int         // sequences in state waiting
	running   []*sequence // by serial
	preempted []*sequence // by serial

	step       Step
	steps      uint64 // number of the step, from 1
	pending    bool   // step was handed out and not taken back
	promptsRan bool   // the last step had a row of a prompt
	decodes    []*sequence
	prompts    []*sequence
	spilled    []*sequence // in this step
	loaded     []*sequence // in this step
	leaving    []*sequence // removed during this step
	unfinished []Row       // computed beside the steps
}

// New returns a scheduler without sequences. The error says which limit makes no sense.
func New(c Config) (*Scheduler, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	window := newPool(c.WindowPages, nil)
	return &Scheduler{
		config: c,
		window: window,
		// A window page is of no use without the full page of the same block.
		full:   newPool(c.FullPages, window.drop),
		swap:   newSwap(c.SwapFullPages, c.SwapWindowPages),
		byID:   map[ID]*sequence{},
		hashed: make([]byte, sha256.Size+4*c.PageTokens),
	}, nil
}

// Add queues a request. It fails with [ErrTooLarge] if the request could never
// finish, and for an empty prompt or nothing to sample.
func (s *Scheduler) Add(r Request) (ID, error) {
	positions, err := r.check(&s.config)
	if err != nil {
		return 0, err
	}
	t := s.tenant(r.Tenant)
	s.lastID++
	q := &sequence{id: s.lastID, tenant: t, arrived: r.Arrived, tokens: r.Prompt, prompt: len(r.Prompt), positions: positions, root: t.root}
	if r.Salt != "" {
		q.root = sha256.Sum256(append(t.root[:len(t.root):len(t.root)], r.Salt...))
	}
	t.sequences++
	t.queue = append(t.queue, q)
	s.byID[q.id] = q
	s.queued++
	return q.id, nil
}

// tenant returns the tenant of that name. One who was away is not owed what others
// were given meanwhile.
func (s *Scheduler) tenant(name string) *tenant {
	for _, t := range s.tenants {
		if t.name == name {
			return t
		}
	}
	t := &tenant{name: name, root: sha256.Sum256([]byte(name))}
	for i, other := range s.tenants {
		if i == 0 || other.served < t.served {
			t.served = other.served
		}
	}
	s.tenants = append(s.tenants, t)
	return t
}

// Remove ends a sequence in whatever state it is. Its pages are free at once, or
// with Done or Abort if a step runs. An ID that is unknown or has ended already is
// ignored.
func (s *Scheduler) Remove(id ID) {
	q := s.byID[id]
	switch {
	case q == nil || q.leaving:
	case s.pending:
		q.leaving = true
		s.leaving = append(s.leaving, q)
	default:
		s.end(q)
	}
}

// end frees all that a sequence owns.
func (s *Scheduler) end(q *sequence) {
	switch q.state {
	case waiting:
		q.tenant.queue = without(q.tenant.queue, q)
		s.queued--
	case running:
		s.unfinished = slices.DeleteFunc(s.unfinished, func(r Row) bool { return r.sequence == q })
		s.release(q)
		s.running = without(s.running, q)
		q.tenant.admitted--
	case preempted:
		s.swap.release(q)
		s.preempted = without(s.preempted, q)
		q.tenant.admitted--
	}
	delete(s.byID, q.id)
	if q.tenant.sequences--; q.tenant.sequences == 0 {
		i := slices.Index(s.tenants, q.tenant)
		s.tenants = slices.Delete(s.tenants, i, i+1)
	}
}

// Done says that the step was run: the pages hold what it computed, except for rows
// marked as Failed, and every other row that had to be sampled and was not removed has
// its Token. A sequence that got the
// last of its MaxTokens ends by itself. Done does nothing if no step is running.
func (s *Scheduler) Done() {
	if !s.pending {
		return
	}
	for _, q := range s.loaded {
		s.swap.release(q)
		s.commit(q)
	}
	for i := range s.step.Rows {
		r := &s.step.Rows[i]
		q := r.sequence
		if r.Failed {
			s.trim(q)
			continue
		}
		if r.Unfinished {
			q.unfinished = true
			s.unfinished = append(s.unfinished, *r)
			continue
		}
		q.computed += len(r.Tokens)
		s.commit(q)
		s.slide(q)
		if !r.Sample || q.leaving {
			continue
		}
		if r.Token < 0 {
			panic("sched: Done for a row that was neither sampled nor removed")
		}
		q.tokens = append(q.tokens, r.Token)
		if len(q.tokens) > q.positions {
			s.Remove(q.id)
		}
	}
	s.finish()
}

// Abort says that the step failed, wherever: nothing is taken to be computed, and
// sequences whose pages it should have saved or loaded begin anew. All of them go
// on with the next step unless they are removed. Abort does nothing if no step is
// running.
func (s *Scheduler) Abort() {
	if !s.pending {
		return
	}
	for i := range s.step.Rows {
		s.trim(s.step.Rows[i].sequence)
	}
	for _, q := range s.spilled {
		s.swap.release(q)
		q.computed = 0
	}
	for _, q := range s.loaded {
		s.swap.release(q)
		s.retreat(q)
		q.computed = 0
	}
	s.finish()
}

// finish ends the step, and those who were removed during it.
func (s *Scheduler) finish() {
	s.pending = false
	for _, q := range s.leaving {
		s.end(q)
	}
	s.leaving, s.spilled, s.loaded = reuse(s.leaving), reuse(s.spilled), reuse(s.loaded)
}

// without returns list without q, in the same memory.
func without(list []*sequence, q *sequence) []*sequence {
	i := slices.Index(list, q)
	return slices.Delete(list, i, i+1)
}

// reuse empties a list and keeps its memory, but not what it pointed to.
func reuse[T any](list []T) []T {
	clear(list)
	return list[:0]
}
