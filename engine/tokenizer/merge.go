package tokenizer

import (
	"math"
	"math/bits"
)

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

// newPairTable makes room for a number of merges; it grows beyond that.
func newPairTable(size int) pairTable {
	capacity := 1 << bits.Len(uint(max(2*size, 8)-1))
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
	larger := newPairTable(len(p.keys))
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

// join returns what two neighbouring tokens merge to, given the bytes of both.
func (t *Tokenizer) join(left, right int32, whole string) mergeResult {
	if !t.ranked {
		return t.merges.find(left, right)
	}
	if len(whole) == 2 {
		id := t.doubles[int(whole[0])<<8|int(whole[1])]
		return mergeResult{rank: uint32(id), id: id} // -1 is noRank
	}
	if len(whole) <= t.longest {
		if id, ok := t.piece(whole); ok {
			return mergeResult{rank: uint32(id), id: id}
		}
	}
	return mergeResult{rank: noRank}
}

// shortPiece is the length up to which looking at every pair for each merge is
// faster than a heap.
const shortPiece = 48

// merge appends the tokens of a piece: starting from single bytes, the pair of
// lowest rank is merged, the leftmost of equals, until no pair merges.
func (t *Tokenizer) merge(ids []int32, piece string) []int32 {
	if len(piece) > shortPiece {
		m := merger{t: t, piece: piece}
		return m.merge(ids)
	}
	var tokens [shortPiece]int32
	var ends [shortPiece]uint8        // in piece
	var pairs [shortPiece]mergeResult // pairs[i] is tokens[i] with tokens[i+1]
	n := len(piece)
	for i := range n {
		tokens[i], ends[i] = t.bytes[piece[i]], uint8(i+1)
	}
	for i := range n - 1 {
		pairs[i] = t.join(tokens[i], tokens[i+1], piece[i:i+2])
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
		start := 0
		if best > 0 {
			start = int(ends[best-1])
		}
		copy(tokens[best+1:n-1], tokens[best+2:n])
		copy(ends[best:n-1], ends[best+1:n])
		copy(pairs[best:n-2], pairs[best+1:n-1])
		n--
		if best > 0 {
			before := 0
			if best > 1 {
				before = int(ends[best-2])
			}
			pairs[best-1] = t.join(tokens[best-1], tokens[best], piece[before:ends[best]])
		}
		if best < n-1 {
			pairs[best] = t.join(tokens[best], tokens[best+1], piece[start:ends[best+1]])
		}
	}
	return append(ids, tokens[:n]...)
}
