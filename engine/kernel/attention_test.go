package kernel

import (
	"fmt"
	"math"
	"testing"
)

// cache is a sequence in pages of shuffled order, the rest of which is NaN.
type cache struct {
	pages  Pages
	table  []int32
	keys   [][]float32 // by position: [kv heads][dim]
	values [][]float32
}

func newCache(t *testing.T, seed uint64, positions, pageTokens, heads, dim int, atEnd bool) cache {
	t.Helper()
	r := seeded(seed)
	n := (positions + pageTokens - 1) / pageTokens
	c := cache{pages: Pages{Tokens: pageTokens, Heads: heads, Dim: dim}}
	c.pages.Data = guarded[uint16](t, n*c.pages.PageLen(), atEnd)
	for i := range c.pages.Data {
		c.pages.Data[i] = 0x7fc0
	}
	for _, p := range r.Perm(n) {
		c.table = append(c.table, int32(p))
	}
	for pos := range positions {
		c.keys = append(c.keys, normal(r, heads*dim, 2))
		c.values = append(c.values, normal(r, heads*dim, 1))
		c.pages.Store(c.table[pos/pageTokens], pos%pageTokens, c.keys[pos], c.values[pos])
	}
	return c
}

// exactAttention is attention with a sink in float64, on keys and values as stored.
func exactAttention(c cache, q []float32, query Query) []float64 {
	dim := c.pages.Dim
	group := len(query.Sinks) / c.pages.Heads
	out := make([]float64, len(q))
	for h, sink := range query.Sinks {
		kv := h / group
		scores := make([]float64, 0, query.Last-query.First)
		top := float64(sink)
		for pos := query.First; pos < query.Last; pos++ {
			var s float64
			for d := range dim {
				s += float64(q[h*dim+d]) * float64(widen(narrow(c.keys[pos][kv*dim+d])))
			}
			s *= float64(query.Scale)
			top = max(top, s)
			scores = append(scores, s)
		}
		sum := math.Exp(float64(sink) - top)
		for i, s := range scores {
			p := math.Exp(s - top)
			sum += p
			for d := range dim {
				out[h*dim+d] += p * float64(widen(narrow(c.values[query.First+i][kv*dim+d])))
			}
		}
		for d := range dim {
			out[h*dim+d] /= sum
		}
	}
	return out
}

func TestAttend(t *testing.T) {
	tests := map[string]struct{ positions, first, last, pageTokens, kvHeads, group, dim int }{
		"nothing but sinks":               {4, 0, 0, 4, 1, 8, 64},
		"one position":                    {1, 0, 1, 16, 1, 8, 64},
		"gpt-oss, full layer":             {300, 0, 300, 32, 8, 8, 64},
		"gpt-oss, window":                 {300, 172, 300, 32, 8, 8, 64},
		"a window inside of one page":     {60, 33, 40, 64, 2, 8, 64},
		"pages of one token":              {20, 3, 20, 1, 2, 8, 64},
		"odd page size":                   {50, 0, 50, 13, 1, 8, 64},
		"four query heads for a kv head":  {70, 0, 70, 16, 2, 4, 32},
		"one query head for a kv head":    {70, 10, 70, 16, 3, 1, 16},
		"a width of no whole registers":   {70, 10, 70, 16, 2, 2, 20},
		"a head as wide as the workspace": {70, 0, 70, 64, 1, 3, 256},
		"twelve query heads in two parts": {40, 0, 39, 16, 2, 12, 128},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for side, atEnd := range sides {
				c := newCache(t, 5, tc.positions, tc.pageTokens, tc.kvHeads, tc.dim, atEnd)
				r := seeded(6)
				heads := tc.kvHeads * tc.group
				q := guardedCopy(t, normal(r, heads*tc.dim, 2), atEnd)
				query := Query{
					First: tc.first, Last: tc.last, Table: guardedCopy(t, c.table, atEnd), Scale: 0.125,
					Sinks: guardedCopy(t, normal(r, heads, 1), atEnd),
				}
				for i := range tc.first / tc.pageTokens {
					query.Table[i] = -1 // freed behind the window
				}
				want := make([]float32, len(q))
				Kernel{}.Attend(want, q, &c.pages, &query, 0, tc.kvHeads, &Workspace{})
				for i, exact := range exactAttention(c, q, query) {
					// Values are of size 1, scores of size 10 and wrong by a few 2^-24 of that.
					if math.Abs(float64(want[i])-exact) > 1e-5 {
						t.Fatalf("value %d is %v, want %v", i, want[i], exact)
					}
				}
				eachVariant(t, func(t *testing.T, k Kernel) {
					ws := guarded[Workspace](t, 1, atEnd)
					for i := range ws[0].rows {
						ws[0].rows[i] = float32(math.NaN())
					}
					got := guarded[float32](t, len(q), atEnd)
					for head := range tc.kvHeads {
						k.Attend(got, q, &c.pages, &query, head, head+1, &ws[0])
					}
					wantSame(t, side, got, want)
				})
			}
		})
	}
}

