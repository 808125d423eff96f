package sched

import (
	"cmp"
	"time"
)

// state is where a sequence is on its way.
type state uint8

const (
	waiting   state = iota // in its tenant's queue, owns nothing
	running                // owns pages
	preempted              // was running and owns at most a part of the swap space
)

// sequence is a request and what it owns.
//
// A block is a run of PageTokens positions. Tables have one entry per block, up to
// the last that has a position computed or in the running step.
type sequence struct {
	id      ID
	tenant  *tenant
	arrived time.Duration
	serial  uint64 // order of admission, 0 before
	lastRun uint64 // the number of the last step with a row of it
	state   state
	leaving bool // removed while a step runs, which may use its pages

	tokens    []int32 // the prompt, then what was sampled
	prompt    int     // tokens of the prompt
	positions int     // at most to be computed
	computed  int     // positions that the pages hold

	root      digest   // begins its chain
	digests   []digest // of complete blocks of tokens, as far as hashed
	committed int      // blocks that were offered to the prefix cache
	wanted    int      // blocks whose full pages were cached when it looked
	hits      int      // prompt tokens that it did not have to compute
	restarted bool     // was preempted, so hits may be its own work

	unfinished bool // a row of it is computed beside the steps

	full   []int32 // page of every block
	window []int32 // the same; none before block slid
	slid   int

	fullSlots, windowSlots []int32 // in the swap space: of every block, of those from slid
}

// left returns how many known tokens are still to be computed.
func (q *sequence) left() int { return len(q.tokens) - q.computed }

// spilled reports whether the swap space has what was computed.
func (q *sequence) spilled() bool { return q.fullSlots != nil }

func bySerial(a, b *sequence) int { return cmp.Compare(a.serial, b.serial) }

// byLastRun orders those first that have waited longest for a step.
func byLastRun(a, b *sequence) int {
	return cmp.Or(cmp.Compare(a.lastRun, b.lastRun), cmp.Compare(a.serial, b.serial))
}

// byService orders as prompt tokens are shared out.
func byService(a, b *sequence) int {
	return cmp.Or(cmp.Compare(a.tenant.served, b.tenant.served), cmp.Compare(a.serial, b.serial))
}

// tenant is what the sequences of one tenant share. It lives as long as it has any.
type tenant struct {
	name      string
	root      digest      // begins the chains of its sequences
	queue     []*sequence // waiting, in order of arrival
	sequences int         // in any state
	admitted  int         // of these, running or preempted
	served    uint64      // tokens computed
}

// byTurn orders tenants that have somebody waiting as they get a free place.
func byTurn(a, b *tenant) int {
	return cmp.Or(cmp.Compare(a.admitted, b.admitted), cmp.Compare(a.served, b.served), cmp.Compare(a.queue[0].id, b.queue[0].id))
}
