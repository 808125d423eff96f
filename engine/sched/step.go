package sched

import (
	"slices"
	"time"
)

// Step is one forward pass. It is valid until the following call of Next, the page
// tables of its rows only until Done or Abort.
type Step struct {
	// Rows are the sequences that run. There are some whenever a sequence could
	// run; with none, there is nothing else to be done either.
	Rows []Row
	// Saves and Loads move pages to and from the swap space before the pass, all
	// saves before the first load. Of what a load fills a row may need anything.
	Saves, Loads []Move
	// Preempted are the sequences that lost their pages to this step.
	Preempted []Preemption
	// Wait is how long the engine should wait for more requests, unless one comes,
	// before it calls Next again. It is zero if there is a row, or no request.
	Wait time.Duration
}

// Row is the part of one sequence in a step.
type Row struct {
	ID ID
	// Tokens are to be computed, Position is that of the first.
	Tokens   []int32
	Position int
	// Full has the page of every Config.PageTokens positions up to the last of
	// Tokens. Window has the same for the layers with a window, where it may be -1
	// if no token of the row sees the page. It is empty if there are no such layers.
	Full, Window []int32
	// Cached is how many tokens of the prompt came from the prefix cache. It may
	// grow until the first row with Sample.
	Cached int
	// Sample asks for a token from the logits after the last of Tokens.
	Sample bool
	// Token is that token, to be set by the caller before Done; it is -1 before.
	Token int32
	// Failed is set by the caller before Done if this row was not computed while others
	// of its step were. Its sequence runs the same tokens again unless it is removed.
	Failed bool
	// Unfinished is set by the caller before Done if this row goes on being computed
	// beside the steps that follow, until Rejoin or Abandon. Its sequence keeps its
	// pages and has no other row meanwhile, and no other prompt has one.
	Unfinished bool

	sequence *sequence
}

// Kind tells the two pools apart.
type Kind uint8

// The pools.
const (
	Full   Kind = iota // layers that see everything
	Window             // layers with a sliding window
)

// Move copies a page of a pool to or from a slot of the swap space.
type Move struct {
	ID   ID // whose page it is
	Kind Kind
	Page int32 // in [0, pages of that pool)
	Slot int32 // in [0, pages of that kind in the swap space)
}

// Preemption says what became of a sequence that had to make room.
type Preemption struct {
	ID ID
	// Spilled: its pages are in the swap space. Otherwise they are computed again.
	Spilled bool
}

// Next decides on the next step. now is on the clock of Request.Arrived.
// promptTokens is how many prompt tokens may run beside rows that decode, so that
// these do not stall; 0 or less sets no such limit. After a step with rows the
// caller must call Done or Abort before the next Next, which panics otherwise.
func (s *Scheduler) Next(now time.Duration, promptTokens int) *Step {
	if s.pending {
		panic("sched: Next before Done or Abort of the last step")
	}
	t := &s.step
	*t = Step{Rows: reuse(t.Rows), Saves: t.Saves[:0], Loads: t.Loads[:0], Preempted: t.Preempted[:0]}
	if t.Wait = s.hold(now); t.Wait > 0 {
		return t
	}
	s.steps++
	s.admit()
	s.plan(promptTokens)
	s.pending = len(t.Rows) > 0
	return t
}

// Unfinished returns the rows that were left unfinished, as they were. Those whose
// sequence was removed are not among them any more. The slice is valid until the
// next Done, Abort, Rejoin or Abandon, tables and tokens of its rows as long as they
// are unfinished.
func (s *Scheduler) Unfinished() []Row { return s.unfinished }

// Rejoin adds the unfinished rows, at the end, to the step that Next has just
// returned, which may have none: they finish with it.
func (s *Scheduler) Rejoin() {
	for i := range s.unfinished {
		r := s.unfinished[i]
		r.Unfinished, r.sequence.unfinished = false, false
		r.sequence.lastRun = s.steps
		s.step.Rows = append(s.step.Rows, r)
	}
	s.unfinished = reuse(s.unfinished)
	s.pending = len(s.step.Rows) > 0
}

// Abandon gives up the unfinished rows between two steps: nothing of them is taken to
// be computed, and their sequences run the same tokens again.
func (s *Scheduler) Abandon() {
	for i := range s.unfinished {
		q := s.unfinished[i].sequence
		q.unfinished = false
		s.trim(q)
	}
	s.unfinished = reuse(s.unfinished)
}

// hold returns how long to wait for a fuller batch: nobody must be running, since
// whoever comes can join them.
func (s *Scheduler) hold(now time.Duration) time.Duration {
	full := min(s.config.BatchSize, s.config.MaxSequences)
	if len(s.running)+len(s.preempted) > 0 || s.queued == 0 || s.queued >= full {
		return 0
	}
	oldest := now
	for _, t := range s.tenants {
		for _, q := range t.queue {
			oldest = min(oldest, q.arrived)
		}
	}
	return max(0, s.config.BatchTimeout-(now-oldest))
}