func TestAttendSurvivesExtremes(t *testing.T) {
	tests := map[string]struct {
		q, key, sink float32
		want         float64
	}{
		"scores far above the sink":  {100, 100, 0, 1},
		"scores far below the sink":  {100, -100, 0, 0},
		"a sink beyond e^x":          {0, 0, 1e4, 0},
		"a sink below e^x":           {0, 0, -1e4, 1},
		"equal scores and sink of 0": {0, 0, 0, 40.0 / 41},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			const positions, dim = 40, 64
			pages := Pages{Tokens: 16, Heads: 1, Dim: dim, Data: make([]uint16, 3*2*16*dim)}
			key, value, q := make([]float32, dim), make([]float32, dim), make([]float32, 8*dim)
			for i := range q {
				q[i], key[i%dim], value[i%dim] = tc.q, tc.key, 1
			}
			for pos := range positions {
				pages.Store(int32(pos/16), pos%16, key, value)
			}
			query := Query{Last: positions, Table: []int32{0, 1, 2}, Scale: 0.125, Sinks: make([]float32, 8)}
			for i := range query.Sinks {
				query.Sinks[i] = tc.sink
			}
			eachVariant(t, func(t *testing.T, k Kernel) {
				got := make([]float32, len(q))
				k.Attend(got, q, &pages, &query, 0, 1, &Workspace{})
				for i, v := range got {
					if math.Abs(float64(v)-tc.want) > 1e-6 {
						t.Fatalf("value %d is %v, want %v", i, v, tc.want)
					}
				}
			})
		})
	}
}

func TestNarrowRoundsToNearestEven(t *testing.T) {
	nan := math.Float32frombits(0x7f800001)
	tests := map[uint32]uint16{
		0x3f800000: 0x3f80,                                         // 1
		0x3f807fff: 0x3f80, 0x3f808000: 0x3f80, 0x3f808001: 0x3f81, // below, at and above a tie to even
		0x3f818000: 0x3f82, 0xbf818000: 0xbf82, // ties to the even one above
		0x7f7fffff: 0x7f80, 0xff800000: 0xff80, // overflow to infinity, infinity
		0x00008000: 0x0000, 0x80018000: 0x8002, // denormals
		math.Float32bits(nan): 0x7fc0,
	}
	for bits, want := range tests {
		if got := narrow(math.Float32frombits(bits)); got != want {
			t.Errorf("narrow(%#08x) = %#04x, want %#04x", bits, got, want)
		}
	}
}

func TestAttendRefusesWhatDoesNotFit(t *testing.T) {
	good := Pages{Tokens: 16, Heads: 2, Dim: 64, Data: make([]uint16, 2*2*16*64)}
	tests := map[string]struct {
		pages Pages
		query Query
	}{
		"a head wider than the workspace":      {Pages{Tokens: 16, Heads: 2, Dim: 257}, Query{Sinks: make([]float32, 16)}},
		"pages larger than the workspace":      {Pages{Tokens: 65, Heads: 2, Dim: 64}, Query{Sinks: make([]float32, 16)}},
		"query heads that do not share evenly": {good, Query{Sinks: make([]float32, 15)}},
		"positions beyond the table":           {good, Query{Last: 17, Table: []int32{0}, Sinks: make([]float32, 16)}},
		"a page that does not exist":           {good, Query{Last: 16, Table: []int32{1}, Sinks: make([]float32, 16)}},
		"a page number below zero":             {good, Query{Last: 16, Table: []int32{-1}, Sinks: make([]float32, 16)}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("Attend did not panic")
				}
			}()
			q := make([]float32, len(tc.query.Sinks)*tc.pages.Dim)
			Kernel{detect()}.Attend(make([]float32, len(q)), q, &tc.pages, &tc.query, 0, 2, &Workspace{})
		})
	}
}

func TestKernelsDoNotAllocate(t *testing.T) {
	r := seeded(3)
	c := newCache(t, 5, 100, 16, 2, 64, true)
	q, out := normal(r, 16*64, 1), make([]float32, 16*64)
	query := Query{Last: 100, Table: c.table, Scale: 0.125, Sinks: make([]float32, 16)}
	ws := &Workspace{}
	x := quantised(t, r, 11, 64, true)
	dst := guardedRows(t, 11, 32, true)
	row, pair := make([]float32, 77), make([]float32, 2*77)
	blocks := make([]Block, Blocks(len(row)))
	eachVariant(t, func(t *testing.T, k Kernel) {
		steps := map[string]func(){
			"Attend": func() { k.Attend(out, q, &c.pages, &query, 0, 2, ws) },
			"AttendPair": func() {
				k.AttendPair(&[2][]float32{out, out}, &[2][]float32{q, q}, &c.pages, &[2]Query{query, query}, 0, 2, ws)
			},
			"Store":      func() { c.pages.Store(0, 1, c.keys[0], c.values[0]) },
			"Quantise":   func() { k.Quantise(blocks, row) },
			"RMSNorm":    func() { k.RMSNorm(row, row, row, 1e-5) },
			"MulFloat32": func() { k.MulFloat32(row[:2], pair, row) },
			"SwiGLU":     func() { k.SwiGLU(row, pair) },
			"Axpy":       func() { k.Axpy(row, 0.5, row) },
			"Softmax":    func() { k.Softmax(row[:4]) },
			"RoPE":       func() { k.RoPE(out, row[:32], row[32:64]) },
		}
		for name, format := range formats {
			p := format(t, r, 32, 64, true)
			steps[fmt.Sprintf("product %s", name)] = func() { p.mul(k, dst, x, 0, p.tiles) }
		}
		for name, step := range steps {
			if n := testing.AllocsPerRun(10, step); n != 0 {
				t.Errorf("%s allocates %v times", name, n)
			}
		}
	})
}

