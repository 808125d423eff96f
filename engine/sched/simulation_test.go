package sched

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// unknown is what memory holds that nobody has written.
const unknown = 0

// simulation is an engine with a model that can be checked: what it computes for a position, and so the "key and value"
// that a page holds, is a hash of the tenant and all tokens up to there.
type simulation struct {
	t        testing.TB
	s        *Scheduler
	memory   [2][]uint64 // by kind: [page][slot in it]
	swapped  [2][]uint64
	jobs     map[ID]*job
	finished int
	rejoined int             // steps with rows that had been left unfinished
	choose   func(n int) int // in [0, n)
	now      time.Duration
}

// job is a request and what it must give: the tokens that it gives alone.
type job struct {
	tokens []int32
	hashes []uint64 // of positions
	prompt int
	max    int
}

func newSimulation(t testing.TB, c Config, choose func(n int) int) *simulation {
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &simulation{
		t: t, s: s, jobs: map[ID]*job{}, choose: choose,
		memory:  [2][]uint64{make([]uint64, c.FullPages*c.PageTokens), make([]uint64, c.WindowPages*c.PageTokens)},
		swapped: [2][]uint64{make([]uint64, c.SwapFullPages*c.PageTokens), make([]uint64, c.SwapWindowPages*c.PageTokens)},
	}
}

// mix is a step of a hash; its result is never unknown.
func mix(h uint64, v int32) uint64 {
	h = (h ^ uint64(uint32(v))) * 0x9e3779b97f4a7c15
	h ^= h >> 29
	return h | 1<<63
}

// sampled is the token that the model gives after a position. Few are possible, so that answers share blocks.
func sampled(h uint64) int32 { return int32(h >> 20 % 2) }

// extend appends a token to what the job must hold.
func (j *job) extend(token int32) {
	j.tokens = append(j.tokens, token)
	j.hashes = append(j.hashes, mix(j.hashes[len(j.hashes)-1], token))
}

// add asks for a sequence; one that is too large is left out.
func (m *simulation) add(tenant string, prompt []int32, maxTokens int) {
	id, err := m.s.Add(Request{Tenant: tenant, Prompt: prompt, MaxTokens: maxTokens, Arrived: m.now})
	if err != nil {
		return
	}
	seed := uint64(1) << 63
	for _, b := range []byte(tenant) {
		seed = mix(seed, int32(b))
	}
	j := &job{hashes: []uint64{seed}, prompt: len(prompt), max: maxTokens}
	for _, token := range prompt {
		j.extend(token)
	}
	m.jobs[id] = j
}

// remove ends a job, as its client would.
func (m *simulation) remove(id ID) {
	m.s.Remove(id)
	delete(m.jobs, id)
}

// anyJob returns one of the jobs that have not ended.
func (m *simulation) anyJob() (ID, bool) {
	if len(m.jobs) == 0 {
		return 0, false
	}
	ids := make([]ID, 0, len(m.jobs))
	for id := range m.jobs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids[m.choose(len(ids))], true
}

// step runs one pass with everything that may happen during it, and reports whether there was a row.
func (m *simulation) step(promptTokens int, cancel, fail bool) bool {
	oldest, decoding := m.oldest(), m.decoding()
	if len(m.s.Unfinished()) > 0 && m.choose(16) == 0 {
		m.s.Abandon()
		m.checkBooks()
	}
	step := m.s.Next(m.now, promptTokens)
	m.now += step.Wait
	m.checkLimits(step, promptTokens, oldest, decoding)
	if len(m.s.Unfinished()) > 0 && (len(step.Rows) == 0 || m.choose(3) == 0) {
		m.s.Rejoin()
		m.rejoined++
		if len(step.Rows) > m.s.config.BatchSize {
			m.t.Fatalf("%d rows with those that rejoined, want at most %d", len(step.Rows), m.s.config.BatchSize)
		}
	}
	if len(step.Rows) == 0 {
		m.checkIdle(step)
		return false
	}
	m.checkBooks()
	m.leaveUnfinished(step, decoding)
	if fail {
		m.s.Abort()
		m.checkBooks()
		m.remove(step.Rows[0].ID)
		return true
	}
	m.move(step)
	m.forward(step)
	if id, ok := m.anyJob(); ok && cancel {
		m.remove(id)
	}
	m.s.Done()
	m.checkBooks()
	return true
}

