package regular

import (
	"encoding/binary"
	"slices"
)

// DFA is a deterministic automaton over characters; surrogates are none. State 0 is the first. From every state an
// accepting one can be reached, unless the automaton accepts nothing: then it has one state, without edges.
type DFA struct {
	States []State
	// Cost is about how many steps it took to make.
	Cost int
}

// State is left along the edge that holds the next character; where none does, the text is refused.
type State struct {
	Accept bool
	Edges  []Edge // in rising order of characters
}

// Edge leads to another state for the characters from Lo to Hi.
type Edge struct {
	Lo, Hi rune
	To     int32
}

// Pattern returns the texts in which a pattern is found.
func Pattern(pattern string) (*DFA, error) { return compile(pattern, false) }

// Whole returns the texts that a pattern matches from end to end.
func Whole(pattern string) (*DFA, error) { return compile(pattern, true) }

func compile(pattern string, whole bool) (*DFA, error) {
	e, err := parse(pattern)
	if err != nil {
		return nil, err
	}
	c := &compiler{}
	return c.language(e, whole, whole)
}

// language returns the texts in which e is found, or only those at whose beginning, and end, it is.
func (c *compiler) language(e *expression, begin, end bool) (*DFA, error) {
	alternatives := make([]*expression, len(e.subs))
	for i, sub := range e.subs {
		var err error
		if alternatives[i], err = c.withoutLook(sub, end); err != nil {
			return nil, err
		}
	}
	c.states = c.states[:0]
	final := c.split()
	var tail int32
	if end {
		tail = c.state(nstate{links: []link{{final, atEnd}}})
	} else {
		tail = c.split(final)
		loop := c.state(nstate{set: everything, to: tail})
		c.states[tail].links = append(c.states[tail].links, link{to: loop})
	}
	start := c.build(&expression{op: opAlternate, subs: alternatives}, tail)
	if !begin && c.failed == nil {
		search := c.split(start)
		loop := c.state(nstate{set: everything, to: search})
		c.states[search].links = append(c.states[search].links, link{to: loop})
		start = search
	}
	d, err := c.determinise(start, final)
	if err != nil {
		return nil, err
	}
	d = d.minimise()
	d.Cost += c.work + len(d.States)
	return d, nil
}

// withoutLook replaces the first lookahead of a concatenation, and all that follows it, by the texts that both allow.
func (c *compiler) withoutLook(e *expression, end bool) (*expression, error) {
	at := slices.IndexFunc(e.subs, func(sub *expression) bool { return sub.op == opLook })
	if at < 0 {
		return e, nil
	}
	following := &expression{op: opConcat, subs: e.subs[at+1:]}
	if slices.ContainsFunc(following.subs, func(sub *expression) bool { return sub.has(opBegin) }) {
		return nil, errLookBeforeBegin
	}
	rest, err := c.language(&expression{op: opAlternate, subs: []*expression{following}}, true, end)
	if err != nil {
		return nil, err
	}
	ahead, err := c.language(e.subs[at].subs[0], true, false)
	if err != nil {
		return nil, err
	}
	if e.subs[at].negative {
		ahead = ahead.Complement()
	}
	if rest, err = rest.Intersect(ahead); err != nil {
		return nil, err
	}
	subs := append(slices.Clone(e.subs[:at]), &expression{op: opRest, rest: rest})
	return &expression{op: opConcat, subs: subs}, nil
}

// has reports whether an operation is somewhere in an expression.
func (e *expression) has(op operation) bool {
	return e.op == op || slices.ContainsFunc(e.subs, func(sub *expression) bool { return sub.has(op) })
}

// Strings returns an automaton of the given texts.
func Strings(texts ...string) *DFA {
	d := &DFA{States: make([]State, 1)}
	for _, text := range texts {
		at := int32(0)
		for _, r := range text {
			edges := d.States[at].Edges
			i, ok := slices.BinarySearchFunc(edges, r, func(e Edge, r rune) int { return int(e.Lo - r) })
			if !ok {
				d.States[at].Edges = slices.Insert(edges, i, Edge{r, r, int32(len(d.States))})
				d.States = append(d.States, State{})
			}
			at = d.States[at].Edges[i].To
		}
		d.States[at].Accept = true
	}
	return d
}

// Empty reports whether nothing is accepted.
func (d *DFA) Empty() bool { return !d.States[0].Accept && len(d.States[0].Edges) == 0 }

// Match reports whether a text is accepted.
func (d *DFA) Match(text string) bool {
	at := int32(0)
	for _, r := range text {
		to := d.next(at, r)
		if to < 0 {
			return false
		}
		at = to
	}
	return d.States[at].Accept
}

func (d *DFA) next(state int32, r rune) int32 {
	edges := d.States[state].Edges
	i, ok := slices.BinarySearchFunc(edges, r, func(e Edge, r rune) int {
		switch {
		case e.Hi < r:
			return -1
		case e.Lo > r:
			return 1
		}
		return 0
	})
	if !ok {
		return -1
	}
	return edges[i].To
}

// Universal reports whether any text may follow in a state.
func (d *DFA) Universal(state int32) bool {
	s := &d.States[state]
	if !s.Accept || len(s.Edges) != len(everything) {
		return false
	}
	for i, e := range s.Edges {
		if e.To != state || e.Lo != everything[i].lo || e.Hi != everything[i].hi {
			return false
		}
	}
	return true
}

// Complement returns the texts that d does not accept.
func (d *DFA) Complement() *DFA {
	sink := int32(len(d.States))
	out := &DFA{States: make([]State, sink+1)}
	for i := range out.States {
		var taken set
		var edges []Edge
		if i < len(d.States) {
			for _, e := range d.States[i].Edges {
				taken = append(taken, span{e.Lo, e.Hi})
				edges = append(edges, e)
			}
			out.States[i].Accept = !d.States[i].Accept
		} else {
			out.States[i].Accept = true
		}
		for _, r := range normal(taken).negate() {
			edges = append(edges, Edge{r.lo, r.hi, sink})
		}
		out.States[i].Edges = joined(edges)
	}
	return out.trim().minimise()
}

// Intersect returns the texts that both accept.
func (d *DFA) Intersect(other *DFA) (*DFA, error) {
	type pair struct{ a, b int32 }
	ids := map[pair]int32{{0, 0}: 0}
	pairs := []pair{{0, 0}}
	out := &DFA{}
	work := 0
	for i := 0; i < len(pairs); i++ {
		a, b := &d.States[pairs[i].a], &other.States[pairs[i].b]
		var edges []Edge
		for m, n := 0, 0; m < len(a.Edges) && n < len(b.Edges); work++ {
			x, y := a.Edges[m], b.Edges[n]
			if lo, hi := max(x.Lo, y.Lo), min(x.Hi, y.Hi); lo <= hi {
				p := pair{x.To, y.To}
				id, ok := ids[p]
				if !ok {
					id = int32(len(pairs))
					ids[p] = id
					pairs = append(pairs, p)
				}
				edges = append(edges, Edge{lo, hi, id})
			}
			if x.Hi < y.Hi {
				m++
			} else {
				n++
			}
		}
		out.States = append(out.States, State{a.Accept && b.Accept, joined(edges)})
		if len(pairs) > 4*maxStates || work > maxWork {
			return nil, ErrTooComplex
		}
	}
	if out = out.trim().minimise(); len(out.States) > maxStates {
		return nil, ErrTooComplex
	}
	out.Cost += work + len(pairs)
	return out, nil
}

// joined sorts edges and joins neighbours that lead to the same state.
func joined(edges []Edge) []Edge {
	slices.SortFunc(edges, func(a, b Edge) int { return int(a.Lo - b.Lo) })
	out := edges[:0]
	for _, e := range edges {
		if n := len(out); n > 0 && out[n-1].To == e.To && out[n-1].Hi+1 == e.Lo {
			out[n-1].Hi = e.Hi
		} else {
			out = append(out, e)
		}
	}
	return out
}

// trim removes the states that lead nowhere, and those that nothing leads to.
func (d *DFA) trim() *DFA {
	back := make([][]int32, len(d.States))
	var work []int32
	useful := make([]bool, len(d.States))
	for i, s := range d.States {
		for _, e := range s.Edges {
			back[e.To] = append(back[e.To], int32(i))
		}
		if s.Accept {
			useful[i] = true
			work = append(work, int32(i))
		}
	}
	for len(work) > 0 {
		q := work[len(work)-1]
		work = work[:len(work)-1]
		for _, p := range back[q] {
			if !useful[p] {
				useful[p] = true
				work = append(work, p)
			}
		}
	}
	if !useful[0] {
		return &DFA{States: make([]State, 1)}
	}
	ids := map[int32]int32{0: 0}
	order := []int32{0}
	out := &DFA{}
	for i := 0; i < len(order); i++ {
		s := d.States[order[i]]
		var edges []Edge
		for _, e := range s.Edges {
			if !useful[e.To] {
				continue
			}
			id, ok := ids[e.To]
			if !ok {
				id = int32(len(order))
				ids[e.To] = id
				order = append(order, e.To)
			}
			edges = append(edges, Edge{e.Lo, e.Hi, id})
		}
		out.States = append(out.States, State{s.Accept, joined(edges)})
	}
	return out
}

// maxRefinements bounds the work of minimise in states looked at: a chain of counted characters takes a round for each.
const maxRefinements = 300_000

// refinement is what looking at a state costs there, in steps of the other algorithms.
const refinement = 20

// minimise joins states that accept the same texts, by refining a partition until it holds. What takes too long stays as it
// is.
func (d *DFA) minimise() *DFA {
	class := make([]int32, len(d.States))
	for i, s := range d.States {
		if s.Accept {
			class[i] = 1
		}
	}
	count, cost := 0, 0
	for {
		if cost += len(d.States); cost > maxRefinements {
			d.Cost += refinement * cost
			return d
		}
		ids := map[string]int32{}
		next := make([]int32, len(class))
		var key []byte
		for i, s := range d.States {
			key = binary.AppendVarint(key[:0], int64(class[i]))
			var last Edge
			flush := func() {
				if last.Hi >= last.Lo && last.To > 0 {
					key = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(key, int64(last.Lo)), int64(last.Hi)), int64(last.To))
				}
			}
			for _, e := range s.Edges {
				if to := class[e.To] + 1; to == last.To && e.Lo == last.Hi+1 {
					last.Hi = e.Hi
				} else {
					flush()
					last = Edge{e.Lo, e.Hi, to}
				}
			}
			flush()
			id, ok := ids[string(key)]
			if !ok {
				id = int32(len(ids))
				ids[string(key)] = id
			}
			next[i] = id
		}
		class = next
		if len(ids) == count {
			break
		}
		count = len(ids)
	}
	out := &DFA{States: make([]State, count), Cost: d.Cost + refinement*cost}
	done := make([]bool, count)
	for i, s := range d.States { // class ids follow the order of states, so state 0 stays first
		if done[class[i]] {
			continue
		}
		done[class[i]] = true
		edges := slices.Clone(s.Edges)
		for j := range edges {
			edges[j].To = class[edges[j].To]
		}
		out.States[class[i]] = State{s.Accept, joined(edges)}
	}
	return out
}
