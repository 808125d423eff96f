package grammar

import (
	"encoding/binary"
	"slices"
	"sync"
)

// Bounds of what a grammar keeps and of what one mask may cost. Past the first its tables begin anew. Past the second what is
// not known yet counts as not allowed: only hostile grammars get there, and something is allowed always, since every byte is a
// token. Past the others ways to read a text are dropped.
const (
	maxKept    = 4 << 20 // bytes
	maxFuel    = 200_000 // positions
	maxStacks  = 64      // different stacks in one state
	maxThreads = 64
	maxDepth   = 64 // calls that a single byte may lead into
)

// position is a node and, where text is measured, the characters so far.
type position uint64

func at(n Node, count int32) position { return position(uint64(uint32(n))<<32 | uint64(uint32(count))) }

func (p position) node() Node   { return Node(p >> 32) }
func (p position) count() int32 { return int32(uint32(p)) }

// local is a set of positions that share a stack. Locals with the same positions are one.
type local struct {
	id        int32
	positions []position
	alone     *state // nothing but this set, on a stack of which nothing is known
	entry     *entry // its tokens, once they are known
}

// frame is a place of return on a stack of which only the top is known.
type frame struct {
	id     int32
	parent *frame
	ret    Node
	depth  int32
}

// group is a set of positions on a stack.
type group struct {
	local *local
	stack *frame
}

// state is all ways to have read some bytes.
type state struct {
	groups []group
	exit   bool     // one way is to have ended the rule at the bottom of the stack
	next   []*state // by class of bytes; nil where it is not known yet
}

// dead is the state of bytes that are not possible.
var dead = &state{}

// entry is the tokens that a local allows.
type entry struct {
	mask []uint64 // may be shared
	ids  []int32  // further ones
	ends *places  // where the rule may end inside a token
	// partial says that fuel ran out.
	partial bool
}

// places are nodes of the trie.
type places struct{ nodes []int32 }

// ended names what follows the end of a rule in the rule that called it.
type ended struct {
	at  *places
	ret Node
}

// Grammar is a program for a vocabulary. It is safe for concurrent use.
type Grammar struct {
	program    *Program
	vocabulary *Vocabulary

	mu      sync.Mutex
	locals  map[string]*local
	frames  map[frameKey]*frame
	states  map[string]*state
	after   map[Node]*state
	follow  map[ended]*entry
	strings map[[2]int32]*entry
	lastID  int32
	kept    int // about how many bytes the tables take
	fuel    int // positions that the mask under way may still look at

	// Of the step under way.
	key     []byte
	pending map[*frame][]position
	seen    map[visit]struct{}
	order   []*frame
	exit    bool
	path    [maxToken + 1]*state
}

type frameKey struct {
	parent *frame
	ret    Node
}

type visit struct {
	at    position
	stack *frame
}

// New joins a program with a vocabulary.
func New(p *Program, v *Vocabulary) *Grammar {
	g := &Grammar{program: p, vocabulary: v, pending: map[*frame][]position{}, seen: map[visit]struct{}{}}
	g.reset()
	return g
}

// reset forgets what was kept. What matchers hold stays valid.
func (g *Grammar) reset() {
	g.locals, g.frames, g.states = map[string]*local{}, map[frameKey]*frame{}, map[string]*state{}
	g.after, g.follow, g.strings = map[Node]*state{}, map[ended]*entry{}, map[[2]int32]*entry{}
	g.kept = 0
}

// Size is about how many bytes a grammar takes, what it keeps included.
func (g *Grammar) Size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.program.size() + g.kept
}

func (g *Grammar) id() int32 {
	g.lastID++
	return g.lastID
}

func (g *Grammar) push(parent *frame, ret Node) *frame {
	key := frameKey{parent, ret}
	f := g.frames[key]
	if f == nil {
		f = &frame{id: g.id(), parent: parent, ret: ret, depth: 1}
		if parent != nil {
			f.depth = parent.depth + 1
		}
		g.frames[key] = f
		g.kept += 64
	}
	return f
}

