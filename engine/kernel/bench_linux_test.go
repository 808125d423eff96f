package kernel

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// benchBytes is more than any cache holds.
const benchBytes = 320 << 20

// benchKernels calls f for every variant this processor has, on one thread and on all.
func benchKernels(b *testing.B, f func(b *testing.B, k Kernel, threads int)) {
	b.Helper()
	for _, v := range variants() {
		for threads := 1; threads <= runtime.GOMAXPROCS(0); threads *= 2 {
			b.Run(fmt.Sprintf("%s/threads=%d", variantNames[v], threads), func(b *testing.B) { f(b, Kernel{v}, threads) })
		}
	}
}

// hugePages is memory as the weights of a server are: read at the machine's full
// speed, which small pages would not allow.
func hugePages(b *testing.B, n int, fill byte) []byte {
	b.Helper()
	m, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := unix.Munmap(m); err != nil {
			b.Error(err)
		}
	})
	if err := unix.Madvise(m, unix.MADV_HUGEPAGE); err != nil {
		b.Logf("no huge pages: %v", err)
	}
	for i := range m {
		m[i] = fill
	}
	return m
}

// split runs f on equal parts of n things.
func split(n, threads int, f func(first, last int)) {
	if threads == 1 {
		f(0, n)
		return
	}
	var wg sync.WaitGroup
	for i := range threads {
		wg.Go(func() { f(n*i/threads, n*(i+1)/threads) })
	}
	wg.Wait()
}

// BenchmarkRead is the bandwidth that the products are to be seen beside: 64-bit loads, added up.
func BenchmarkRead(b *testing.B) {
	data := unsafe.Slice((*uint64)(unsafe.Pointer(&hugePages(b, benchBytes, 1)[0])), benchBytes/8)
	for threads := 1; threads <= runtime.GOMAXPROCS(0); threads *= 2 {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			b.SetBytes(benchBytes)
			for b.Loop() {
				split(len(data), threads, func(first, last int) { readSink(data[first:last]) })
			}
		})
	}
}

//go:noinline
func readSink(x []uint64) (s uint64) {
	var s0, s1, s2, s3 uint64
	for ; len(x) >= 8; x = x[8:] {
		v := (*[8]uint64)(x)
		s0 += v[0] + v[4]
		s1 += v[1] + v[5]
		s2 += v[2] + v[6]
		s3 += v[3] + v[7]
	}
	return s0 + s1 + s2 + s3
}

