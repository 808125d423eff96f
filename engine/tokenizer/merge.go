package tokenizer

import "math"

// noRank is worse than any rank.
const noRank = math.MaxUint32

// pairTable finds the merge of two neighbouring tokens: open addressing, at most
// half full. It grows as it is filled, so that only real entries take memory.
type pairTable struct {
	keys    []uint64 // left+1 and right; 0 is empty
	results []mergeResult
	mask    uint64
	size    int
}

type mergeResult struct {
	rank uint32 // lower merges first
	id   int32
}

// newPairTable takes a capacity that is a power of two.
func newPairTable(capacity int) pairTable {
	return pairTable{
		keys:    make([]uint64, capacity),
		results: make([]mergeResult, capacity),
		mask:    uint64(capacity - 1),
	}
}

func pairKey(left, right int32) uint64 { return uint64(left+1)<<32 | uint64(uint32(right)) }

// slot returns where a key is or belongs.
func (p *pairTable) slot(key uint64) uint64 {
	h := key * 0x9e3779b97f4a7c15
	i := (h ^ h>>29) & p.mask
	for p.keys[i] != 0 && p.keys[i] != key {
		i = (i + 1) & p.mask
	}
	return i
}

// add enters a merge and reports whether the pair is new.
func (p *pairTable) add(left, right int32, r mergeResult) bool {
	if 2*p.size >= len(p.keys) {
		p.grow()
	}
	key := pairKey(left, right)
	i := p.slot(key)
	if p.keys[i] != 0 {
		return false
	}
	p.keys[i], p.results[i] = key, r
	p.size++
	return true
}

func (p *pairTable) grow() {
	larger := newPairTable(2 * len(p.keys))
	for i, key := range p.keys {
		if key != 0 {
			at := larger.slot(key)
			larger.keys[at], larger.results[at] = key, p.results[i]
		}
	}
	larger.size = p.size
	*p = larger
}

// find returns rank noRank if the pair does not merge.
func (p *pairTable) find(left, right int32) mergeResult {
	i := p.slot(pairKey(left, right))
	if p.keys[i] == 0 {
		return mergeResult{rank: noRank}
	}
	return p.results[i]
}

// shortPiece is the length up to which looking at every pair for each merge is
// faster than a heap.
const shortPiece = 48

// merge appends the tokens of a piece: starting from single bytes, the pair of
// lowest rank is merged, the leftmost of equals, until no pair merges.
func (t *Tokenizer) merge(ids []int32, piece string) []int32 {
	if len(piece) > shortPiece {
		return t.mergeLong(ids, piece)
	}
	var tokens [shortPiece]int32
	var pairs [shortPiece]mergeResult // pairs[i] is tokens[i] with tokens[i+1]
	n := len(piece)
	for i := range n {
		tokens[i] = t.bytes[piece[i]]
	}
	for i := range n - 1 {
		pairs[i] = t.merges.find(tokens[i], tokens[i+1])
	}
	for n > 1 {
		best, rank := 0, uint32(noRank)
		for i := range n - 1 {
			if pairs[i].rank < rank {
				best, rank = i, pairs[i].rank
			}
		}
		if rank == noRank {
			break
		}
		tokens[best] = pairs[best].id
		copy(tokens[best+1:n-1], tokens[best+2:n])
		copy(pairs[best:n-2], pairs[best+1:n-1])
		n--
		if best > 0 {
			pairs[best-1] = t.merges.find(tokens[best-1], tokens[best])
		}
		if best < n-1 {
			pairs[best] = t.merges.find(tokens[best], tokens[best+1])
		}
	}
	return append(ids, tokens[:n]...)
}

// node is a token of a long piece, in a list linked in both directions by index;
// -1 ends the list.
type node struct {
	id, previous, next int32
	pair               mergeResult // of the token with the next one
}

// mergeLong does the same as merge with a heap. An entry is a merge's rank and, in
// its lower half, the index of its left node, so that the least entry is the next
// merge. One that no longer holds is passed over when its turn comes.
func (t *Tokenizer) mergeLong(ids []int32, piece string) []int32 {
	nodes := make([]node, len(piece))
	for i := range nodes {
		nodes[i] = node{id: t.bytes[piece[i]], previous: int32(i) - 1, next: int32(i) + 1}
	}
	nodes[len(nodes)-1].next = -1
	heap := make([]uint64, 0, len(piece))
	// look finds the merge of a node with the next one and returns its entry.
	look := func(at int32) (entry uint64, ok bool) {
		n := &nodes[at]
		n.pair = mergeResult{rank: noRank}
		if n.next >= 0 {
			n.pair = t.merges.find(n.id, nodes[n.next].id)
		}
		return uint64(n.pair.rank)<<32 | uint64(at), n.pair.rank != noRank
	}
	for i := range int32(len(nodes)) {
		if entry, ok := look(i); ok {
			heap = append(heap, entry)
		}
	}
	for i := len(heap) / fanOut; i >= 0; i-- {
		sink(heap, i)
	}
	for len(heap) > 0 {
		at := int32(uint32(heap[0]))
		n := &nodes[at]
		current := n.pair.rank == uint32(heap[0]>>32)
		heap[0] = heap[len(heap)-1]
		heap = heap[:len(heap)-1]
		sink(heap, 0)
		if !current {
			continue
		}
		gone := &nodes[n.next]
		gone.pair.rank = noRank
		n.id, n.next = n.pair.id, gone.next
		if n.next >= 0 {
			nodes[n.next].previous = at
		}
		for _, changed := range [...]int32{at, n.previous} {
			if changed < 0 {
				continue
			}
			if entry, ok := look(changed); ok {
				heap = append(heap, entry)
				rise(heap, len(heap)-1)
			}
		}
	}
	for i := int32(0); i >= 0; i = nodes[i].next {
		ids = append(ids, nodes[i].id)
	}
	return ids
}

// fanOut is the number of children in the heap: four touch less memory than two.
const fanOut = 4

func rise(heap []uint64, i int) {
	for i > 0 {
		parent := (i - 1) / fanOut
		if heap[i] >= heap[parent] {
			return
		}
		heap[i], heap[parent] = heap[parent], heap[i]
		i = parent
	}
}

func sink(heap []uint64, i int) {
	for {
		least := i
		first := fanOut*i + 1
		for child := first; child < min(first+fanOut, len(heap)); child++ {
			if heap[child] < heap[least] {
				least = child
			}
		}
		if least == i {
			return
		}
		heap[i], heap[least] = heap[least], heap[i]
		i = least
	}
}
