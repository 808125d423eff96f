package kernel

import (
	"fmt"
	"math"
)

const (
	// TileRows is the number of rows that packed weights interleave: one row per 32-bit lane of a 512-bit register.
	TileRows = 16
	// maxTokens is how many activation rows the widest kernel multiplies with a tile at once.
	maxTokens = 8
	// align is the alignment in bytes of every part of a packed tile.
	align = 64

	nibbleBytes = TileRows * BlockLen / 2 // of one tile's block of 32 columns
)

// MXFP4 is a matrix of 4-bit floats packed in tiles of 16 rows, each tile
//
//	scales   [blocks][16 rows]                        1 byte: E8M0
//	(zeros to a multiple of 64 bytes)
//	nibbles  [blocks][j = 0…3][16 rows][b = 0…3]      1 byte: column 4j+b low, 16+4j+b high
//
// so that one 64-byte load holds, for 16 rows, 4 columns in its low nibbles and 4
// in its high ones, each row in a 32-bit lane of its own:
//
//	byte      0    1    2    3  │ 4    5    6    7  │ …  60   61   62   63
//	row       0    0    0    0  │ 1    1    1    1  │ …  15   15   15   15
//	low      4j+0 4j+1 4j+2 4j+3│4j+0 …             │    columns
//	high    16+4j …             │                   │
//
// Four columns of an activation row, broadcast to all lanes, then meet four
// columns of every row. That is 4.25 bits per weight, read front to back. Rows
// missing from the last tile are zeros.
type MXFP4 struct {
	rows, cols int
	data       []byte
}

// mxfp4Units is the value of a nibble in half units, plus 16 so that it is unsigned.
var mxfp4Units = [16]uint8{16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4}

// shape checks the size of a matrix; the bounds keep every size within 63 bits.
func shape(rows, cols int) error {
	if rows < 1 || cols < 1 || rows > 1<<26 || cols > 1<<20 || cols%BlockLen != 0 {
		return fmt.Errorf("kernel: matrix of %d rows and %d columns, want columns in blocks of %d", rows, cols, BlockLen)
	}
	return nil
}

// tileBytes returns the size of a tile's scales and of the whole tile.
func tileBytes(cols, scaleBytes, blockBytes int) (scales, tile int) {
	blocks := cols / BlockLen
	scales = (blocks*TileRows*scaleBytes + align - 1) / align * align
	return scales, scales + blocks*blockBytes
}

func tiles(rows int) int { return (rows + TileRows - 1) / TileRows }

// MXFP4Bytes returns the size of a packed matrix, or an error if there can be none of that shape.
func MXFP4Bytes(rows, cols int) (int, error) {
	if err := shape(rows, cols); err != nil {
		return 0, err
	}
	_, tile := tileBytes(cols, 1, nibbleBytes)
	return tiles(rows) * tile, nil
}

// NewMXFP4 is a view of a packed matrix. Its data should begin at a multiple of 64 bytes, for speed only.
func NewMXFP4(data []byte, rows, cols int) (MXFP4, error) {
	want, err := MXFP4Bytes(rows, cols)
	if err != nil {
		return MXFP4{}, err
	}
	if len(data) != want {
		return MXFP4{}, fmt.Errorf("kernel: %d bytes of packed MXFP4, want %d for %d×%d", len(data), want, rows, cols)
	}
	return MXFP4{rows: rows, cols: cols, data: data}, nil
}

// Rows returns the number of rows.
func (m *MXFP4) Rows() int { return m.rows }

// Cols returns the number of columns.
func (m *MXFP4) Cols() int { return m.cols }

// Tiles returns the number of tiles of [TileRows] rows, the unit in which work is split.
func (m *MXFP4) Tiles() int { return tiles(m.rows) }

// tile returns the scales and the nibbles of one tile.
func (m *MXFP4) tile(i int) (scales, nibbles []byte) {
	head, size := tileBytes(m.cols, 1, nibbleBytes)
	t := m.data[i*size : (i+1)*size]
	return t[:head], t[head:]
}

