package tokenizer

// merger does what Tokenizer.merge does in O(n log n). An entry of its heap is a
// merge's rank and, in the lower half, the index of its left node, so that the least
// entry is the next merge. One that no longer holds is passed over when its turn
// comes.
type merger struct {
	t     *Tokenizer
	piece string
	nodes []node
	heap  []uint64
	steps int // pairs looked up and entries moved, for the test that bounds them
}

// node is a token, in a list linked in both directions by index; -1 ends it. Its
// index is where its bytes begin in the piece.
type node struct {
	id, previous, next int32
	pair               mergeResult // of the token with the next one
}

func (m *merger) merge(ids []int32) []int32 {
	m.nodes = make([]node, len(m.piece))
	for i := range m.nodes {
		m.nodes[i] = node{id: m.t.bytes[m.piece[i]], previous: int32(i) - 1, next: int32(i) + 1}
	}
	m.nodes[len(m.nodes)-1].next = -1
	m.heap = make([]uint64, 0, len(m.piece))
	for i := range int32(len(m.nodes)) {
		if entry, ok := m.look(i); ok {
			m.heap = append(m.heap, entry)
		}
	}
	for i := len(m.heap) / fanOut; i >= 0; i-- {
		m.sink(i)
	}
	for len(m.heap) > 0 {
		m.next()
	}
	for i := int32(0); i >= 0; i = m.nodes[i].next {
		ids = append(ids, m.nodes[i].id)
	}
	return ids
}

// look finds the merge of a node with the next one and returns its entry.
func (m *merger) look(at int32) (entry uint64, ok bool) {
	m.steps++
	n := &m.nodes[at]
	n.pair = mergeResult{rank: noRank}
	if n.next >= 0 {
		right := &m.nodes[n.next]
		end := int(right.next)
		if end < 0 {
			end = len(m.piece)
		}
		n.pair = m.t.join(n.id, right.id, m.piece[at:end])
	}
	return uint64(n.pair.rank)<<32 | uint64(at), n.pair.rank != noRank
}

// next takes the least entry and, if it still holds, merges its pair.
func (m *merger) next() {
	rank, at := uint32(m.heap[0]>>32), int32(uint32(m.heap[0]))
	last := len(m.heap) - 1
	m.heap[0] = m.heap[last]
	m.heap = m.heap[:last]
	m.sink(0)
	n := &m.nodes[at]
	if n.pair.rank != rank {
		return
	}
	gone := &m.nodes[n.next]
	gone.pair.rank = noRank
	n.id, n.next = n.pair.id, gone.next
	if n.next >= 0 {
		m.nodes[n.next].previous = at
	}
	for _, changed := range [...]int32{at, n.previous} {
		if changed < 0 {
			continue
		}
		if entry, ok := m.look(changed); ok {
			m.heap = append(m.heap, entry)
			m.rise(len(m.heap) - 1)
		}
	}
}

// fanOut is the number of children in the heap: four touch less memory than two.
const fanOut = 4

func (m *merger) rise(i int) {
	for i > 0 {
		m.steps++
		parent := (i - 1) / fanOut
		if m.heap[i] >= m.heap[parent] {
			return
		}
		m.heap[i], m.heap[parent] = m.heap[parent], m.heap[i]
		i = parent
	}
}

func (m *merger) sink(i int) {
	for {
		m.steps++
		least := i
		first := fanOut*i + 1
		for child := first; child < min(first+fanOut, len(m.heap)); child++ {
			if m.heap[child] < m.heap[least] {
				least = child
			}
		}
		if least == i {
			return
		}
		m.heap[i], m.heap[least] = m.heap[least], m.heap[i]
		i = least
	}
}
