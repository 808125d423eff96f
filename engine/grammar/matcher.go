package grammar

import "slices"

// thread is one way to read what was accepted so far.
type thread struct {
	local *local
	stack int32
}

// reading is a thread in the middle of a token.
type reading struct {
	state *state
	stack int32
}

// level is a place of return on a matcher's stack. Stacks that agree at their bottom share it.
type level struct {
	ret            Node
	parent         int32
	child, sibling int32 // the level pushed last on this one, and the one pushed on the same before it
}

// Matcher follows one answer. It is not safe for concurrent use.
type Matcher struct {
	g        *Grammar
	threads  []thread
	levels   []level // 0 is the bottom
	complete bool

	active, spare []reading
	ended         bool
}

// NewMatcher begins an answer.
func (g *Grammar) NewMatcher() *Matcher {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := &Matcher{g: g, levels: make([]level, 1, 64)}
	s := g.following(g.program.start)
	m.active = append(m.active, reading{s, 0})
	m.ended = s.exit
	m.settle()
	return m
}

// Complete reports whether the answer may end here.
func (m *Matcher) Complete() bool { return m.complete }

// Dead reports whether nothing more can be accepted and the answer is not complete either.
func (m *Matcher) Dead() bool { return len(m.threads) == 0 && !m.complete }

// Mask sets the bits of the tokens that may come next, and no others. It always says true: the answer is constrained.
func (m *Matcher) Mask(mask []uint64) bool {
	clear(mask)
	g := m.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.kept > maxKept {
		g.reset()
	}
	g.fuel = maxFuel
	for _, t := range m.threads {
		e, stack := g.tokens(t.local), t.stack
		for {
			e.fill(mask)
			if len(e.ends.nodes) == 0 || stack == 0 {
				break
			}
			e = g.beyond(e.ends, m.levels[stack].ret)
			stack = m.levels[stack].parent
		}
	}
	return true
}

func (e *entry) fill(mask []uint64) {
	if e.mask != nil {
		for i, w := range e.mask[:min(len(e.mask), len(mask))] {
			mask[i] |= w
		}
	}
	for _, id := range e.ids {
		if at := int(id >> 6); at < len(mask) {
			mask[at] |= 1 << (id & 63)
		}
	}
}

// Accept goes on with a token. One that is not allowed leaves the matcher dead.
func (m *Matcher) Accept(token int32) {
	m.g.mu.Lock()
	defer m.g.mu.Unlock()
	m.read(token)
	m.settle()
}

// Allows reports whether a token may come next, byte by byte, without a mask.
func (m *Matcher) Allows(token int32) bool {
	m.g.mu.Lock()
	defer m.g.mu.Unlock()
	m.read(token)
	return m.ended || len(m.active) > 0
}

// read fills active with the ways to read a token.
func (m *Matcher) read(token int32) {
	m.active, m.ended = m.active[:0], false
	if token < 0 || int(token) >= len(m.g.vocabulary.texts) || m.g.vocabulary.texts[token] == nil {
		return
	}
	for _, t := range m.threads {
		m.active = append(m.active, reading{m.g.alone(t.local), t.stack})
	}
	for _, b := range m.g.vocabulary.texts[token] {
		m.ended = false
		m.active, m.spare = m.spare[:0], m.active
		for _, r := range m.spare {
			s := m.g.step(r.state, b)
			if len(s.groups) > 0 {
				m.add(reading{s, r.stack})
			}
			if s.exit {
				m.leave(r.stack)
			}
		}
	}
}

func (m *Matcher) add(r reading) {
	if !slices.Contains(m.active, r) {
		m.active = append(m.active, r)
	}
}

// leave goes on where a rule was called.
func (m *Matcher) leave(stack int32) {
	for {
		if stack == 0 {
			m.ended = true
			return
		}
		s := m.g.following(m.levels[stack].ret)
		stack = m.levels[stack].parent
		if len(s.groups) > 0 {
			m.add(reading{s, stack})
		}
		if !s.exit {
			return
		}
	}
}

// settle turns what was read into threads.
func (m *Matcher) settle() {
	m.threads, m.complete = m.threads[:0], m.ended
	for _, r := range m.active {
		for _, p := range r.state.groups {
			t := thread{p.local, m.push(r.stack, p.stack)}
			if len(m.threads) < maxThreads && !slices.Contains(m.threads, t) {
				m.threads = append(m.threads, t)
			}
		}
	}
}

// push puts frames on a stack.
func (m *Matcher) push(stack int32, f *frame) int32 {
	if f == nil {
		return stack
	}
	stack = m.push(stack, f.parent)
	for at := m.levels[stack].child; at != 0; at = m.levels[at].sibling {
		if m.levels[at].ret == f.ret {
			return at
		}
	}
	m.levels = append(m.levels, level{ret: f.ret, parent: stack, sibling: m.levels[stack].child})
	top := int32(len(m.levels) - 1)
	m.levels[stack].child = top
	return top
}
