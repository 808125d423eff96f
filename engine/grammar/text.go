package grammar

import (
	"fmt"
	"unicode/utf8"

	"github.com/gptoss/gptoss-operator/engine/grammar/regular"
)

// String is a rule that reads a JSON string of low to high characters, without its first quote; high may be -1.
func (b *Builder) String(low, high int) Rule {
	r := b.Rule()
	first := Node(len(b.nodes))
	body := b.stringBody()
	b.define(r, body, first, body, low, high)
	return r
}

// Quoted is a rule that reads a JSON string whose text is in a language, without its first quote. Where the language is
// bound to something, characters are written as they are, or in JSON's shortest escape if they need one.
func (b *Builder) Quoted(d *regular.DFA, low, high int) Rule {
	r := b.Rule()
	first := Node(len(b.nodes))
	body := Node(-1)
	bases := make([]Node, len(d.States))
	for i := range d.States {
		if d.Universal(int32(i)) {
			if body < 0 {
				body = b.stringBody()
			}
			bases[i] = body
		} else {
			bases[i] = b.node(node{})
		}
	}
	for i, s := range d.States {
		if bases[i] == body || b.err != nil {
			continue
		}
		w := writer{b: b, from: bases[i], escape: true}
		for _, e := range s.Edges {
			w.runes(e.Lo, e.Hi, bases[e.To])
		}
		if s.Accept {
			b.addEdge(bases[i], edge{lo: '"', hi: '"', to: Return})
		}
	}
	b.define(r, bases[0], first, body, low, high)
	return r
}

// define ends a rule that reads text.
func (b *Builder) define(r Rule, start, first, body Node, low, high int) {
	if low > 0 || high >= 0 {
		b.measure(first, body, low, high)
		if m := len(b.meters) - 1; b.err == nil && (!b.meters[m].live(b.nodes[start].row, 0) || high >= 0 && low > high) {
			start = b.Choice() // nothing is as long as that
		}
	} else if b.err == nil && body >= 0 {
		b.meters = append(b.meters, meter{max: -1, body: body})
		b.nodes[body].meter = -int32(len(b.meters)) // known as a body, but not counted
	}
	b.Define(r, start)
}

// Raw is a rule that reads a text of a language as it is.
func (b *Builder) Raw(d *regular.DFA) Rule {
	r := b.Rule()
	bases := make([]Node, len(d.States))
	for i := range d.States {
		bases[i] = b.node(node{})
	}
	starts := make([]Node, len(d.States))
	for i, s := range d.States {
		starts[i] = bases[i]
		if s.Accept {
			starts[i] = b.Choice(bases[i], Return)
		}
	}
	for i, s := range d.States {
		if b.err != nil {
			break
		}
		w := writer{b: b, from: bases[i]}
		for _, e := range s.Edges {
			w.runes(e.Lo, e.Hi, starts[e.To])
		}
	}
	b.Define(r, starts[0])
	return r
}

func (b *Builder) addEdge(n Node, e edge) {
	if b.err == nil {
		b.nodes[n].edges = append(b.nodes[n].edges, e)
	}
}

// stringBody reads the inside of any JSON string and its last quote. Escaped surrogates come in pairs.
func (b *Builder) stringBody() Node {
	body := b.node(node{})
	w := writer{b: b, from: body}
	w.runes(' ', '!', body)
	w.runes('#', '[', body)
	w.runes(']', utf8.MaxRune, body)
	hex := func(next Node, counts bool) Node {
		n := b.node(node{})
		for _, r := range [][2]byte{{'0', '9'}, {'A', 'F'}, {'a', 'f'}} {
			b.addEdge(n, edge{lo: r[0], hi: r[1], counts: counts, to: next})
		}
		return n
	}
	span := func(n Node, to Node, ranges ...string) {
		for _, r := range ranges {
			b.addEdge(n, edge{lo: r[0], hi: r[1], to: to})
		}
	}
	last := hex(body, true)
	third := hex(last, false)
	second := hex(third, false)
	lowSecond := b.node(node{})
	span(lowSecond, third, "cf", "CF")
	lowFirst := b.node(node{})
	span(lowFirst, lowSecond, "dd", "DD")
	low := b.Literal(`\u`, lowFirst)
	highSecond := b.node(node{})
	span(highSecond, third, "07")
	span(highSecond, hex(hex(low, false), false), "89", "ab", "AB")
	first := b.node(node{})
	span(first, second, "09", "ac", "AC", "ef", "EF")
	span(first, highSecond, "dd", "DD")
	escape := b.node(node{})
	for _, c := range []byte(`"\/bfnrt`) {
		b.addEdge(escape, edge{lo: c, hi: c, counts: true, to: body})
	}
	span(escape, first, "uu")
	b.addEdge(body, edge{lo: '\\', hi: '\\', to: escape})
	b.addEdge(body, edge{lo: '"', hi: '"', to: Return})
	return body
}