// PackMXFP4 packs blocks [rows, cols/32, 16] and scales [rows, cols/32] as OpenAI's
// checkpoints hold them (byte j of a block: column 2j low, 2j+1 high). Tiles do not
// depend on each other: packing 16 rows at a time, one result after the other,
// gives the same bytes.
func PackMXFP4(dst, blocks, scales []byte, rows, cols int) error {
	want, err := MXFP4Bytes(rows, cols)
	if err != nil {
		return err
	}
	perRow := cols / BlockLen
	if len(dst) != want || len(blocks) != rows*perRow*16 || len(scales) != rows*perRow {
		return fmt.Errorf("kernel: MXFP4 of %d×%d has %d block bytes and %d scales for %d packed bytes",
			rows, cols, len(blocks), len(scales), len(dst))
	}
	m := MXFP4{rows: rows, cols: cols, data: dst}
	for i := range m.Tiles() {
		tileScales, nibbles := m.tile(i)
		clear(tileScales)
		clear(nibbles)
		for r := range min(TileRows, rows-i*TileRows) {
			row := i*TileRows + r
			for b := range perRow {
				at := row*perRow + b
				tileScales[b*TileRows+r] = scales[at]
				packNibbles(nibbles[b*nibbleBytes:(b+1)*nibbleBytes], (*[16]byte)(blocks[at*16:]), r)
			}
		}
	}
	return nil
}

// packNibbles writes one row's block of 32 columns into its tile.
func packNibbles(dst []byte, src *[16]byte, row int) {
	for j := range 4 {
		for b := range 4 {
			low, high := 4*j+b, 16+4*j+b
			dst[j*64+row*4+b] = nibble(src, low) | nibble(src, high)<<4
		}
	}
}

// nibble returns a column of a block in the checkpoint's order.
func nibble(src *[16]byte, col int) byte { return src[col/2] >> (4 * (col % 2)) & 15 }

// MulMXFP4 computes dst[t][r] = Σ w[r][c]·x[t][c] for the rows of tiles first to
// last-1 and every activation row t. Weights are read once, however many rows x has.
// A scale byte of 255 makes its row infinite or NaN.
func (k Kernel) MulMXFP4(dst [][]float32, w *MXFP4, x [][]Block, first, last int) {
	checkProduct(dst, x, w.rows, w.cols)
	for i := first; i < last; i++ {
		scales, nibbles := w.tile(i)
		lo, hi := i*TileRows, min((i+1)*TileRows, w.rows)
		for t := 0; t < len(x); {
			var out tileSums
			n := k.mxfp4Tile(&out, scales, nibbles, x[t:])
			for j := range n {
				copy(dst[t+j][lo:hi], out[j][:])
			}
			t += n
		}
	}
}

// checkProduct panics unless all shapes fit; assembly relies on it.
func checkProduct(dst [][]float32, x [][]Block, rows, cols int) {
	if len(dst) != len(x) {
		panic("kernel: product of activation rows into another number of rows")
	}
	for t := range x {
		if len(x[t]) != cols/BlockLen || len(dst[t]) != rows {
			panic("kernel: product of rows that do not fit the matrix")
		}
	}
}

// tileSums is the product of a tile with up to 8 activation rows.
type tileSums [maxTokens][TileRows]float32

// mxfp4Tile multiplies a tile with the first rows of x and returns how many it took.
func (k Kernel) mxfp4Tile(out *tileSums, scales, nibbles []byte, x [][]Block) int {
	if k.variant != generic {
		return mulTileAssembly(k.variant, kindMXFP4, out, scales, nibbles, x)
	}
	mxfp4TileGeneric(&out[0], scales, nibbles, x[0])
	return 1
}

func mxfp4TileGeneric(out *[TileRows]float32, scales, nibbles []byte, x []Block) {
	for i := range x {
		a := &x[i]
		w := (*[nibbleBytes]byte)(nibbles[i*nibbleBytes:])
		for r := range TileRows {
			sum := a.Bias
			for j := range 4 {
				for b := range 4 {
					v := w[j*64+r*4+b]
					sum += int32(mxfp4Units[v&15])*int32(a.Q[4*j+b]) + int32(mxfp4Units[v>>4])*int32(a.Q[16+4*j+b])
				}
			}
			scale := e8m0(scales[i*TileRows+r]) * a.Scale
			out[r] = muladd(float32(sum), scale, out[r])
		}
	}
	for r := range out {
		out[r] *= 0.5 // nibbles were in half units
	}
}

// e8m0 returns 2^(b-127), and infinity for 255.
func e8m0(b byte) float32 { return math.Float32frombits(max(uint32(b)<<23, 1<<22)) }
