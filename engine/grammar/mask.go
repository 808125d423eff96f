package grammar

import "slices"

// tokens returns what a local allows.
func (g *Grammar) tokens(l *local) *entry {
	if l.entry != nil {
		return l.entry
	}
	if e := g.stringEntry(l); e != nil {
		l.entry = e
		return e
	}
	var e *entry
	if typical := g.typical(l); typical != l {
		e = g.tokens(typical)
	} else {
		e = g.walk(g.alone(l), nil)
	}
	if !e.partial {
		l.entry = e
	}
	return e
}

// stringEntry returns the tokens for the inside of a JSON string, or nil.
func (g *Grammar) stringEntry(l *local) *entry {
	if len(l.positions) != 1 {
		return nil
	}
	p := l.positions[0]
	at := g.program.nodes[p.node()].meter
	if at == 0 {
		return nil
	}
	m := &g.program.meters[max(at, -at)-1]
	if m.body != p.node() {
		return nil
	}
	// Past the longest token it does not matter how many characters more.
	much := int32(g.vocabulary.longest + 1)
	low, high := max(m.min-p.count(), 0), much
	if m.max >= 0 {
		high = m.max - p.count()
	}
	key := [2]int32{min(low, much), min(high, much)}
	e := g.strings[key]
	if e == nil {
		e = g.vocabulary.inside.entry(g.vocabulary, key[0], key[1])
		g.strings[key] = e
		g.kept += 4*len(e.ids) + 4*len(e.ends.nodes)
	}
	return e
}

// typical returns the local that stands for all that differ only in counts which are of no consequence for the next token:
// the text is long enough already, and far from too long.
func (g *Grammar) typical(l *local) *local {
	for _, p := range l.positions {
		n := &g.program.nodes[p.node()]
		if n.meter <= 0 {
			continue
		}
		m := &g.program.meters[n.meter-1]
		if far := m.far + int32(g.vocabulary.longest) + 1; m.max < 0 || p.count() < m.min || p.count() > m.max-far {
			return l
		}
	}
	positions := make([]position, len(l.positions))
	for i, p := range l.positions {
		positions[i] = p
		if n := &g.program.nodes[p.node()]; n.meter > 0 {
			positions[i] = at(p.node(), g.program.meters[n.meter-1].min)
		}
	}
	return g.local(slices.Compact(positions))
}

// walk collects the tokens that a state allows, of the whole trie or of what is below some places in it.
func (g *Grammar) walk(s *state, below []int32) *entry {
	e := &entry{ends: &places{}}
	if below == nil {
		g.walkRange(e, s, 0, 0, int32(len(g.vocabulary.label)))
	}
	for _, n := range below {
		g.walkRange(e, s, g.vocabulary.depth[n], n+1, g.vocabulary.skip[n])
	}
	g.kept += 64 + 4*len(e.ends.nodes)
	if len(e.ids) > 2*g.vocabulary.words {
		e.mask = make([]uint64, g.vocabulary.words)
		for _, id := range e.ids {
			set(e.mask, id)
		}
		e.ids = nil
		g.kept += 8 * len(e.mask)
	} else {
		e.ids = slices.Clip(e.ids)
		g.kept += 4 * len(e.ids)
	}
	return e
}

func (g *Grammar) walkRange(e *entry, s *state, depth uint8, from, to int32) {
	v := g.vocabulary
	g.path[depth] = s
	for i := from; i < to; {
		d := v.depth[i]
		s := g.path[d-1]
		n := s.next[g.program.classes[v.label[i]]]
		if n == nil {
			if g.fuel <= 0 {
				e.partial = true
				i = v.skip[i]
				continue
			}
			n = g.step(s, v.label[i])
		}
		if n == dead {
			i = v.skip[i]
			continue
		}
		if v.token[i] >= 0 {
			e.ids = v.appendTokens(e.ids, i)
		}
		if n.exit {
			e.ends.nodes = append(e.ends.nodes, i)
		}
		if len(n.groups) == 0 {
			i = v.skip[i]
			continue
		}
		g.path[d] = n
		i++
	}
}

// beyond returns the tokens that end a rule at some places and go on in the rule that called it.
func (g *Grammar) beyond(p *places, ret Node) *entry {
	key := ended{p, ret}
	e := g.follow[key]
	if e == nil {
		s := g.following(ret)
		e = g.walk(s, p.nodes)
		if s.exit { // that rule may end there as well
			e.ends.nodes = append(e.ends.nodes, p.nodes...)
			g.kept += 4 * len(p.nodes)
		}
		if !e.partial {
			g.follow[key] = e
		}
	}
	return e
}
