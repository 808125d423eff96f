package sched

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// digest names a block of tokens together with everything before it.
type digest [sha256.Size]byte

// none stands for no page.
const none int32 = -1

// class is where a page without an owner waits for the next one.
type class int32

// The classes, in the order in which pages are taken.
const (
	empty   class = iota // nothing worth keeping
	cold                 // cached, unlikely to be asked for
	warm                 // cached
	classes              // how many there are
)

// page is one page of a pool.
type page struct {
	digest     digest // of the tokens up to its end; valid where cached
	chain      int32  // the next page in the same bucket; valid where cached
	prev, next int32  // neighbours in the ring of its class, while refs is 0
	refs       int32  // sequences that hold the page
	cached     bool
}

// pool hands out pages and remembers what is in them. It never allocates after
// newPool.
type pool struct {
	size    int
	pages   []page  // size of them, then a sentinel for the ring of each class
	buckets []int32 // the first page of each chain of the hash table
	free    int     // pages that nobody holds
	cached  int     // pages that can be found, held or not
	lost    func(digest)
}

// newPool returns a pool of empty pages. It calls lost, unless nil, with what a page
// had that is taken for something else.
func newPool(size int, lost func(digest)) *pool {
	p := &pool{
		size:    size,
		pages:   make([]page, size+int(classes)),
		buckets: make([]int32, 1<<bits.Len(uint(size))),
		lost:    lost,
	}
	for i := range p.buckets {
		p.buckets[i] = none
	}
	for c := range classes {
		s := p.sentinel(c)
		p.pages[s].prev, p.pages[s].next = s, s
	}
	for i := range size {
		p.push(int32(size-1-i), empty)
	}
	return p
}

func (p *pool) sentinel(c class) int32 { return int32(p.size) + int32(c) }

// push puts a page that nobody holds last in its class; an empty one first, since
// memory that was used before is cheaper than memory that never was.
func (p *pool) push(id int32, c class) {
	next := p.sentinel(c)
	if c == empty {
		next = p.pages[next].next
	}
	prev := p.pages[next].prev
	p.pages[id].prev, p.pages[id].next = prev, next
	p.pages[prev].next, p.pages[next].prev = id, id
	p.free++
}

// unlink takes a page out of its class.
func (p *pool) unlink(id int32) {
	prev, next := p.pages[id].prev, p.pages[id].next
	p.pages[prev].next, p.pages[next].prev = next, prev
	p.free--
}

// take returns a page of the caller's own, or none.
func (p *pool) take() int32 {
	for c := range classes {
		s := p.sentinel(c)
		id := p.pages[s].next
		if id == s {
			continue
		}
		p.unlink(id)
		p.pages[id].refs = 1
		if p.pages[id].cached {
			p.forget(id)
			if p.lost != nil {
				p.lost(p.pages[id].digest)
			}
		}
		return id
	}
	return none
}

// share adds a holder to a page.
func (p *pool) share(id int32) {
	if p.pages[id].refs == 0 {
		p.unlink(id)
	}
	p.pages[id].refs++
}

// release takes a holder away. A page without any goes to class c if it is cached.
func (p *pool) release(id int32, c class) {
	g := &p.pages[id]
	g.refs--
	switch {
	case g.refs < 0:
		panic("sched: a page was released more often than it was taken")
	case g.refs > 0:
	case g.cached:
		p.push(id, c)
	default:
		p.push(id, empty)
	}
}

// settle makes a page of the caller's findable. If another page is known by that
// digest already, the caller holds that one from now on and its own is given up.
func (p *pool) settle(id int32, d digest) int32 {
	switch known := p.find(d); known {
	case id:
		return id
	case none:
		b := p.bucket(d)
		g := &p.pages[id]
		g.digest, g.cached = d, true
		g.chain, *b = *b, id
		p.cached++
		return id
	default:
		p.share(known)
		p.release(id, empty)
		return known
	}
}

// find returns the page that is known by the digest, or none.
func (p *pool) find(d digest) int32 {
	id := *p.bucket(d)
	for id != none && p.pages[id].digest != d {
		id = p.pages[id].chain
	}
	return id
}

// drop forgets the digest; the page stays with those who hold it.
func (p *pool) drop(d digest) {
	id := p.find(d)
	if id == none {
		return
	}
	p.forget(id)
	if p.pages[id].refs == 0 {
		p.unlink(id)
		p.push(id, empty)
	}
}

// forget takes a cached page out of the hash table.
func (p *pool) forget(id int32) {
	link := p.bucket(p.pages[id].digest)
	for *link != id {
		link = &p.pages[*link].chain
	}
	*link = p.pages[id].chain
	p.pages[id].cached = false
	p.cached--
}

// bucket returns the head of a digest's chain. Digests are uniform, so any bits do.
func (p *pool) bucket(d digest) *int32 {
	return &p.buckets[binary.LittleEndian.Uint32(d[:])&uint32(len(p.buckets)-1)]
}