// close adds a position, or where it leads without a byte, to the step under way.
func (g *Grammar) close(p position, stack *frame) {
	n := &g.program.nodes[p.node()]
	v := visit{p, stack}
	if _, ok := g.seen[v]; ok {
		return
	}
	g.seen[v] = struct{}{}
	switch n.kind {
	case kindBytes:
		positions, ok := g.pending[stack]
		if !ok {
			g.order = append(g.order, stack)
		}
		g.pending[stack] = append(positions, p)
	case kindSplit:
		for _, to := range n.next {
			g.close(at(to, 0), stack)
		}
	case kindCall:
		ret := n.next[0]
		if g.program.nodes[ret].kind != kindReturn { // else what the rule returns to would return at once
			if stack != nil && stack.depth >= maxDepth {
				return
			}
			stack = g.push(stack, ret)
		}
		g.close(at(g.program.rules[n.rule], 0), stack)
	case kindReturn:
		if stack == nil {
			g.exit = true
			return
		}
		g.close(at(stack.ret, 0), stack.parent)
	}
}

// begin starts a step, finish returns the state that it led to.
func (g *Grammar) begin() {
	clear(g.pending)
	clear(g.seen)
	g.order, g.exit = g.order[:0], false
}

func (g *Grammar) finish() *state {
	g.fuel -= len(g.seen)
	if len(g.order) == 0 && !g.exit {
		return dead
	}
	var groups []group
	for _, f := range g.order[:min(len(g.order), maxStacks)] {
		groups = append(groups, group{g.local(g.pending[f]), f})
	}
	slices.SortFunc(groups, func(a, b group) int {
		if a.local != b.local {
			return int(a.local.id - b.local.id)
		}
		return int(a.stack.order() - b.stack.order())
	})
	return g.state(groups, g.exit)
}

func (f *frame) order() int32 {
	if f == nil {
		return 0
	}
	return f.id
}

func (g *Grammar) local(positions []position) *local {
	slices.Sort(positions)
	g.key = g.key[:0]
	for _, p := range positions {
		g.key = binary.LittleEndian.AppendUint64(g.key, uint64(p))
	}
	l := g.locals[string(g.key)]
	if l == nil {
		l = &local{id: g.id(), positions: slices.Clone(positions)}
		g.locals[string(g.key)] = l
		g.kept += 128 + 2*len(g.key)
	}
	return l
}

func (g *Grammar) state(groups []group, exit bool) *state {
	g.key = g.key[:0]
	for _, p := range groups {
		g.key = binary.LittleEndian.AppendUint32(g.key, uint32(p.local.id))
		g.key = binary.LittleEndian.AppendUint32(g.key, uint32(p.stack.order()))
	}
	if exit {
		g.key = append(g.key, 1)
	}
	s := g.states[string(g.key)]
	if s == nil {
		s = &state{groups: groups, exit: exit, next: make([]*state, len(g.program.examples))}
		g.states[string(g.key)] = s
		g.kept += 128 + 3*len(g.key) + 8*len(s.next)
	}
	return s
}

// alone returns the state of a local on an unknown stack.
func (g *Grammar) alone(l *local) *state {
	if l.alone == nil {
		l.alone = g.state([]group{{local: l}}, false)
	}
	return l.alone
}

// following returns the state in which a rule goes on at a place of return.
func (g *Grammar) following(ret Node) *state {
	s := g.after[ret]
	if s == nil {
		g.begin()
		g.close(at(ret, 0), nil)
		s = g.finish()
		g.after[ret] = s
	}
	return s
}

// step returns the state after a byte.
func (g *Grammar) step(s *state, b byte) *state {
	class := g.program.classes[b]
	if to := s.next[class]; to != nil {
		return to
	}
	to := g.move(s, g.program.examples[class])
	s.next[class] = to
	return to
}

func (g *Grammar) move(s *state, b byte) *state {
	g.begin()
	for _, p := range s.groups {
		for _, from := range p.local.positions {
			n := &g.program.nodes[from.node()]
			for i := range n.edges {
				if e := &n.edges[i]; e.lo <= b && b <= e.hi {
					if count, ok := g.program.measured(n, e, from.count()); ok {
						g.close(at(e.to, count), p.stack)
					}
				}
			}
		}
	}
	return g.finish()
}

// measured returns the count of characters after an edge, and whether the text may go there.
func (p *Program) measured(n *node, e *edge, count int32) (int32, bool) {
	if n.meter <= 0 {
		return 0, true
	}
	m := &p.meters[n.meter-1]
	if e.to == Return {
		return 0, count >= m.min && (m.max < 0 || count <= m.max)
	}
	if e.counts {
		count = m.count(count)
	}
	return count, m.live(p.nodes[e.to].row, count)
}
