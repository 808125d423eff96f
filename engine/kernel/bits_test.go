package kernel

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"testing"
)

// steady returns n numbers between -1 and 1 that are the same on every machine.
func steady(seed uint32, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		seed = seed*1664525 + 1013904223
		x[i] = float32(int32(seed)) / (1 << 31)
	}
	return x
}

// TestBitsAreTheSameOnEveryMachine pins the results of one made-up layer, so that a
// processor or a compiler that fuses or reorders float32 operations is noticed.
func TestBitsAreTheSameOnEveryMachine(t *testing.T) {
	const want = 0x9406de2055390c60
	eachVariant(t, func(t *testing.T, k Kernel) {
		hash := fnv.New64a()
		note := func(x []float32) {
			for _, v := range x {
				hash.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
			}
		}
		const width, dim, positions = 320, 64, 45
		x := steady(1, width)
		k.RMSNorm(x, x, steady(2, width), 1e-5)
		note(x)
		blocks := [][]Block{make([]Block, Blocks(width))}
		k.Quantise(blocks[0], x)

		size, err := Int8Bytes(width, width)
		if err != nil {
			t.Fatal(err)
		}
		eight := Int8{rows: width, cols: width, data: make([]byte, size)}
		if err := PackInt8(eight.data, steady(3, width*width), width, width); err != nil {
			t.Fatal(err)
		}
		q := make([]float32, width)
		k.MulInt8([][]float32{q}, &eight, blocks, 0, eight.Tiles())
		note(q)

		pages := Pages{Tokens: 16, Heads: 1, Dim: dim, Data: make([]uint16, 3*2*16*dim)}
		for pos := range positions {
			pages.Store(int32(pos/16), pos%16, steady(uint32(pos), dim), steady(uint32(pos+100), dim))
		}
		k.RoPE(q, steady(4, dim/2), steady(5, dim/2))
		out := make([]float32, width)
		query := Query{First: 3, Last: positions, Table: []int32{0, 1, 2}, Scale: 0.125, Sinks: steady(6, width/dim)}
		k.Attend(out, q, &pages, &query, 0, 1, &Workspace{})
		note(out)

		if size, err = MXFP4Bytes(2*width, width); err != nil {
			t.Fatal(err)
		}
		four := MXFP4{rows: 2 * width, cols: width, data: make([]byte, size)}
		raw, scales := make([]byte, width*width), make([]byte, 2*width*width/BlockLen)
		for i, v := range steady(7, len(raw)) {
			raw[i] = byte(math.Float32bits(v) >> 8)
		}
		for i := range scales {
			scales[i] = byte(118 + i%5)
		}
		if err := PackMXFP4(four.data, raw, scales, 2*width, width); err != nil {
			t.Fatal(err)
		}
		k.Axpy(out, 0.7, x)
		k.Quantise(blocks[0], out)
		pair := make([]float32, 2*width)
		k.MulMXFP4([][]float32{pair}, &four, blocks, 0, four.Tiles())
		note(pair)
		k.SwiGLU(out, pair)
		k.Softmax(out[:4])
		note(out)
		if got := hash.Sum64(); got != want {
			t.Errorf("results have the hash %#x, want %#x", got, uint64(want))
		}
	})
}
