package kernel

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// product is a packed matrix of either format, with the exact value of its weights.
type product struct {
	rows, cols int
	mul        func(k Kernel, dst [][]float32, x [][]Block, first, last int)
	weight     func(row, col int) float64
	tiles      int
}

// fp4 is the value of a nibble, as the format's specification lists them.
var fp4 = [16]float64{0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6}

// newMXFP4 packs random nibbles and the given scale bytes, cycled.
func newMXFP4(t testing.TB, r *rand.Rand, rows, cols int, scaleBytes []byte, atEnd bool) product {
	t.Helper()
	blocks, scales := randomBytes(r, rows*cols/2), make([]byte, rows*cols/BlockLen)
	for i := range scales {
		scales[i] = scaleBytes[r.IntN(len(scaleBytes))]
	}
	size, err := MXFP4Bytes(rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	data := guarded[byte](t, size, atEnd)
	if err := PackMXFP4(data, blocks, scales, rows, cols); err != nil {
		t.Fatal(err)
	}
	m, err := NewMXFP4(data, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	return product{
		rows: rows, cols: cols, tiles: m.Tiles(),
		mul: func(k Kernel, dst [][]float32, x [][]Block, first, last int) { k.MulMXFP4(dst, &m, x, first, last) },
		weight: func(row, col int) float64 {
			at := row*cols + col
			return fp4[blocks[at/2]>>(4*(at%2))&15] * math.Ldexp(1, int(scales[at/BlockLen])-127)
		},
	}
}

// newInt8 packs random weights; some blocks are zero, some all at their largest.
func newInt8(t testing.TB, r *rand.Rand, rows, cols int, atEnd bool) product {
	t.Helper()
	src := normal(r, rows*cols, 0.05)
	for b := range rows * cols / BlockLen {
		block := src[b*BlockLen : (b+1)*BlockLen]
		switch r.IntN(8) {
		case 0:
			clear(block)
		case 1:
			for i := range block {
				block[i] = 0.3
			}
		case 2:
			for i := range block {
				block[i] = -0.3
			}
		}
	}
	size, err := Int8Bytes(rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	data := guarded[byte](t, size, atEnd)
	if err := PackInt8(data, src, rows, cols); err != nil {
		t.Fatal(err)
	}
	m, err := NewInt8(data, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	return product{
		rows: rows, cols: cols, tiles: m.Tiles(),
		mul: func(k Kernel, dst [][]float32, x [][]Block, first, last int) { k.MulInt8(dst, &m, x, first, last) },
		weight: func(row, col int) float64 {
			scale, q, err := int8Block((*[BlockLen]float32)(src[row*cols+col/BlockLen*BlockLen:]))
			if err != nil {
				t.Fatal(err)
			}
			return float64(widen(scale)) * float64(q[col%BlockLen])
		},
	}
}

// formats builds either kind of product.
var formats = map[string]func(t testing.TB, r *rand.Rand, rows, cols int, atEnd bool) product{
	"MXFP4": func(t testing.TB, r *rand.Rand, rows, cols int, atEnd bool) product {
		return newMXFP4(t, r, rows, cols, []byte{117, 118, 119, 120, 121, 122}, atEnd)
	},
	"MXFP4 with scale bytes 0, 1, 2 and 254": func(t testing.TB, r *rand.Rand, rows, cols int, atEnd bool) product {
		return newMXFP4(t, r, rows, cols, []byte{0, 1, 2, 254}, atEnd)
	},
	"MXFP4 with denormal scale bytes": func(t testing.TB, r *rand.Rand, rows, cols int, atEnd bool) product {
		return newMXFP4(t, r, rows, cols, []byte{0, 1}, atEnd)
	},
	"MXFP4 with scale bytes from 95 to 160": func(t testing.TB, r *rand.Rand, rows, cols int, atEnd bool) product {
		return newMXFP4(t, r, rows, cols, []byte{95, 96, 127, 159, 160}, atEnd)
	},
	"int8": newInt8,
}

var productShapes = [][3]int{ // rows, columns, activation rows
	{1, 32, 1}, {7, 64, 2}, {16, 32, 3}, {17, 96, 4}, {33, 288, 5}, {48, 160, 7}, {16, 2880, 8}, {50, 128, 9}, {31, 64, 19},
}

func TestProducts(t *testing.T) {
	for name, format := range formats {
		for i, s := range productShapes {
			rows, cols, tokens := s[0], s[1], s[2]
			t.Run(fmt.Sprintf("%s %d×%d, %d rows", name, rows, cols, tokens), func(t *testing.T) {
				for side, atEnd := range sides {
					r := seeded(uint64(i))
					p := format(t, r, rows, cols, atEnd)
					x := quantised(t, r, tokens, cols, atEnd)
					want := guardedRows(t, tokens, rows, atEnd)
					p.mul(Kernel{}, want, x, 0, p.tiles)
					checkProductExact(t, p, want, x)
					eachVariant(t, func(t *testing.T, k Kernel) {
						got := guardedRows(t, tokens, rows, atEnd)
						p.mul(k, got, x, 0, p.tiles)
						for j := range want {
							wantSame(t, side, got[j], want[j])
						}
					})
				}
			})
		}
	}
}

// checkProductExact compares with float64. Integers inside a block are exact, so the
// only errors are those of three float32 roundings per block and of their sum, each
// at most 2^-24 of the sum of magnitudes, and at the very bottom that of a denormal
// scale: 2^-150 times an integer of at most 12·127·32.
func checkProductExact(t *testing.T, p product, got [][]float32, x [][]Block) {
	t.Helper()
	for i := range x {
		for row := range p.rows {
			var exact, magnitude float64
			for b := range x[i] {
				var sum float64
				for c, q := range x[i][b].Q {
					sum += p.weight(row, b*BlockLen+c) * float64(q)
				}
				sum *= float64(x[i][b].Scale)
				exact += sum
				magnitude += math.Abs(sum)
			}
			bound := magnitude*float64(len(x[i])+3)/(1<<24) + float64(len(x[i]))*0x1p-134
			off := math.Abs(float64(got[i][row]) - exact)
			if !(off <= bound) && magnitude < math.MaxFloat32/2 {
				t.Fatalf("activation row %d, weight row %d: %v, want %v ± %v", i, row, got[i][row], exact, bound)
			}
		}
	}
}

func TestProductDoesNotDependOnItsNeighbours(t *testing.T) {
	for name, format := range formats {
		t.Run(name, func(t *testing.T) {
			r := seeded(7)
			const tokens = 23
			p := format(t, r, 40, 320, true)
			x := quantised(t, r, tokens, p.cols, true)
			eachVariant(t, func(t *testing.T, k Kernel) {
				alone := guardedRows(t, tokens, p.rows, true)
				for i := range x {
					p.mul(k, alone[i:i+1], x[i:i+1], 0, p.tiles)
				}
				for n := 1; n <= tokens; n++ {
					together := guardedRows(t, n, p.rows, true)
					p.mul(k, together, x[tokens-n:], 0, p.tiles)
					for i := range together {
						wantSame(t, fmt.Sprintf("row %d of %d", i, n), together[i], alone[tokens-n+i])
					}
				}
			})
		})
	}
}

func TestProductWritesItsTilesOnly(t *testing.T) {
	for name, format := range formats {
		t.Run(name, func(t *testing.T) {
			r := seeded(8)
			p := format(t, r, 70, 64, true)
			x := quantised(t, r, 3, p.cols, true)
			want := guardedRows(t, 3, p.rows, true)
			p.mul(Kernel{}, want, x, 0, p.tiles)
			eachVariant(t, func(t *testing.T, k Kernel) {
				for first := range p.tiles {
					got := guardedRows(t, 3, p.rows, true)
					p.mul(k, got, x, first, min(first+2, p.tiles))
					for i := range got {
						lo, hi := first*TileRows, min((first+2)*TileRows, p.rows)
						wantSame(t, "inside", got[i][lo:hi], want[i][lo:hi])
						for row, v := range got[i] {
							if (row < lo || row >= hi) && v != 0 {
								t.Fatalf("tiles from %d wrote row %d", first, row)
							}
						}
					}
				}
			})
		})
	}
}

func TestScaleByte255AndNaNActivationsAreNotLost(t *testing.T) {
	r := seeded(9)
	infinite := newMXFP4(t, r, 16, 64, []byte{255}, true)
	finite := newMXFP4(t, r, 16, 64, []byte{120}, true)
	x := quantised(t, r, 2, 64, true)
	poisoned := quantised(t, r, 2, 64, true)
	poisoned[1][1] = Block{Scale: float32(math.NaN())}
	eachVariant(t, func(t *testing.T, k Kernel) {
		got := guardedRows(t, 2, 16, true)
		infinite.mul(k, got, x, 0, 1)
		for _, v := range append(got[0], got[1]...) {
			if !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) {
				t.Fatalf("scale byte 255 gives %v, want NaN or infinity", v)
			}
		}
		finite.mul(k, got, poisoned, 0, 1)
		for row, v := range got[1] {
			if v == v || got[0][row] != got[0][row] {
				t.Fatalf("row %d: %v beside NaN activations, %v of them; want a number and NaN", row, got[0][row], v)
			}
		}
	})
}

// TestOneOddScaleAmongMany has it in any place among ordinary ones, in weights and activations.
func TestOneOddScaleAmongMany(t *testing.T) {
	const rows, cols, tokens = 32, 96, 8
	scales := map[string]float32{
		"zero": 0, "the least number": math.SmallestNonzeroFloat32, "below 2^-95": 0x1.fffffep-96, "2^-95": 0x1p-95,
		"below 2^33": 0x1.fffffep32, "2^33": 0x1p33, "2^100": 0x1p100, "infinity": float32(math.Inf(1)), "NaN": float32(math.NaN()),
	}
	for _, weight := range []byte{0, 1, 95, 96, 120, 159, 160, 254, 255} {
		p := newMXFP4(t, seeded(12), rows, cols, []byte{119, 119, 120, 120, 120, 121, 121, weight}, true)
		for name, scale := range scales {
			t.Run(fmt.Sprintf("weights of %d, activations of %s", weight, name), func(t *testing.T) {
				x := quantised(t, seeded(11), tokens, cols, true)
				for i := range tokens {
					for j := range cols / BlockLen {
						before := x[i][j].Scale
						x[i][j].Scale = scale
						want := guardedRows(t, tokens, rows, true)
						p.mul(Kernel{}, want, x, 0, p.tiles)
						eachVariant(t, func(t *testing.T, k Kernel) {
							got := guardedRows(t, tokens, rows, true)
							p.mul(k, got, x, 0, p.tiles)
							for row := range want {
								wantSame(t, fmt.Sprintf("row %d, the scale in block %d of row %d", row, j, i), got[row], want[row])
							}
						})
						x[i][j].Scale = before
					}
				}
			})
		}
	}
}

func TestPackingTileByTile(t *testing.T) {
	const rows, cols = 50, 96
	r := seeded(10)
	blocks, scales, src := randomBytes(r, rows*cols/2), randomBytes(r, rows*cols/BlockLen), normal(r, rows*cols, 1)
	var parts4, parts8 []byte
	for row := 0; row < rows; row += TileRows {
		n := min(TileRows, rows-row)
		size4, err4 := MXFP4Bytes(n, cols)
		size8, err8 := Int8Bytes(n, cols)
		if err4 != nil || err8 != nil {
			t.Fatal(err4, err8)
		}
		part4, part8 := make([]byte, size4), make([]byte, size8)
		err4 = PackMXFP4(part4, blocks[row*cols/2:][:n*cols/2], scales[row*cols/32:][:n*cols/32], n, cols)
		err8 = PackInt8(part8, src[row*cols:][:n*cols], n, cols)
		if err4 != nil || err8 != nil {
			t.Fatal(err4, err8)
		}
		parts4, parts8 = append(parts4, part4...), append(parts8, part8...)
	}
	whole4, whole8 := make([]byte, len(parts4)), make([]byte, len(parts8))
	if err := PackMXFP4(whole4, blocks, scales, rows, cols); err != nil {
		t.Fatal(err)
	}
	if err := PackInt8(whole8, src, rows, cols); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(parts4, whole4) || !bytes.Equal(parts8, whole8) {
		t.Error("packing 16 rows at a time gives other bytes than packing all rows")
	}
}

func TestPackInt8KeepsWeightsWithinHalfAStep(t *testing.T) {
	r := seeded(11)
	for range 1000 {
		src := normal(r, BlockLen, math.Exp(10*r.NormFloat64()))
		scale, q, err := int8Block((*[BlockLen]float32)(src))
		if err != nil {
			t.Fatal(err)
		}
		step := float64(widen(scale))
		for i, v := range src {
			if off := math.Abs(float64(q[i])*step - float64(v)); off > step/2 {
				t.Fatalf("%v became %d × %v", v, q[i], step)
			}
		}
	}
}

// TestEightBitsCostLittle compares products of rounded activations (and weights)
// with exact ones of the numbers before rounding. A block of 32 normal numbers
// reaches about 2.4 deviations, so a step is 2.4/127 and its noise, a step over √12,
// 0.55 % of the signal; rounding the weights too adds as much again, independently.
func TestEightBitsCostLittle(t *testing.T) {
	const rows, cols = 256, 2880
	r := seeded(13)
	x, src := normal(r, cols, 3), normal(r, rows*cols, 0.02)
	blocks := [][]Block{make([]Block, cols/BlockLen)}
	Kernel{}.Quantise(blocks[0], x)
	size, err := Int8Bytes(rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	eight := Int8{rows: rows, cols: cols, data: make([]byte, size)}
	if err := PackInt8(eight.data, src, rows, cols); err != nil {
		t.Fatal(err)
	}
	four := newMXFP4(t, r, rows, cols, []byte{119, 120, 121}, true)
	k := Kernel{detect()}
	got := make([][]float32, 2)
	for i := range got {
		got[i] = make([]float32, rows)
	}
	four.mul(k, got[:1], blocks, 0, four.tiles)
	k.MulInt8(got[1:], &eight, blocks, 0, eight.Tiles())
	var noise, signal [2]float64
	for row := range rows {
		var exact [2]float64
		for c, v := range x {
			exact[0] += four.weight(row, c) * float64(v)
			exact[1] += float64(src[row*cols+c]) * float64(v)
		}
		for i := range exact {
			signal[i] += exact[i] * exact[i]
			noise[i] += (float64(got[i][row]) - exact[i]) * (float64(got[i][row]) - exact[i])
		}
	}
	for i, bound := range []float64{0.0065, 0.009} {
		if share := math.Sqrt(noise[i] / signal[i]); !(share < bound) {
			t.Errorf("noise is %.4f of the signal, want less than %v", share, bound)
		}
	}
}

func TestShapesThatCannotBe(t *testing.T) {
	_, e1 := MXFP4Bytes(16, 33)
	_, e2 := Int8Bytes(0, 32)
	_, e3 := MXFP4Bytes(1<<62, 32)
	_, e4 := NewMXFP4(make([]byte, 100), 16, 32)
	_, e5 := NewInt8(make([]byte, 100), 16, 32)
	e6 := PackMXFP4(make([]byte, 320), make([]byte, 255), make([]byte, 16), 16, 32)
	e7 := PackInt8(make([]byte, 576), make([]float32, 511), 16, 32)
	bad := make([]float32, 512)
	bad[511] = float32(math.Inf(-1))
	e8 := PackInt8(make([]byte, 576), bad, 16, 32)
	for i, err := range []error{e1, e2, e3, e4, e5, e6, e7, e8} {
		if err == nil || !strings.HasPrefix(err.Error(), "kernel: ") {
			t.Errorf("case %d: error %v, want one of this package", i+1, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a product of rows of the wrong width did not panic")
		}
	}()
	p := newMXFP4(t, seeded(1), 16, 64, []byte{120}, true)
	p.mul(Kernel{detect()}, [][]float32{make([]float32, 16)}, [][]Block{make([]Block, 1)}, 0, 1)
}

// FuzzProducts holds every variant to plain Go on any bytes that a packed file could hold.
func FuzzProducts(f *testing.F) {
	f.Add(bytes.Repeat([]byte{0x80}, 600), []byte{127, 129, 3}, uint8(1))
	f.Add(randomBytes(seeded(12), 2400), []byte{1, 2, 3, 255}, uint8(9))
	for _, weight := range []byte{0x77, 0x7f, 0x80, 0xff} { // the largest there are, of either format and sign
		packed := append(bytes.Repeat([]byte{120}, 64), bytes.Repeat([]byte{weight}, 1024)...)
		f.Add(packed, []byte{127}, uint8(10))
		f.Add(packed, []byte{129}, uint8(10))
	}
	f.Fuzz(func(t *testing.T, packed, activations []byte, tokens uint8) {
		const rows, cols = 16, 64
		x := make([][]Block, tokens%20)
		for i := range x {
			row := make([]float32, cols)
			for j := range row {
				if len(activations) > 0 {
					row[j] = float32(int8(activations[(i*cols+j)%len(activations)]))
				}
			}
			x[i] = make([]Block, cols/BlockLen)
			Kernel{}.Quantise(x[i], row)
		}
		size4, err4 := MXFP4Bytes(rows, cols)
		size8, err8 := Int8Bytes(rows, cols)
		if err4 != nil || err8 != nil {
			t.Fatal(err4, err8)
		}
		data := make([]byte, size8)
		copy(data, packed)
		four, err4 := NewMXFP4(data[:size4], rows, cols)
		eight, err8 := NewInt8(data, rows, cols)
		if err4 != nil || err8 != nil {
			t.Fatal(err4, err8)
		}
		for _, v := range variants() {
			want, got := guardedRows(t, len(x), rows, true), guardedRows(t, len(x), rows, true)
			Kernel{}.MulMXFP4(want, &four, x, 0, 1)
			Kernel{v}.MulMXFP4(got, &four, x, 0, 1)
			for i := range x {
				wantSame(t, "MXFP4", got[i], want[i])
			}
			Kernel{}.MulInt8(want, &eight, x, 0, 1)
			Kernel{v}.MulInt8(got, &eight, x, 0, 1)
			for i := range x {
				wantSame(t, "int8", got[i], want[i])
			}
		}
	})
}
