package kernel

import "math"

// Pages is the memory of one layer's keys and values: pages of a few tokens,
// which sequences own through tables. Numbers are bfloat16, gpt-oss' own
// precision: no key or value can overflow, and a token costs 2·2 bytes per
// dimension and head. A page is
//
//	[kv heads][keys, values][tokens][dim]
//
// so that all a head needs of a page is one run of memory.
type Pages struct {
	// Data holds a whole number of pages.
	Data []uint16
	// Tokens is the number of tokens in a page, at most [MaxPageTokens].
	Tokens int
	// Heads is the number of key-value heads.
	Heads int
	// Dim is the width of a head, at most [MaxHeadDim]; a multiple of 16 is fast.
	Dim int
}

// Bounds that fix the size of a [Workspace].
const (
	MaxPageTokens = 64
	MaxHeadDim    = 256
)

// PageLen returns the number of elements of Data that a page takes.
func (p *Pages) PageLen() int { return p.Heads * 2 * p.Tokens * p.Dim }

// rows returns where a head's keys (which = 0) or values (which = 1) of a page begin.
func (p *Pages) rows(page int32, head, which int) int {
	return int(page)*p.PageLen() + (head*2+which)*p.Tokens*p.Dim
}

// Store rounds one token's keys and values, [heads][dim] each, into a slot of a page.
func (p *Pages) Store(page int32, slot int, key, value []float32) {
	if slot < 0 || slot >= p.Tokens {
		panic("kernel: Store: no such slot")
	}
	for h := range p.Heads {
		for which, src := range [...][]float32{key, value} {
			dst := p.Data[p.rows(page, h, which)+slot*p.Dim:][:p.Dim]
			for i, v := range src[h*p.Dim : (h+1)*p.Dim] {
				dst[i] = narrow(v)
			}
		}
	}
}