// leaveUnfinished picks parts of prompts beside rows that decode.
func (m *simulation) leaveUnfinished(step *Step, decoding map[ID]bool) {
	if !decoding[step.Rows[0].ID] || len(m.s.Unfinished()) > 0 || m.choose(3) > 0 {
		return
	}
	for i := range step.Rows {
		r := &step.Rows[i]
		r.Unfinished = !decoding[r.ID] && m.choose(4) > 0
	}
}

// decoding returns the sequences that have one token to compute before the step.
func (m *simulation) decoding() map[ID]bool {
	ids := map[ID]bool{}
	for _, q := range m.s.running {
		ids[q.id] = q.left() == 1
	}
	return ids
}

// oldest returns the sequence that may not be preempted.
func (m *simulation) oldest() *sequence {
	if len(m.s.running) == 0 {
		return nil
	}
	return m.s.running[0]
}

// move swaps pages, and leaves nothing where they were.
func (m *simulation) move(step *Step) {
	n := m.s.config.PageTokens
	for _, v := range step.Saves {
		copy(m.swapped[v.Kind][int(v.Slot)*n:][:n], m.memory[v.Kind][int(v.Page)*n:])
	}
	for _, v := range step.Loads {
		copy(m.memory[v.Kind][int(v.Page)*n:][:n], m.swapped[v.Kind][int(v.Slot)*n:])
		clear(m.swapped[v.Kind][int(v.Slot)*n:][:n])
	}
}

// forward computes all rows at once: no row may read what another writes.
func (m *simulation) forward(step *Step) {
	for i := range step.Rows {
		m.eachWritten(&step.Rows[i], func(cell *uint64, _ uint64) { *cell = unknown })
	}
	for i := range step.Rows {
		m.read(&step.Rows[i])
	}
	for i := range step.Rows {
		r := &step.Rows[i]
		if m.choose(48) == 0 {
			m.fail(r)
			continue
		}
		if r.Unfinished {
			continue
		}
		m.eachWritten(r, func(cell *uint64, h uint64) { *cell = h })
		j := m.jobs[r.ID]
		if !r.Sample {
			continue
		}
		r.Token = sampled(j.hashes[len(j.tokens)])
		j.extend(r.Token)
		switch done := len(j.tokens) - j.prompt; {
		case done == j.max:
			m.finished++
			delete(m.jobs, r.ID)
		case m.choose(64) == 0:
			m.finished++
			m.remove(r.ID)
		}
	}
}

// fail leaves a row out, after which its sequence tries again or ends.
func (m *simulation) fail(r *Row) {
	r.Failed = true
	if m.choose(2) == 0 {
		m.remove(r.ID)
	}
}

// eachWritten calls do for the memory of every position of a row, with what belongs there.
func (m *simulation) eachWritten(r *Row, do func(cell *uint64, h uint64)) {
	n, j := m.s.config.PageTokens, m.jobs[r.ID]
	for i := range r.Tokens {
		at := r.Position + i
		do(&m.memory[Full][int(r.Full[at/n])*n+at%n], j.hashes[at+1])
		if m.s.config.Window > 0 {
			do(&m.memory[Window][int(r.Window[at/n])*n+at%n], j.hashes[at+1])
		}
	}
}

// read checks that a row's tokens, and all that they see of earlier ones, are those of its request.
func (m *simulation) read(r *Row) {
	c, j := &m.s.config, m.jobs[r.ID]
	n := c.PageTokens
	if !slices.Equal(r.Tokens, j.tokens[r.Position:r.Position+len(r.Tokens)]) {
		m.t.Fatalf("sequence %d runs %v at %d, it has %v", r.ID, r.Tokens, r.Position, j.tokens)
	}
	if r.Sample != (r.Position+len(r.Tokens) == len(j.tokens)) {
		m.t.Fatalf("sequence %d: sample %t at %d + %d of %d", r.ID, r.Sample, r.Position, len(r.Tokens), len(j.tokens))
	}
	for at := range r.Position {
		if m.memory[Full][int(r.Full[at/n])*n+at%n] != j.hashes[at+1] {
			m.t.Fatalf("sequence %d at %d: wrong content of full page %d, position %d", r.ID, r.Position, r.Full[at/n], at)
		}
	}
	if c.Window == 0 {
		return
	}
	for at := max(0, r.Position-c.Window+1); at < r.Position; at++ {
		if m.memory[Window][int(r.Window[at/n])*n+at%n] != j.hashes[at+1] {
			m.t.Fatalf("sequence %d at %d: wrong content of window page %d, position %d", r.ID, r.Position, r.Window[at/n], at)
		}
	}
}

// String describes the state for a failure.
func (m *simulation) String() string { return fmt.Sprintf("%+v", m.s.Stats()) }
