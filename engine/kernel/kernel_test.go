package kernel

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// eachVariant runs a test with every variant that this processor has.
func eachVariant(t *testing.T, f func(t *testing.T, k Kernel)) {
	t.Helper()
	for _, v := range variants() {
		t.Run(variantNames[v], func(t *testing.T) { f(t, Kernel{v}) })
	}
}

// guarded returns n zeros with pages beside them that crash whoever touches them:
// the slice ends where the upper one begins, or begins where the lower one ends.
func guarded[T any](t testing.TB, n int, atEnd bool) []T {
	t.Helper()
	var zero T
	page := unix.Getpagesize()
	size := n * int(unsafe.Sizeof(zero))
	body := (size + page - 1) / page * page
	m, err := unix.Mmap(-1, 0, body+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(m); err != nil {
			t.Error(err)
		}
	})
	for _, guard := range [][]byte{m[:page], m[page+body:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		return nil
	}
	at := page
	if atEnd {
		at = page + body - size
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&m[at])), n)
}

// guardedCopy is a guarded copy of s.
func guardedCopy[T any](t testing.TB, s []T, atEnd bool) []T {
	t.Helper()
	g := guarded[T](t, len(s), atEnd)
	copy(g, s)
	return g
}

// sides names the two placements of guarded slices.
var sides = map[string]bool{"guard page above": true, "guard page below": false}