// narrow rounds to bfloat16, ties to even.
func narrow(v float32) uint16 {
	bits := math.Float32bits(v)
	if bits&absMask > infBits {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// Workspace is scratch memory of [Kernel.Attend], one per worker.
type Workspace struct {
	query  [MaxHeadDim * lanes]float32         // [dim][query head]
	acc    [lanes * MaxHeadDim]float32         // [query head][dim]
	rows   [MaxPageTokens * MaxHeadDim]float32 // [token][dim]
	scores [MaxPageTokens * lanes]float32      // [token][query head]
	state  softmaxState
	pair   pairSpace
}

// softmaxState is an online softmax of 8 query heads: the largest score so far, the
// sum of e^(score-top), and what older sums must be multiplied with after a step.
type softmaxState struct{ top, sum, factor [lanes]float32 }

// Query says what one token attends to.
type Query struct {
	// First and Last bound the positions: First ≤ position < Last.
	First, Last int
	// Table names the page of every Pages.Tokens positions. Entries before First are not read.
	Table []int32
	// Scale multiplies every score, but not the sinks.
	Scale float32
	// Sinks holds one extra logit per query head.
	Sinks []float32
}

// Attend computes attention of one token for the key-value heads first to last-1:
// q and dst are [query heads][dim], and query head h uses key-value head
// h / (query heads / kv heads). Keys are taken page by page, in order of position,
// so the result depends on nothing but the positions attended to and the page size.
func (k Kernel) Attend(dst, q []float32, pages *Pages, query *Query, first, last int, ws *Workspace) {
	checkAttend(dst, q, pages, query)
	dim, group := pages.Dim, len(query.Sinks)/pages.Heads
	for head := first; head < last; head++ {
		for lo := head * group; lo < (head+1)*group; lo += lanes {
			n := min(lanes, (head+1)*group-lo)
			k.attendGroup(dst[lo*dim:][:n*dim], q[lo*dim:][:n*dim], query.Sinks[lo:lo+n], pages, query, head, ws)
		}
	}
}

// checkAttend panics unless all shapes fit; assembly relies on it.
func checkAttend(dst, q []float32, pages *Pages, query *Query) {
	dim := pages.Dim
	group := len(query.Sinks) / pages.Heads
	switch {
	case dim < 1 || dim > MaxHeadDim || pages.Tokens < 1 || pages.Tokens > MaxPageTokens:
		panic("kernel: Attend: unsupported shape of pages")
	case group < 1 || len(query.Sinks) != group*pages.Heads || len(q) != len(query.Sinks)*dim || len(dst) != len(q):
		panic("kernel: Attend: heads do not fit")
	case query.First < 0 || query.First > query.Last || query.Last > len(query.Table)*pages.Tokens:
		panic("kernel: Attend: positions do not fit the table")
	}
}

// attendGroup serves up to 8 query heads that share a key-value head, each in a lane.
func (k Kernel) attendGroup(dst, q, sinks []float32, pages *Pages, query *Query, head int, ws *Workspace) {
	dim := pages.Dim
	clear(ws.query[:dim*lanes])
	clear(ws.acc[:dim*lanes])
	ws.state = softmaxState{}
	for l, sink := range sinks {
		for d, v := range q[l*dim : (l+1)*dim] {
			ws.query[d*lanes+l] = v * query.Scale
		}
		ws.state.top[l], ws.state.sum[l] = sink, 1
	}
	for pos := query.First; pos < query.Last; {
		index, slot := pos/pages.Tokens, pos%pages.Tokens
		n := min(pages.Tokens-slot, query.Last-pos)
		page := query.Table[index]
		keys := pages.Data[pages.rows(page, head, 0)+slot*dim:][:n*dim]
		values := pages.Data[pages.rows(page, head, 1)+slot*dim:][:n*dim]
		if k.variant != generic && dim%16 == 0 {
			ws.pageAssembly(keys, values, n, dim)
		} else {
			ws.pageGeneric(keys, values, n, dim)
		}
		pos += n
	}
	for l := range sinks {
		for d := range dim {
			dst[l*dim+d] = ws.acc[l*dim+d] / ws.state.sum[l]
		}
	}
}

// pageAssembly adds n tokens. Scores are computed for 8 tokens at a time; those past n
// come from older contents of the workspace and are not used.
func (ws *Workspace) pageAssembly(keys, values []uint16, n, dim int) {
	widenAssembly(&ws.rows[0], &keys[0], n*dim)
	scoresAssembly(&ws.scores[0], &ws.query[0], &ws.rows[0], dim, (n+lanes-1)/lanes)
	softmaxStepAssembly(&ws.scores[0], n, &ws.state)
	accumulateAssembly(&ws.acc[0], &ws.scores[0], &values[0], &ws.state.factor[0], dim, n)
}

// pageGeneric is pageAssembly in plain Go.
func (ws *Workspace) pageGeneric(keys, values []uint16, n, dim int) {
	for t := range n {
		score := (*[lanes]float32)(ws.scores[t*lanes:])
		*score = [lanes]float32{}
		for d, key := range keys[t*dim : (t+1)*dim] {
			v := widen(key)
			for l, q := range ws.query[d*lanes : (d+1)*lanes] {
				score[l] = muladd(v, q, score[l])
			}
		}
	}
	ws.state.step(ws.scores[:n*lanes])
	for l, factor := range ws.state.factor {
		acc := ws.acc[l*dim : (l+1)*dim]
		for d := range acc {
			acc[d] *= factor
		}
		for t := range n {
			p := ws.scores[t*lanes+l]
			for d, v := range values[t*dim : (t+1)*dim] {
				acc[d] = muladd(p, widen(v), acc[d])
			}
		}
	}
}

// step turns scores into weights e^(score-top) under a top that covers them too.
func (s *softmaxState) step(scores []float32) {
	for l := range lanes {
		top := s.top[l]
		for t := l; t < len(scores); t += lanes {
			if !(top > scores[t]) {
				top = scores[t]
			}
		}
		s.factor[l] = exp(s.top[l] - top)
		s.top[l] = top
		sum := float32(s.sum[l] * s.factor[l])
		for t := l; t < len(scores); t += lanes {
			scores[t] = exp(scores[t] - top)
			sum += scores[t]
		}
		s.sum[l] = sum
	}
}
