package sched

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// hash brings q's digests up to its complete blocks.
func (s *Scheduler) hash(q *sequence) {
	n := s.config.PageTokens
	if q.digests == nil {
		q.digests = make([]digest, 0, s.config.pages(q.positions))
	}
	for i := len(q.digests); i < len(q.tokens)/n; i++ {
		parent := &q.root
		if i > 0 {
			parent = &q.digests[i-1]
		}
		copy(s.hashed, parent[:])
		for j, t := range q.tokens[i*n : (i+1)*n] {
			binary.LittleEndian.PutUint32(s.hashed[sha256.Size+4*j:], uint32(t))
		}
		q.digests = append(q.digests, sha256.Sum256(s.hashed))
	}
}

// match returns the block up to which q can go on from cached pages, and the one up
// to which there are full pages, which may be more. At least one token is left to
// be computed, because its logits are not cached.
func (s *Scheduler) match(q *sequence) (usable, found int) {
	n := s.config.PageTokens
	at := q.computed / n
	if !s.config.PrefixCache || q.computed%n != 0 {
		return at, at
	}
	s.hash(q)
	usable, found = at, at
	missing := -1 // the last block without a window page; q has those before at
	for found < (len(q.tokens)-1)/n && s.full.find(q.digests[found]) != none {
		if s.config.Window > 0 && s.window.find(q.digests[found]) == none {
			missing = found
		}
		found++
		if missing < s.config.firstBlock(found*n) {
			usable = found
		}
	}
	return usable, found
}

// adopt goes on from cached pages as far as match says.
func (s *Scheduler) adopt(q *sequence) {
	n := s.config.PageTokens
	usable, found := s.match(q)
	at := q.computed / n
	if found > at {
		q.wanted = max(q.wanted, found)
	}
	if usable == at {
		return
	}
	first := s.config.firstBlock(usable * n)
	for i := at; i < usable; i++ {
		id := s.full.find(q.digests[i])
		s.full.share(id)
		q.full = append(q.full, id)
		if s.config.Window == 0 {
			continue
		}
		id = none
		if i >= first {
			id = s.window.find(q.digests[i])
			s.window.share(id)
		}
		q.window = append(q.window, id)
	}
	if !q.restarted {
		hits := usable*n - q.computed
		q.hits += hits
		s.stats.HitTokens += uint64(hits)
	}
	q.computed = usable * n
	s.slide(q)
}

// commit offers q's complete blocks to the prefix cache. Where another sequence was
// faster, q goes on with its pages: equal tokens have equal keys and values.
func (s *Scheduler) commit(q *sequence) {
	if !s.config.PrefixCache {
		return
	}
	s.hash(q)
	for ; q.committed < q.computed/s.config.PageTokens; q.committed++ {
		i := q.committed
		q.full[i] = s.full.settle(q.full[i], q.digests[i])
		if s.config.Window > 0 && q.window[i] != none {
			q.window[i] = s.window.settle(q.window[i], q.digests[i])
		}
	}
}

// slide releases the window pages that no token after q's last complete block sees.
// A page that only that block's end needs is within what q was promised anyway, and
// with it another sequence can go on from there.
func (s *Scheduler) slide(q *sequence) {
	end := min(s.config.firstBlock(s.align(q.computed)), len(q.window))
	for ; q.slid < end; q.slid++ {
		if id := q.window[q.slid]; id != none {
			s.window.release(id, s.keep(q, q.slid))
			q.window[q.slid] = none
		}
	}
}

// keep returns the class for a window page that q leaves behind. Warm are those in
// front of a boundary where another request is likely to go on: the end of the
// prompt, where the next turn of a conversation parts from this one, and the end
// of what q itself found cached, where somebody's prompt has parted before.
func (s *Scheduler) keep(q *sequence, block int) class {
	n := s.config.PageTokens
	// The same prompt again may use one block less than a longer one.
	if block >= s.config.firstBlock((q.prompt-1)/n*n) && block < q.prompt/n {
		return warm
	}
	if block >= s.config.firstBlock(q.wanted*n) && block < q.wanted {
		return warm
	}
	return cold
}

// release gives back all pages of q. The last blocks go first: without those before
// them they are of no use.
func (s *Scheduler) release(q *sequence) {
	for _, id := range slices.Backward(q.full) {
		s.full.release(id, warm)
	}
	for _, id := range q.window[q.slid:] {
		s.window.release(id, warm)
	}
	q.full, q.window, q.slid, q.committed = q.full[:0], q.window[:0], 0, 0
}

// trim gives back the pages past what q has computed.
func (s *Scheduler) trim(q *sequence) {
	kept := s.config.pages(q.computed)
	for _, id := range q.full[kept:] {
		s.full.release(id, warm)
	}
	q.full = q.full[:kept]
	if s.config.Window == 0 {
		return
	}
	for _, id := range q.window[kept:] {
		s.window.release(id, warm)
	}
	q.window = q.window[:kept]
}