// benchProduct multiplies matrices one after the other, so that each comes from memory.
func benchProduct(b *testing.B, rows, cols, bytes, tokens int, packed []byte,
	mul func(k Kernel, data []byte, dst [][]float32, x [][]Block, first, last int),
) {
	b.Helper()
	r := seeded(1)
	x, dst := make([][]Block, tokens), make([][]float32, tokens)
	for i := range x {
		x[i], dst[i] = make([]Block, cols/BlockLen), make([]float32, rows)
		Kernel{}.Quantise(x[i], normal(r, cols, 1))
	}
	benchKernels(b, func(b *testing.B, k Kernel, threads int) {
		if k.variant == generic && tokens > 1 {
			b.Skip("slow")
		}
		b.SetBytes(int64(bytes))
		n := 0
		for b.Loop() {
			data := packed[n%(len(packed)/bytes)*bytes:][:bytes]
			split(tiles(rows), threads, func(first, last int) { mul(k, data, dst, x, first, last) })
			n++
		}
		b.ReportMetric(2*float64(rows)*float64(cols)*float64(tokens)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GOP/s")
	})
}

var benchTokens = []int{1, 2, 4, 8, 16, 64}

// BenchmarkMXFP4 multiplies with gate and up of one expert of gpt-oss.
func BenchmarkMXFP4(b *testing.B) {
	const rows, cols = 5760, 2880
	bytes, err := MXFP4Bytes(rows, cols)
	if err != nil {
		b.Fatal(err)
	}
	packed := hugePages(b, benchBytes/bytes*bytes, 120) // as a scale, an ordinary one
	for _, tokens := range benchTokens {
		b.Run(fmt.Sprintf("rows=%d", tokens), func(b *testing.B) {
			benchProduct(b, rows, cols, bytes, tokens, packed, func(k Kernel, data []byte, dst [][]float32, x [][]Block, first, last int) {
				m := MXFP4{rows: rows, cols: cols, data: data}
				k.MulMXFP4(dst, &m, x, first, last)
			})
		})
	}
}

// BenchmarkInt8 multiplies with the query, key and value projection of one layer of gpt-oss.
func BenchmarkInt8(b *testing.B) {
	const rows, cols = 5120, 2880
	bytes, err := Int8Bytes(rows, cols)
	if err != nil {
		b.Fatal(err)
	}
	packed := hugePages(b, benchBytes/bytes*bytes, 0x3a)
	for _, tokens := range benchTokens {
		b.Run(fmt.Sprintf("rows=%d", tokens), func(b *testing.B) {
			benchProduct(b, rows, cols, bytes, tokens, packed, func(k Kernel, data []byte, dst [][]float32, x [][]Block, first, last int) {
				m := Int8{rows: rows, cols: cols, data: data}
				k.MulInt8(dst, &m, x, first, last)
			})
		})
	}
}

// BenchmarkAttend is one token of gpt-oss: 64 query heads, 8 key-value heads.
func BenchmarkAttend(b *testing.B) {
	const heads, kvHeads, dim, pageTokens = 64, 8, 64, 32
	for _, positions := range []int{128, 4096} {
		r := seeded(1)
		pages := Pages{Tokens: pageTokens, Heads: kvHeads, Dim: dim}
		table := make([]int32, positions/pageTokens)
		for i := range table {
			table[i] = int32(i)
		}
		pages.Data = make([]uint16, len(table)*pages.PageLen())
		for i := range pages.Data {
			pages.Data[i] = narrow(float32(r.NormFloat64()))
		}
		q, out := normal(r, heads*dim, 1), make([]float32, heads*dim)
		query := Query{Last: positions, Table: table, Scale: 0.125, Sinks: make([]float32, heads)}
		b.Run(fmt.Sprintf("positions=%d", positions), func(b *testing.B) {
			benchKernels(b, func(b *testing.B, k Kernel, threads int) {
				ws := make([]Workspace, kvHeads)
				b.SetBytes(int64(positions * kvHeads * dim * 4))
				for b.Loop() {
					split(kvHeads, threads, func(first, last int) { k.Attend(out, q, &pages, &query, first, last, &ws[first]) })
				}
				b.ReportMetric(4*float64(positions*heads*dim)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
			})
		})
	}
}

// BenchmarkElementwise measures the steps between products at gpt-oss' width; bytes are those read.
func BenchmarkElementwise(b *testing.B) {
	const width = 2880
	r := seeded(1)
	x, out, pair := normal(r, width, 1), make([]float32, width), normal(r, 2*width, 3)
	blocks, router := make([]Block, Blocks(width)), normal(r, 32*width, 1)
	for _, v := range variants() {
		k := Kernel{v}
		steps := []struct {
			name  string
			bytes int
			f     func()
		}{
			{"Quantise", 4 * width, func() { k.Quantise(blocks, x) }},
			{"RMSNorm", 8 * width, func() { k.RMSNorm(out, x, x, 1e-5) }},
			{"MulFloat32", 4 * 32 * width, func() { k.MulFloat32(out[:32], router, x) }},
			{"SwiGLU", 8 * width, func() { k.SwiGLU(out, pair) }},
			{"Axpy", 8 * width, func() { k.Axpy(out, 1e-9, x) }},
			{"RoPE", 4 * 4096, func() { k.RoPE(pair[:4096], out[:32], out[32:64]) }},
		}
		for _, s := range steps {
			b.Run(s.name+"/"+k.String(), func(b *testing.B) {
				b.SetBytes(int64(s.bytes))
				for b.Loop() {
					s.f()
				}
			})
		}
	}
}
