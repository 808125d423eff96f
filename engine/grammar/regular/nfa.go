package regular

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Bounds of what a pattern is turned into.
const (
	maxNFA    = 20_000
	maxStates = 10_000
	maxWork   = 10_000_000 // visits of states while automata are built
)

type condition uint8

const (
	always condition = iota
	atBegin
	atEnd
)

// link leads to another state without taking a character.
type link struct {
	to   int32
	when condition
}

// nstate takes a character of its set and goes to another state, or follows links.
type nstate struct {
	set   set
	to    int32
	links []link
}

// compiler turns expressions into automata; what it spends is bounded for all of them together.
type compiler struct {
	states []nstate
	work   int
	failed error
}

func (c *compiler) state(s nstate) int32 {
	if len(c.states) >= maxNFA {
		c.failed = ErrTooComplex
		return 0
	}
	c.states = append(c.states, s)
	return int32(len(c.states) - 1)
}

func (c *compiler) split(to ...int32) int32 {
	s := nstate{}
	for _, t := range to {
		s.links = append(s.links, link{to: t})
	}
	return c.state(s)
}

// build returns the state from which e leads to next.
func (c *compiler) build(e *expression, next int32) int32 {
	if c.failed != nil {
		return 0
	}
	switch e.op {
	case opSet:
		return c.state(nstate{set: e.set, to: next})
	case opConcat:
		for _, sub := range slices.Backward(e.subs) {
			next = c.build(sub, next)
		}
		return next
	case opAlternate:
		var to []int32
		for _, sub := range e.subs {
			to = append(to, c.build(sub, next))
		}
		return c.split(to...)
	case opRepeat:
		return c.repeat(e, next)
	case opBegin:
		return c.state(nstate{links: []link{{next, atBegin}}})
	case opEnd:
		return c.state(nstate{links: []link{{next, atEnd}}})
	case opLook:
		c.failed = errors.New("lookahead inside a group is not supported")
	case opRest:
		return c.embed(e.rest, next)
	}
	return next
}

func (c *compiler) repeat(e *expression, next int32) int32 {
	if e.max < 0 {
		loop := c.split(next)
		body := c.build(e.subs[0], loop)
		if c.failed == nil {
			c.states[loop].links = append(c.states[loop].links, link{to: body})
		}
		next = loop
	} else {
		end := next
		for range e.max - e.min {
			next = c.split(c.build(e.subs[0], next), end)
			if c.failed != nil {
				return 0
			}
		}
	}
	for range e.min {
		next = c.build(e.subs[0], next)
		if c.failed != nil {
			return 0
		}
	}
	return next
}

// embed copies an automaton that reads the text to its end.
func (c *compiler) embed(d *DFA, next int32) int32 {
	first := int32(len(c.states))
	for range d.States {
		c.split()
	}
	for i, s := range d.States {
		for _, e := range s.Edges {
			edge := c.state(nstate{set: set{{e.Lo, e.Hi}}, to: first + e.To})
			if c.failed != nil {
				return 0
			}
			c.states[first+int32(i)].links = append(c.states[first+int32(i)].links, link{to: edge})
		}
		if s.Accept {
			c.states[first+int32(i)].links = append(c.states[first+int32(i)].links, link{next, atEnd})
		}
	}
	return first
}

// determinise returns the automaton of what leads from start to the state final.
func (c *compiler) determinise(start, final int32) (*DFA, error) {
	if c.failed != nil {
		return nil, c.failed
	}
	d := &subsets{compiler: c, final: final, useful: c.leadingTo(final), ids: map[string]int32{}, seen: make([]int, 2*len(c.states))}
	if d.classify(); c.work > maxWork {
		return nil, ErrTooComplex
	}
	d.closure([]int32{start}, true)
	d.intern()
	for i := 0; i < len(d.sets); i++ {
		row := make([]int32, len(d.members))
		for class := range d.members {
			row[class] = -1
			var to []int32
			for _, q := range d.sets[i] {
				if d.has[c.states[q].setID()][class] {
					to = append(to, c.states[q].to)
				}
			}
			c.work += len(d.sets[i]) + 1
			if len(to) > 0 && d.closure(to, false) {
				row[class] = d.intern()
			}
		}
		d.table = append(d.table, row)
		if c.work > maxWork || len(d.sets) > maxStates {
			return nil, ErrTooComplex
		}
	}
	return d.automaton().trim(), nil
}

// leadingTo marks the states from which final can be reached once a character was taken.
func (c *compiler) leadingTo(final int32) []bool {
	back := make([][]int32, len(c.states))
	for i, s := range c.states {
		if s.set != nil {
			back[s.to] = append(back[s.to], int32(i))
		}
		for _, l := range s.links {
			if l.when != atBegin {
				back[l.to] = append(back[l.to], int32(i))
			}
		}
	}
	useful := make([]bool, len(c.states))
	useful[final] = true
	for work := []int32{final}; len(work) > 0; {
		q := work[len(work)-1]
		work = work[:len(work)-1]
		for _, p := range back[q] {
			if !useful[p] {
				useful[p] = true
				work = append(work, p)
			}
		}
	}
	return useful
}