// plan fills the step: first the sequences that decode, then parts of prompts.
func (s *Scheduler) plan(promptTokens int) {
	s.decodes, s.prompts = reuse(s.decodes), reuse(s.prompts)
	for _, q := range s.running {
		if q.unfinished {
			continue
		}
		if q.left() == 1 {
			s.decodes = append(s.decodes, q)
		} else {
			s.prompts = append(s.prompts, q)
		}
	}
	if len(s.unfinished) > 0 {
		s.decode(max(s.config.BatchSize-len(s.unfinished), 1)) // there is room for all when they rejoin
		return
	}
	places := s.config.BatchSize
	if len(s.decodes) >= places && len(s.prompts) > 0 && !s.promptsRan {
		places-- // lest prompts wait until somebody has finished
	}
	if len(s.decodes) > places {
		slices.SortFunc(s.decodes, byLastRun)
	}
	s.decode(places)
	rows := len(s.step.Rows)
	tokens := s.config.MaxBatchTokens - rows
	if rows > 0 && promptTokens > 0 {
		tokens = min(tokens, promptTokens)
	}
	for len(s.prompts) > 0 && tokens > 0 && len(s.step.Rows) < s.config.BatchSize {
		q := slices.MinFunc(s.prompts, byService)
		s.prompts = without(s.prompts, q)
		tokens -= s.prefill(q, tokens)
	}
	s.promptsRan = len(s.step.Rows) > rows
	if len(s.step.Rows) == 0 {
		s.decode(s.config.BatchSize) // the place kept for a prompt was of no use to it
	}
}

// decode fills so many places with sequences that decode. Who finds no page takes
// none of them.
func (s *Scheduler) decode(places int) {
	for _, q := range s.decodes {
		if len(s.step.Rows) >= places {
			return
		}
		s.run(q, 1)
	}
}

// prefill runs a part of a prompt of at most so many tokens and returns how many.
func (s *Scheduler) prefill(q *sequence, tokens int) int {
	if q.state != running {
		return 0 // preempted for one before it
	}
	s.adopt(q)
	if s.inWork(q) {
		return 0
	}
	return s.run(q, min(tokens, q.left()))
}

// inWork reports whether another row computes what q needs next: q waits for the
// page then. That row's sequence runs ahead of q or ends, so q does not wait for long.
func (s *Scheduler) inWork(q *sequence) bool {
	n := s.config.PageTokens
	block := q.computed / n
	if !s.config.PrefixCache || q.computed%n != 0 || block >= len(q.digests) {
		return false
	}
	for i := range s.step.Rows {
		r := &s.step.Rows[i]
		touched := r.Position < (block+1)*n && r.Position+len(r.Tokens) > block*n
		if touched && block < len(r.sequence.digests) && r.sequence.digests[block] == q.digests[block] {
			return true
		}
	}
	return false
}

// run adds a row of at most so many tokens of q and returns how many there was room for.
func (s *Scheduler) run(q *sequence, tokens int) int {
	if q.state != running {
		return 0
	}
	for s.room(s.full, q.full, q) == 0 {
		if !s.preempt(q) {
			return 0
		}
	}
	tokens = min(tokens, s.room(s.full, q.full, q))
	if s.config.Window > 0 {
		tokens = min(tokens, s.room(s.window, q.window, q))
	}
	if tokens == 0 {
		return 0
	}
	if end := s.align(q.computed + tokens); tokens < q.left() && end > q.computed {
		tokens = end - q.computed
	}
	blocks := s.config.pages(q.computed + tokens)
	for len(q.full) < blocks {
		q.full = append(q.full, s.full.take())
	}
	for s.config.Window > 0 && len(q.window) < blocks {
		q.window = append(q.window, s.window.take())
	}
	end := q.computed + tokens
	s.step.Rows = append(s.step.Rows, Row{
		ID: q.id, Tokens: q.tokens[q.computed:end], Position: q.computed, Full: q.full, Window: q.window,
		Cached: q.hits, Sample: end == len(q.tokens), Token: -1, sequence: q,
	})
	q.lastRun = s.steps
	q.tenant.served += uint64(tokens)
	return tokens
}

// room returns for how many more tokens of q the table and the free pages suffice.
func (s *Scheduler) room(p *pool, table []int32, q *sequence) int {
	return (len(table)+p.free)*s.config.PageTokens - q.computed
}

// align rounds down to a block's end: only whole blocks can be shared.
func (s *Scheduler) align(position int) int {
	return position / s.config.PageTokens * s.config.PageTokens
}
