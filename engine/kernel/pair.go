package kernel

import "math"

// pairLanes is the number of query heads in a register of [Kernel.AttendPair]: 8 of each token.
const pairLanes = 2 * lanes

// pairSpace is the part of a [Workspace] that serves two tokens.
type pairSpace struct {
	query  [MaxHeadDim * pairLanes]float32    // [dim][token, query head]
	acc    [pairLanes * MaxHeadDim]float32    // [token, query head][dim]
	scores [MaxPageTokens * pairLanes]float32 // [position][token, query head]
	state  pairState
}

// pairState is a softmaxState for each token.
type pairState struct{ top, sum, factor [pairLanes]float32 }

// AttendPair is [Kernel.Attend] for two tokens of one sequence: their results are those that each gets alone, and every
// key and value that both see is fetched once. Both queries must have the same Table and Sinks.
func (k Kernel) AttendPair(dst, q *[2][]float32, pages *Pages, query *[2]Query, first, last int, ws *Workspace) {
	if !k.pairs(pages, query) {
		for i := range query {
			k.Attend(dst[i], q[i], pages, &query[i], first, last, ws)
		}
		return
	}
	for i := range query {
		checkAttend(dst[i], q[i], pages, &query[i])
	}
	dim, group := pages.Dim, len(query[0].Sinks)/pages.Heads
	for head := first; head < last; head++ {
		for lo := head * group; lo < (head+1)*group; lo += lanes {
			hi := lo + min(lanes, (head+1)*group-lo)
			ws.startPair(q, query, lo, hi, dim)
			ws.attendPair(pages, query, head)
			for i := range dst {
				ws.pair.finish(dst[i][lo*dim:hi*dim], i, dim)
			}
		}
	}
}

// pairs reports whether two tokens can be computed together. Every page must be there for one of them, and must not change
// the other, which a sink of minus infinity would not stand.
func (k Kernel) pairs(pages *Pages, query *[2]Query) bool {
	a, b := &query[0], &query[1]
	if k.variant != avx512 || pages.Dim%32 != 0 || a.First > b.Last || b.First > a.Last {
		return false
	}
	for _, sink := range a.Sinks {
		if !(math.Abs(float64(sink)) <= math.MaxFloat32) {
			return false
		}
	}
	return true
}

// startPair lays out query heads lo to hi-1.
func (ws *Workspace) startPair(q *[2][]float32, query *[2]Query, lo, hi, dim int) {
	p := &ws.pair
	clear(p.query[:dim*pairLanes])
	clear(p.acc[:dim*pairLanes])
	p.state = pairState{}
	for i := range q {
		for l := range hi - lo {
			lane := i*lanes + l
			for d, v := range q[i][(lo+l)*dim : (lo+l+1)*dim] {
				p.query[d*pairLanes+lane] = v * query[i].Scale
			}
			p.state.top[lane], p.state.sum[lane] = query[i].Sinks[lo+l], 1
		}
	}
}

// attendPair goes through all pages that either token sees.
func (ws *Workspace) attendPair(pages *Pages, query *[2]Query, head int) {
	dim, p := pages.Dim, &ws.pair
	to := max(query[0].Last, query[1].Last)
	for pos := min(query[0].First, query[1].First); pos < to; {
		index, slot := pos/pages.Tokens, pos%pages.Tokens
		n := min(pages.Tokens-slot, to-pos)
		page := query[0].Table[index]
		keys := pages.Data[pages.rows(page, head, 0)+slot*dim:][:n*dim]
		values := pages.Data[pages.rows(page, head, 1)+slot*dim:][:n*dim]
		widenAssembly(&ws.rows[0], &keys[0], n*dim)
		scoresPairAVX512(&p.scores[0], &p.query[0], &ws.rows[0], dim, (n+lanes-1)/lanes)
		p.hide(query, pos, n, float32(math.Inf(-1)))
		softmaxPairAVX512(&p.scores[0], n, &p.state)
		p.hide(query, pos, n, 0) // e^x is never quite zero
		accumulatePairAVX512(&p.acc[0], &p.scores[0], &values[0], &p.state.factor[0], dim, n)
		pos += n
	}
}

// hide sets what stands for positions that a token does not see, of n from pos on.
func (p *pairSpace) hide(query *[2]Query, pos, n int, value float32) {
	for i := range query {
		for t := range n {
			if at := pos + t; at < query[i].First || at >= query[i].Last {
				for l := range lanes {
					p.scores[t*pairLanes+i*lanes+l] = value
				}
			}
		}
	}
}

// finish writes the heads of one token.
func (p *pairSpace) finish(dst []float32, token, dim int) {
	for l := range len(dst) / dim {
		lane := token*lanes + l
		for d := range dim {
			dst[l*dim+d] = p.acc[lane*dim+d] / p.state.sum[lane]
		}
	}
}
