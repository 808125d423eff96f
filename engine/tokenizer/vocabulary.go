package tokenizer

import (
	"hash/maphash"
	"math/bits"
)

// vocabulary finds ordinary tokens by their bytes: open addressing, at most half
// full. The hash is seeded, so that no file can be made for its slots to clash.
type vocabulary struct {
	seed  maphash.Seed
	slots []vocabularySlot
	used  int
}

// vocabularySlot is an id plus one in the lower bits and a part of the hash, the
// tag, in the upper ones: a token's bytes are looked at only where they most likely
// are the ones sought. 0 is empty. Four bytes, because time goes into cache misses.
type vocabularySlot uint32

const (
	slotBits                = 19 // for ids up to maxID
	slotMask                = 1<<slotBits - 1
	slotGone vocabularySlot = slotMask // a token was taken out
)

// newVocabulary makes room for a number of tokens; it grows beyond that.
func newVocabulary(size int) vocabulary {
	return vocabulary{
		seed:  maphash.MakeSeed(),
		slots: make([]vocabularySlot, 1<<bits.Len(uint(max(2*size, 8)-1))),
	}
}

// find returns the id of a token, given the bytes of every id, and its slot.
func (v *vocabulary) find(tokens [][]byte, token string) (id int32, at uint64, ok bool) {
	h := maphash.String(v.seed, token)
	mask := uint64(len(v.slots) - 1)
	tag := uint32(h>>32) &^ slotMask
	for at = h & mask; ; at = (at + 1) & mask {
		s := v.slots[at]
		if s == 0 {
			return 0, at, false
		}
		if uint32(s)&^slotMask != tag || s == slotGone {
			continue
		}
		if id = int32(s&slotMask) - 1; string(tokens[id]) == token {
			return id, at, true
		}
	}
}

// add enters a token that is not there yet.
func (v *vocabulary) add(tokens [][]byte, id int32) {
	if 2*v.used >= len(v.slots) {
		v.grow(tokens)
	}
	v.put(tokens[id], id)
}

func (v *vocabulary) put(token []byte, id int32) {
	h := maphash.Bytes(v.seed, token)
	mask := uint64(len(v.slots) - 1)
	at := h & mask
	for v.slots[at] != 0 {
		at = (at + 1) & mask
	}
	v.slots[at] = vocabularySlot(uint32(h>>32)&^slotMask | uint32(id+1))
	v.used++
}

func (v *vocabulary) grow(tokens [][]byte) {
	old := v.slots
	v.slots, v.used = make([]vocabularySlot, 2*len(old)), 0
	for _, s := range old {
		if s != 0 && s != slotGone {
			id := int32(s&slotMask) - 1
			v.put(tokens[id], id)
		}
	}
}

// remove takes a token out.
func (v *vocabulary) remove(tokens [][]byte, token string) {
	if _, at, ok := v.find(tokens, token); ok {
		v.slots[at] = slotGone
	}
}
