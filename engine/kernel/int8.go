package kernel

import (
	"fmt"
	"math"
)

const int8Bytes = TileRows * BlockLen // of one tile's block of 32 columns

// Int8 is a matrix of 8-bit weights with one bfloat16 scale per 32 columns, packed
// in tiles of 16 rows, each tile
//
//	scales   [blocks][16 rows]                        2 bytes: bfloat16, little-endian
//	(zeros to a multiple of 64 bytes)
//	weights  [blocks][j = 0…7][16 rows][b = 0…3]      1 byte: column 4j+b, two's complement
//
// with rows in 32-bit lanes as in [MXFP4]. That is 8.5 bits per weight. A scale is
// rounded up to bfloat16 before the weights are rounded to it, so its short
// mantissa makes the grid at most 1/128 coarser and costs no accuracy beyond that.
type Int8 struct {
	rows, cols int
	data       []byte
}

// Int8Bytes returns the size of a packed matrix, or an error if there can be none of that shape.
func Int8Bytes(rows, cols int) (int, error) {
	if err := shape(rows, cols); err != nil {
		return 0, err
	}
	_, tile := tileBytes(cols, 2, int8Bytes)
	return tiles(rows) * tile, nil
}

// NewInt8 is a view of a packed matrix. Its data should begin at a multiple of 64 bytes, for speed only.
func NewInt8(data []byte, rows, cols int) (Int8, error) {
	want, err := Int8Bytes(rows, cols)
	if err != nil {
		return Int8{}, err
	}
	if len(data) != want {
		return Int8{}, fmt.Errorf("kernel: %d bytes of packed 8-bit weights, want %d for %d×%d", len(data), want, rows, cols)
	}
	return Int8{rows: rows, cols: cols, data: data}, nil
}

// Rows returns the number of rows.
func (m *Int8) Rows() int { return m.rows }

// Cols returns the number of columns.
func (m *Int8) Cols() int { return m.cols }

// Tiles returns the number of tiles of [TileRows] rows, the unit in which work is split.
func (m *Int8) Tiles() int { return tiles(m.rows) }

// tile returns the scales and the weights of one tile.
func (m *Int8) tile(i int) (scales, weights []byte) {
	head, size := tileBytes(m.cols, 2, int8Bytes)
	t := m.data[i*size : (i+1)*size]
	return t[:head], t[head:]
}

// PackInt8 quantises and packs a float32 matrix [rows, cols]. Weights that are not
// finite are an error. As with [PackMXFP4], 16 rows may be packed at a time.
func PackInt8(dst []byte, src []float32, rows, cols int) error {
	want, err := Int8Bytes(rows, cols)
	if err != nil {
		return err
	}
	if len(dst) != want || len(src) != rows*cols {
		return fmt.Errorf("kernel: 8-bit matrix of %d×%d has %d values for %d packed bytes", rows, cols, len(src), len(dst))
	}
	m := Int8{rows: rows, cols: cols, data: dst}
	for i := range m.Tiles() {
		scales, weights := m.tile(i)
		clear(scales)
		clear(weights)
		for r := range min(TileRows, rows-i*TileRows) {
			row := src[(i*TileRows+r)*cols:][:cols]
			for b := range cols / BlockLen {
				scale, q, err := int8Block((*[BlockLen]float32)(row[b*BlockLen:]))
				if err != nil {
					return fmt.Errorf("kernel: row %d: %w", i*TileRows+r, err)
				}
				at := (b*TileRows + r) * 2
				scales[at], scales[at+1] = byte(scale), byte(scale>>8)
				for c, v := range q {
					weights[b*int8Bytes+c/4*64+r*4+c%4] = byte(v)
				}
			}
		}
	}
	return nil
}

// int8Block rounds 32 weights to a bfloat16 scale times -127…127.
func int8Block(x *[BlockLen]float32) (scale uint16, q [BlockLen]int8, err error) {
	var top float32
	for _, v := range x {
		if bits := math.Float32bits(v) & absMask; bits >= infBits {
			return 0, q, fmt.Errorf("weight %v is not finite", v)
		}
		top = max(top, v, -v)
	}
	if top < tiny {
		return 0, q, nil
	}
	scale = uint16((math.Float32bits(top/127) + 0xffff) >> 16)
	step := float64(widen(scale))
	for i, v := range x {
		q[i] = int8(math.RoundToEven(float64(v) / step))
	}
	return scale, q, nil
}

// MulInt8 computes dst[t][r] = Σ w[r][c]·x[t][c] for the rows of tiles first to
// last-1 and every activation row t. Weights are read once, however many rows x has.
func (k Kernel) MulInt8(dst [][]float32, w *Int8, x [][]Block, first, last int) {
	checkProduct(dst, x, w.rows, w.cols)
	for i := first; i < last; i++ {
		scales, weights := w.tile(i)
		lo, hi := i*TileRows, min((i+1)*TileRows, w.rows)
		for t := 0; t < len(x); {
			var out tileSums
			n := k.int8Tile(&out, scales, weights, x[t:])
			for j := range n {
				copy(dst[t+j][lo:hi], out[j][:])
			}
			t += n
		}
	}
}

// int8Tile multiplies a tile with the first rows of x and returns how many it took.
func (k Kernel) int8Tile(out *tileSums, scales, weights []byte, x [][]Block) int {
	if k.variant != generic {
		return mulTileAssembly(k.variant, kindInt8, out, scales, weights, x)
	}
	int8TileGeneric(&out[0], scales, weights, x[0])
	return 1
}

func int8TileGeneric(out *[TileRows]float32, scales, weights []byte, x []Block) {
	for i := range x {
		a := &x[i]
		w := (*[int8Bytes]byte)(weights[i*int8Bytes:])
		for r := range TileRows {
			var sum int32
			for c, q := range &a.Q {
				sum += int32(int8(w[c/4*64+r*4+c%4])) * int32(q)
			}
			at := (i*TileRows + r) * 2
			scale := widen(uint16(scales[at])|uint16(scales[at+1])<<8) * a.Scale
			out[r] = muladd(float32(sum), scale, out[r])
		}
	}
}

// widen returns the value of a bfloat16.
func widen(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }
