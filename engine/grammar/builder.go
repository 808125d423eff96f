package grammar

import (
	"errors"
	"math/bits"
	"slices"
)

// Errors of [Builder.Build].
var (
	// ErrTooLarge says that a grammar takes too many states.
	ErrTooLarge = errors.New("the grammar is too large")
	// ErrEmpty says that nothing at all would be allowed.
	ErrEmpty = errors.New("nothing can satisfy the grammar")
)

// maxNodes bounds a grammar; a node takes about 100 bytes.
const maxNodes = 250_000

// Node is a place in a grammar from which its rest is read. Grammars are written from their end to their beginning: what
// reads something is told what follows it.
type Node int32

// Return is the place at which a rule ends.
const Return Node = 0

// Rule is a part of a grammar that can be read from several places, and from within itself.
type Rule int32

type kind uint8

const (
	kindBytes  kind = iota // takes a byte along an edge
	kindSplit              // is all of its next places at once
	kindCall               // reads a rule, then what follows
	kindReturn             // ends the rule
)

type node struct {
	kind  kind
	meter int32 // of text that is counted, plus 1; 0 for none
	row   int32 // of the meter's table
	rule  Rule
	edges []edge // of kindBytes; in most nodes for different bytes
	next  []Node // of kindSplit; of kindCall the one place that follows
}

type edge struct {
	lo, hi byte
	counts bool // it completes a character
	to     Node
}

// Builder makes a program. The first error is kept and returned by Build.
type Builder struct {
	nodes  []node
	rules  []Node // where each begins, or -1
	meters []meter
	// metered is the size of their tables in bits.
	metered int64
	err     error
}

// NewBuilder returns an empty grammar.
func NewBuilder() *Builder { return &Builder{nodes: []node{{kind: kindReturn}}} }

func (b *Builder) node(n node) Node {
	if len(b.nodes) >= maxNodes {
		b.err = ErrTooLarge
		return Return
	}
	b.nodes = append(b.nodes, n)
	return Node(len(b.nodes) - 1)
}

// Size returns the number of places so far.
func (b *Builder) Size() int { return len(b.nodes) }

// Err returns ErrTooLarge as soon as that is known.
func (b *Builder) Err() error { return b.err }

// Rule declares a rule, to be defined later.
func (b *Builder) Rule() Rule {
	b.rules = append(b.rules, -1)
	return Rule(len(b.rules) - 1)
}

// Define says where a rule begins.
func (b *Builder) Define(r Rule, start Node) { b.rules[r] = start }

// Call reads a rule.
func (b *Builder) Call(r Rule, next Node) Node {
	return b.node(node{kind: kindCall, rule: r, next: []Node{next}})
}

// Literal reads a text.
func (b *Builder) Literal(text string, next Node) Node {
	for i := len(text) - 1; i >= 0; i-- {
		next = b.node(node{edges: []edge{{lo: text[i], hi: text[i], to: next}}})
	}
	return next
}

// Token reads a control token.
func (b *Builder) Token(id int32, next Node) Node { return b.Literal(controlText(id), next) }

// Choice reads any one of several; of none, nothing is possible.
func (b *Builder) Choice(of ...Node) Node {
	if len(of) == 1 {
		return of[0]
	}
	return b.node(node{kind: kindSplit, next: of})
}

// Forward is a choice whose places are added later by Link, which makes loops.
func (b *Builder) Forward() Node { return b.node(node{kind: kindSplit}) }

// Link adds a place to a choice made by Forward.
func (b *Builder) Link(forward, to Node) {
	if b.err == nil {
		b.nodes[forward].next = append(b.nodes[forward].next, to)
	}
}

// Anything reads ordinary tokens until what follows begins with a control token.
func (b *Builder) Anything(next Node) Node {
	either := b.Forward()
	b.Link(either, b.node(node{edges: []edge{{lo: 0, hi: controlByte - 1, to: either}}}))
	b.Link(either, next)
	return either
}