// TestAttendPair has, for each of two tokens, what it gets alone.
func TestAttendPair(t *testing.T) {
	tests := map[string]struct {
		first, last                [2]int
		pageTokens, kv, group, dim int
		sink                       float32
	}{
		"neighbours in a full layer":         {[2]int{0, 0}, [2]int{299, 300}, 32, 2, 8, 64, 0.5},
		"the second begins a page":           {[2]int{0, 0}, [2]int{64, 65}, 32, 2, 8, 64, 0.5},
		"neighbours in a window":             {[2]int{171, 172}, [2]int{299, 300}, 32, 2, 8, 64, 0.5},
		"the window leaves a page":           {[2]int{31, 32}, [2]int{159, 160}, 32, 1, 8, 64, 0.5},
		"pages of one token":                 {[2]int{3, 4}, [2]int{20, 21}, 1, 1, 8, 64, 0.5},
		"the first of all":                   {[2]int{0, 0}, [2]int{1, 2}, 16, 1, 8, 64, 0.5},
		"far apart":                          {[2]int{0, 40}, [2]int{30, 70}, 16, 1, 8, 64, 0.5},
		"the later one first":                {[2]int{2, 1}, [2]int{40, 39}, 16, 1, 8, 64, 0.5},
		"nothing but sinks beside something": {[2]int{0, 0}, [2]int{0, 20}, 16, 1, 8, 64, 0.5},
		"few query heads":                    {[2]int{0, 0}, [2]int{69, 70}, 16, 2, 3, 32, 0.5},
		"twelve query heads in two parts":    {[2]int{0, 0}, [2]int{69, 70}, 16, 2, 12, 128, 0.5},
		"a head as wide as the workspace":    {[2]int{0, 0}, [2]int{69, 70}, 64, 1, 8, 256, 0.5},
		"a width of half a register":         {[2]int{0, 0}, [2]int{69, 70}, 16, 1, 8, 16, 0.5},
		"a sink far above all scores":        {[2]int{171, 172}, [2]int{299, 300}, 32, 1, 8, 64, 1e4},
		"a sink far below all scores":        {[2]int{171, 172}, [2]int{299, 300}, 32, 1, 8, 64, -1e4},
		"a sink of minus infinity":           {[2]int{31, 32}, [2]int{159, 160}, 32, 1, 8, 64, float32(math.Inf(-1))},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for side, atEnd := range sides {
				c := newCache(t, 5, max(tc.last[0], tc.last[1]), tc.pageTokens, tc.kv, tc.dim, atEnd)
				r, heads := seeded(6), tc.kv*tc.group
				table, sinks := guardedCopy(t, c.table, atEnd), guardedCopy(t, normal(r, heads, 1), atEnd)
				sinks[0] = tc.sink
				for i := range min(tc.first[0], tc.first[1]) / tc.pageTokens {
					table[i] = -1 // freed behind the window
				}
				var q, got, want [2][]float32
				var query [2]Query
				for i := range q {
					q[i] = guardedCopy(t, normal(r, heads*tc.dim, 2), atEnd)
					want[i], got[i] = make([]float32, len(q[i])), guarded[float32](t, len(q[i]), atEnd)
					query[i] = Query{First: tc.first[i], Last: tc.last[i], Table: table, Scale: 0.125, Sinks: sinks}
					Kernel{}.Attend(want[i], q[i], &c.pages, &query[i], 0, tc.kv, &Workspace{})
				}
				eachVariant(t, func(t *testing.T, k Kernel) {
					ws := guarded[Workspace](t, 1, atEnd)
					for i := range ws[0].rows {
						ws[0].rows[i] = float32(math.NaN())
					}
					for head := range tc.kv {
						k.AttendPair(&got, &q, &c.pages, &query, head, head+1, &ws[0])
					}
					for i := range got {
						wantSame(t, fmt.Sprintf("%s, token %d", side, i), got[i], want[i])
						clear(got[i])
					}
				})
			}
		})
	}
}