// sameBits reports whether a and b are the same number, or both NaN.
func sameBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// wantSame fails unless got has want's bits.
func wantSame(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range want {
		if !sameBits(got[i], want[i]) {
			t.Fatalf("%s: value %d is %v (%#08x), want %v (%#08x)", what, i,
				got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// normal returns n numbers of mean 0 and the given deviation.
func normal(r *rand.Rand, n int, deviation float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * deviation)
	}
	return x
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestSelect(t *testing.T) {
	best, err := Select("")
	if err != nil {
		t.Fatal(err)
	}
	if best.variant != detect() {
		t.Errorf("Select(\"\") is %v, want the best, %v", best, Kernel{detect()})
	}
	// Whoever tests under an emulator knows what it should find.
	if want := os.Getenv("GPTOSS_TEST_KERNEL"); want != "" && best.String() != want {
		t.Errorf("Select(\"\") is %v, want %s", best, want)
	}
	can := variants()
	for v, name := range variantNames {
		k, err := Select(name)
		switch {
		case slices.Contains(can, variant(v)):
			if err != nil || k.String() != name {
				t.Errorf("Select(%q) is %v and error %v", name, k, err)
			}
		case err == nil || !strings.Contains(err.Error(), "cannot run") || !strings.Contains(err.Error(), best.String()):
			t.Errorf("Select(%q) returns error %v, want one that names what can run, %v among it", name, err, best)
		}
	}
	_, err = Select("mmx")
	if want := `kernel: unknown variant "mmx", want one of generic, avx2, avx512, neon, dotprod`; err == nil || err.Error() != want {
		t.Errorf("Select(mmx) returns error %v, want %s", err, want)
	}
}

func TestQuantise(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	ramp := make([]float32, 32)
	for i := range ramp {
		ramp[i] = float32(i) - 16.5
	}
	ramp[31] = 127
	tests := map[string][]float32{
		"nothing":                           {},
		"one value":                         {-3},
		"a block of zeros":                  make([]float32, 32),
		"ties":                              ramp,
		"a NaN in the second of three":      append(append(normal(seeded(1), 40, 1), nan), normal(seeded(2), 55, 1)...),
		"a negative infinity at the end":    append(normal(seeded(1), 63, 1), -inf),
		"a NaN with its sign bit set":       append(normal(seeded(1), 31, 1), math.Float32frombits(0xffc00001)),
		"the largest numbers":               {math.MaxFloat32, -math.MaxFloat32, 1e38, 0, 1},
		"denormals":                         {1e-40, -1e-45, 0},
		"just below and above tiny":         append(append(make([]float32, 31), tiny*0.99), tiny, -tiny*1.5),
		"negative zeros":                    {float32(math.Copysign(0, -1)), 0, 1e-3},
		"a row of 2,880":                    normal(seeded(3), 2880, 2),
		"a row that ends inside of a block": normal(seeded(4), 77, 1e6),
	}
	for name, x := range tests {
		t.Run(name, func(t *testing.T) {
			want := make([]Block, Blocks(len(x)))
			Kernel{}.Quantise(want, x)
			checkBlocks(t, want, x)
			eachVariant(t, func(t *testing.T, k Kernel) {
				for side, atEnd := range sides {
					got := guarded[Block](t, len(want), atEnd)
					k.Quantise(got, guardedCopy(t, x, atEnd))
					for i := range want {
						same := got[i].Q == want[i].Q && got[i].Bias == want[i].Bias && sameBits(got[i].Scale, want[i].Scale)
						if !same {
							t.Fatalf("%s: block %d is %v, want %v", side, i, got[i], want[i])
						}
					}
				}
			})
		})
	}
}

// checkBlocks holds quantised values to half a step of the exact ones.
func checkBlocks(t *testing.T, blocks []Block, x []float32) {
	t.Helper()
	for i, b := range blocks {
		part := x[i*BlockLen : min((i+1)*BlockLen, len(x))]
		var top, sum float64
		for _, v := range part {
			top = max(top, math.Abs(float64(v))) // NaN if any is
		}
		for _, q := range b.Q {
			sum += float64(q)
		}
		finite := !math.IsNaN(top) && !math.IsInf(top, 0)
		switch {
		case float64(b.Bias) != -16*sum:
			t.Errorf("block %d: bias %d of sum %v", i, b.Bias, sum)
		case !finite && b.Scale == b.Scale:
			t.Errorf("block %d holds %v but its scale is %v, want NaN", i, top, b.Scale)
		case (!finite || top < tiny) && b.Q != [BlockLen]int8{}:
			t.Errorf("block %d of largest %v holds %v, want zeros", i, top, b.Q)
		case finite && top < tiny && b.Scale != 0:
			t.Errorf("block %d of largest %v has scale %v, want 0", i, top, b.Scale)
		case finite && top >= tiny:
			for j, v := range part {
				if off := math.Abs(float64(b.Q[j])*float64(b.Scale) - float64(v)); off > float64(b.Scale)*0.50002 {
					t.Errorf("block %d: %v became %d × %v", i, v, b.Q[j], b.Scale)
				}
			}
		}
	}
}

func TestQuantiseRoundsTiesToEven(t *testing.T) {
	x := make([]float32, BlockLen)
	copy(x, []float32{127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5})
	eachVariant(t, func(t *testing.T, k Kernel) {
		b := make([]Block, 1)
		k.Quantise(b, x)
		want := Block{Scale: 1, Bias: -16 * (127 + 2 + 2 - 2 - 2 + 126)}
		copy(want.Q[:], []int8{127, 0, 2, 2, 0, -2, -2, 126})
		if b[0] != want {
			t.Errorf("quantised to %v, want %v", b[0], want)
		}
	})
}

// quantised returns rows of activations and the values that they stand for.
func quantised(t *testing.T, r *rand.Rand, rows, cols int, atEnd bool) [][]Block {
	t.Helper()
	x := make([][]Block, rows)
	for i := range x {
		x[i] = guarded[Block](t, cols/BlockLen, atEnd)
		Kernel{}.Quantise(x[i], normal(r, cols, math.Exp(r.NormFloat64())))
		// The kernels must be right for every value that a block can hold.
		for j := range x[i] {
			switch r.IntN(6) {
			case 0:
				x[i][j].fill(127)
			case 1:
				x[i][j].fill(-127)
			}
		}
	}
	return x
}

func (b *Block) fill(q int8) {
	b.Bias = -16 * BlockLen * int32(q)
	for i := range b.Q {
		b.Q[i] = q
	}
}

// guardedRows returns rows that each lie between guard pages.
func guardedRows(t *testing.T, rows, cols int, atEnd bool) [][]float32 {
	t.Helper()
	dst := make([][]float32, rows)
	for i := range dst {
		dst[i] = guarded[float32](t, cols, atEnd)
	}
	return dst
}