// Texts reads one of several texts.
func (b *Builder) Texts(texts []string, next Node) Node {
	texts = slices.Compact(slices.Sorted(slices.Values(texts)))
	var build func(texts []string, at int) Node
	build = func(texts []string, at int) Node {
		if len(texts) == 1 {
			return b.Literal(texts[0][at:], next)
		}
		var ends []Node
		if len(texts) > 0 && len(texts[0]) == at {
			ends = append(ends, next)
			texts = texts[1:]
		}
		fork := node{}
		for len(texts) > 0 {
			c := texts[0][at]
			n := slices.IndexFunc(texts, func(s string) bool { return s[at] != c })
			if n < 0 {
				n = len(texts)
			}
			fork.edges = append(fork.edges, edge{lo: c, hi: c, to: build(texts[:n], at+1)})
			texts = texts[n:]
		}
		if len(fork.edges) > 0 || len(ends) == 0 {
			ends = append(ends, b.node(fork))
		}
		return b.Choice(ends...)
	}
	return build(texts, 0)
}

// Program is a finished grammar, immutable and safe for concurrent use.
type Program struct {
	nodes   []node
	meters  []meter
	rules   []Node
	start   Node
	classes [256]uint8
	// examples has one byte of each class that no edge tells apart.
	examples []byte
}

// Build returns the program that begins with a place and ends where that place's rule does.
func (b *Builder) Build(start Node) (*Program, error) {
	if b.err != nil {
		return nil, b.err
	}
	useful := b.prune()
	if !useful[start] {
		return nil, ErrEmpty
	}
	p := &Program{nodes: b.nodes, meters: b.meters, rules: b.rules, start: start}
	var cut [257]bool
	for _, n := range b.nodes {
		for _, e := range n.edges {
			cut[e.lo], cut[int(e.hi)+1] = true, true
		}
	}
	for c := range 256 {
		if c == 0 || cut[c] {
			p.examples = append(p.examples, byte(c))
		}
		p.classes[c] = uint8(len(p.examples) - 1)
	}
	return p, nil
}

// Empty reports whether nothing can be read from a place.
func (b *Builder) Empty(start Node) bool { return b.err == nil && !b.useful()[start] }

// useful marks the places from which the end of their rule can be reached.
func (b *Builder) useful() []bool {
	useful := make([]bool, len(b.nodes))
	useful[Return] = true
	back := make([][]Node, len(b.nodes)) // who waits for a node
	starts := make(map[Node][]Node)      // who calls the rule that begins there
	var work []Node
	mark := func(n Node) {
		if !useful[n] && b.possible(n, useful) {
			useful[n] = true
			work = append(work, n)
		}
	}
	for i, n := range b.nodes {
		for _, e := range n.edges {
			back[e.to] = append(back[e.to], Node(i))
		}
		for _, to := range n.next {
			back[to] = append(back[to], Node(i))
		}
		if n.kind == kindCall {
			if start := b.rules[n.rule]; start >= 0 {
				starts[start] = append(starts[start], Node(i))
			}
		}
	}
	for work = append(work, Return); len(work) > 0; {
		n := work[len(work)-1]
		work = work[:len(work)-1]
		for _, from := range back[n] {
			mark(from)
		}
		for _, from := range starts[n] {
			mark(from)
		}
	}
	return useful
}

func (b *Builder) possible(n Node, useful []bool) bool {
	p := &b.nodes[n]
	switch p.kind {
	case kindBytes:
		return slices.ContainsFunc(p.edges, func(e edge) bool { return useful[e.to] })
	case kindSplit:
		return slices.ContainsFunc(p.next, func(to Node) bool { return useful[to] })
	case kindCall:
		start := b.rules[p.rule]
		return start >= 0 && useful[start] && useful[p.next[0]]
	}
	return true
}

// prune removes what leads to places that are not useful.
func (b *Builder) prune() []bool {
	useful := b.useful()
	for i := range b.nodes {
		n := &b.nodes[i]
		n.edges = slices.DeleteFunc(n.edges, func(e edge) bool { return !useful[e.to] })
		if n.kind == kindSplit {
			n.next = slices.DeleteFunc(n.next, func(to Node) bool { return !useful[to] })
		}
	}
	return useful
}

// size is about how many bytes a program takes.
func (p *Program) size() int {
	total := 0
	for i := range p.nodes {
		total += 80 + 16*len(p.nodes[i].edges) + 4*len(p.nodes[i].next)
	}
	for i := range p.meters {
		total += len(p.meters[i].alive) * bits.UintSize / 8
	}
	return total
}
