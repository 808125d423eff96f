package grammar

// meter counts the characters of a text and knows from which counts the text can still end within its bounds.
type meter struct {
	min, max int32 // max is -1 for no bound
	levels   int32 // where there is no bound, the count that stands for all further ones
	words    int32 // of a row
	// alive is nil for any string: there is room for as many characters as there is room for, and for the one that was begun
	// in all rows but the first.
	alive []uint64
	// far is how many characters the shortest end may be away.
	far int32
	// body is the node inside a JSON string after which any string may follow, or -1.
	body Node
}

// maxMeter bounds the tables of all meters in bits.
const maxMeter = 16 << 20

// count returns the count after another character.
func (m *meter) count(count int32) int32 {
	if m.max < 0 {
		return min(count+1, m.levels)
	}
	return count + 1
}

func (m *meter) live(row, count int32) bool {
	if m.alive == nil {
		return m.max < 0 || count < m.max || count == m.max && row == 0
	}
	return count <= m.levels && m.alive[row*m.words+count>>6]>>(count&63)&1 != 0
}

func (m *meter) revive(row, count int32) { m.alive[row*m.words+count>>6] |= 1 << (count & 63) }

// measure bounds the length of the text that the nodes from first on read. All its ends lead to Return.
func (b *Builder) measure(first Node, body Node, low, high int) {
	if b.err != nil {
		return
	}
	rows := int32(len(b.nodes)) - int32(first)
	m := meter{min: int32(low), max: int32(high), levels: int32(max(low, high)), body: body}
	m.words = m.levels>>6 + 1
	for i := range rows {
		b.nodes[int32(first)+i].meter, b.nodes[int32(first)+i].row = int32(len(b.meters))+1, i
	}
	if first == body { // any string
		m.levels, m.far = m.min, 1
		b.meters = append(b.meters, m)
		return
	}
	if b.metered += int64(rows) * int64(m.words) * 64; b.metered > maxMeter {
		b.err = ErrTooLarge
		return
	}
	m.alive = make([]uint64, int(rows)*int(m.words))
	order := b.innerOrder(first)
	for count := m.levels; count >= 0; count-- {
		// Where counts saturate a character leads to the same level, so what is alive spreads until nothing changes.
		for changed := true; changed; {
			changed = false
			for _, n := range order {
				row := b.nodes[n].row
				if !m.live(row, count) && b.canEnd(&m, n, count) {
					m.revive(row, count)
					changed = true
				}
			}
			changed = changed && high < 0 && count == m.levels
		}
	}
	m.far = b.farthest(first)
	b.meters = append(b.meters, m)
}

// canEnd reports whether one step from a node leads to where the text can still end in bounds.
func (b *Builder) canEnd(m *meter, n Node, count int32) bool {
	for _, e := range b.nodes[n].edges {
		switch {
		case e.to == Return:
			if count >= m.min && (m.max < 0 || count <= m.max) {
				return true
			}
		case e.counts:
			if m.live(b.nodes[e.to].row, m.count(count)) {
				return true
			}
		case m.live(b.nodes[e.to].row, count):
			return true
		}
	}
	return false
}

// innerOrder lists nodes such that those inside a character come before what leads to them.
func (b *Builder) innerOrder(first Node) []Node {
	var order []Node
	seen := make([]bool, len(b.nodes)-int(first))
	var visit func(n Node)
	visit = func(n Node) {
		if n == Return || seen[n-first] {
			return
		}
		seen[n-first] = true
		for _, e := range b.nodes[n].edges {
			if !e.counts {
				visit(e.to)
			}
		}
		order = append(order, n)
	}
	for n := first; int(n) < len(b.nodes); n++ {
		visit(n)
	}
	return order
}

// farthest returns the most characters that the shortest end is away from any node.
func (b *Builder) farthest(first Node) int32 {
	away := map[Node]int32{}
	order := b.innerOrder(first)
	for changed := true; changed; {
		changed = false
		for _, n := range order {
			for _, e := range b.nodes[n].edges {
				d, ok := away[e.to]
				if e.to == Return {
					d, ok = 0, true
				}
				if e.counts {
					d++
				}
				if old, known := away[n]; ok && (!known || d < old) {
					away[n], changed = d, true
				}
			}
		}
	}
	most := int32(0)
	for _, d := range away {
		most = max(most, d)
	}
	return most
}