// writer adds the UTF-8 sequences of characters to a node.
type writer struct {
	b      *Builder
	from   Node
	escape bool // as in JSON strings
	inner  map[innerKey]Node
	tails  map[tailKey]Node
}

// innerKey names the node behind a byte, tailKey the one before so many bytes of continuation.
type (
	innerKey struct {
		from Node
		b    byte
	}
	tailKey struct {
		to   Node
		left int
	}
)

// runes adds the characters from lo to hi; surrogates are left out.
func (w *writer) runes(lo, hi rune, to Node) {
	for _, c := range w.escapes() {
		if c >= lo && c <= hi {
			w.sequence(escapeText(c), to)
		}
	}
	if w.escape {
		for _, part := range [][2]rune{{' ', '!'}, {'#', '['}, {']', 0x7f}} {
			w.plain(max(lo, part[0]), min(hi, part[1]), to)
		}
		lo = max(lo, 0x80)
	}
	for _, part := range [][2]rune{{0, 0x7f}, {0x80, 0x7ff}, {0x800, 0xd7ff}, {0xe000, 0xffff}, {0x10000, utf8.MaxRune}} {
		w.plain(max(lo, part[0]), min(hi, part[1]), to)
	}
}

func (w *writer) escapes() []rune {
	if !w.escape {
		return nil
	}
	out := make([]rune, 0, 34)
	for c := range rune(' ') {
		out = append(out, c)
	}
	return append(out, '"', '\\')
}

// escapeText is how encoders commonly write a character that may not stand in a JSON string.
func escapeText(c rune) string {
	switch c {
	case '"', '\\':
		return `\` + string(c)
	case '\b':
		return `\b`
	case '\f':
		return `\f`
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	return fmt.Sprintf(`\u%04x`, c)
}

// plain adds characters whose encodings have one length.
func (w *writer) plain(lo, hi rune, to Node) {
	if lo > hi {
		return
	}
	var first, last [utf8.UTFMax]byte
	n := utf8.EncodeRune(first[:], lo)
	utf8.EncodeRune(last[:], hi)
	w.between(w.from, first[:n], last[:n], to)
}

// between adds the sequences from lo to hi, which have the same length.
func (w *writer) between(from Node, lo, hi []byte, to Node) {
	if len(lo) == 1 {
		w.b.addEdge(from, edge{lo: lo[0], hi: hi[0], counts: true, to: to})
		return
	}
	if lo[0] == hi[0] {
		if allOf(lo[1:], 0x80) && allOf(hi[1:], 0xbf) {
			w.b.addEdge(from, edge{lo: lo[0], hi: lo[0], to: w.tail(to, len(lo)-1)})
			return
		}
		w.between(w.step(from, lo[0]), lo[1:], hi[1:], to)
		return
	}
	first, last := lo[0], hi[0]
	if !allOf(lo[1:], 0x80) {
		w.between(w.step(from, first), lo[1:], filled(len(lo)-1, 0xbf), to)
		first++
	}
	if !allOf(hi[1:], 0xbf) {
		w.between(w.step(from, last), filled(len(lo)-1, 0x80), hi[1:], to)
		last--
	}
	if first <= last {
		w.b.addEdge(from, edge{lo: first, hi: last, to: w.tail(to, len(lo)-1)})
	}
}

func allOf(bytes []byte, want byte) bool {
	for _, b := range bytes {
		if b != want {
			return false
		}
	}
	return true
}

func filled(n int, with byte) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = with
	}
	return out
}

// tail reads so many bytes of continuation, whatever they are.
func (w *writer) tail(to Node, left int) Node {
	if left == 0 {
		return to
	}
	if n, ok := w.tails[tailKey{to, left}]; ok {
		return n
	}
	n := w.b.node(node{edges: []edge{{lo: 0x80, hi: 0xbf, counts: left == 1, to: w.tail(to, left-1)}}})
	if w.tails == nil {
		w.tails = map[tailKey]Node{}
	}
	w.tails[tailKey{to, left}] = n
	return n
}

// step returns the node behind a byte, of which there is one only.
func (w *writer) step(from Node, b byte) Node {
	key := innerKey{from, b}
	if n, ok := w.inner[key]; ok {
		return n
	}
	n := w.b.node(node{})
	w.b.addEdge(from, edge{lo: b, hi: b, to: n})
	if w.inner == nil {
		w.inner = map[innerKey]Node{}
	}
	w.inner[key] = n
	return n
}

// sequence adds one escape.
func (w *writer) sequence(text string, to Node) {
	at := w.from
	for i := range len(text) - 1 {
		at = w.step(at, text[i])
	}
	c := text[len(text)-1]
	w.b.addEdge(at, edge{lo: c, hi: c, counts: true, to: to})
}