// setID is where the classes of a state's set are noted: see classify.
func (s *nstate) setID() int32 { return s.links[0].to }

// subsets is the state of determinise.
type subsets struct {
	*compiler
	final   int32
	useful  []bool
	members [][]span // by class of characters that no set tells apart
	has     [][]bool // by set and class
	ids     map[string]int32
	sets    [][]int32 // by state of the automaton: states that take a character
	accepts []bool
	table   [][]int32
	seen    []int // by state and whether the text must end, the round in which it was visited
	round   int

	current []int32
	accept  bool
}

// classify finds the classes of characters. The id of a state's set goes where states without a set have their links.
func (d *subsets) classify() {
	ids := map[string]int32{}
	var sets []set
	var cuts []span
	for i := range d.states {
		s := &d.states[i]
		if s.set == nil {
			continue
		}
		var key []byte
		for _, r := range s.set {
			key = binary.AppendVarint(binary.AppendVarint(key, int64(r.lo)), int64(r.hi))
		}
		id, ok := ids[string(key)]
		if !ok {
			id = int32(len(sets))
			ids[string(key)] = id
			sets = append(sets, s.set)
			for _, r := range s.set {
				cuts = append(cuts, span{r.lo, 0}, span{r.hi + 1, 0})
			}
		}
		s.links = []link{{to: id}}
	}
	slices.SortFunc(cuts, func(a, b span) int { return int(a.lo - b.lo) })
	cuts = slices.Compact(cuts)
	classes := map[string]int{}
	at := make([]int, len(sets)) // the span of each set that is looked at
	for i := 0; i+1 < len(cuts) && d.work <= maxWork; i++ {
		lo := cuts[i].lo
		key := make([]byte, len(sets))
		taken := false
		for j, s := range sets {
			for at[j] < len(s) && s[at[j]].hi < lo {
				at[j]++
			}
			if at[j] < len(s) && s[at[j]].lo <= lo {
				key[j], taken = 1, true
			}
		}
		d.work += len(sets)
		if !taken {
			continue
		}
		class, ok := classes[string(key)]
		if !ok {
			class = len(d.members)
			classes[string(key)] = class
			d.members = append(d.members, nil)
		}
		d.members[class] = append(d.members[class], span{lo, cuts[i+1].lo - 1})
	}
	d.has = make([][]bool, len(sets))
	for j := range sets {
		d.has[j] = make([]bool, len(d.members))
	}
	for key, class := range classes {
		for j := range sets {
			d.has[j][class] = key[j] == 1
		}
	}
}

// closure follows links from some states; it reports whether anything is left of them.
func (d *subsets) closure(from []int32, begin bool) bool {
	d.round++
	d.current, d.accept = d.current[:0], false
	var work []int32 // state*2, plus 1 where the text must end
	push := func(q int32) {
		if d.seen[q] != d.round {
			d.seen[q] = d.round
			work = append(work, q)
		}
	}
	for _, q := range from {
		push(2 * q)
	}
	for len(work) > 0 {
		q, ended := work[len(work)-1]/2, work[len(work)-1]%2
		work = work[:len(work)-1]
		d.work++
		s := &d.states[q]
		switch {
		case q == d.final:
			d.accept = true
		case s.set != nil:
			if ended == 0 && d.useful[q] {
				d.current = append(d.current, q)
			}
		default:
			for _, l := range s.links {
				switch {
				case l.when == atEnd:
					push(2*l.to + 1)
				case l.when == always || begin:
					push(2*l.to + ended)
				}
			}
		}
	}
	return d.accept || len(d.current) > 0
}

// intern returns the automaton's state for the last closure.
func (d *subsets) intern() int32 {
	slices.Sort(d.current)
	key := make([]byte, 0, 4*len(d.current)+1)
	for _, q := range d.current {
		key = binary.LittleEndian.AppendUint32(key, uint32(q))
	}
	if d.accept {
		key = append(key, 1)
	}
	id, ok := d.ids[string(key)]
	if !ok {
		id = int32(len(d.sets))
		d.ids[string(key)] = id
		d.sets = append(d.sets, slices.Clone(d.current))
		d.accepts = append(d.accepts, d.accept)
	}
	return id
}

// automaton spells the classes out.
func (d *subsets) automaton() *DFA {
	out := &DFA{States: make([]State, len(d.sets))}
	for i := range d.sets {
		var edges []Edge
		for class, to := range d.table[i] {
			if to < 0 {
				continue
			}
			for _, r := range d.members[class] {
				edges = append(edges, Edge{r.lo, r.hi, to})
			}
		}
		out.States[i] = State{d.accepts[i], joined(edges)}
	}
	return out
}
