package kernel

import (
	"math"
	"math/big"
	"testing"
)

// rowLengths covers widths that are, and are not, multiples of a register.
var rowLengths = []int{0, 1, 7, 8, 9, 31, 32, 100, 2880}

func TestExp(t *testing.T) {
	var worst float64
	for i := range 1 << 20 {
		x := float32(expLow + (expHigh-expLow)*float64(i)/(1<<20))
		exact := math.Exp(float64(x))
		ulp := math.Ldexp(1, math.Ilogb(exact)-23)
		worst = max(worst, math.Abs(float64(exp(x))-exact)/ulp)
	}
	if worst > 2 {
		t.Errorf("exp is wrong by %.2f units in the last place, want at most 2", worst)
	}
	for x, want := range map[float32]float64{-1e9: 0, float32(math.Inf(-1)): 0, 0: 1, 1e9: 2.4e38, float32(math.Inf(1)): 2.4e38} {
		if got := float64(exp(x)); math.Abs(got-want) > want*0.01+2e-38 {
			t.Errorf("exp(%v) = %v, want about %v", x, got, want)
		}
	}
	if got := exp(float32(math.NaN())); got == got {
		t.Errorf("exp(NaN) = %v", got)
	}
}

func TestRMSNorm(t *testing.T) {
	for _, n := range rowLengths[1:] {
		r := seeded(uint64(n))
		x, weight := normal(r, n, 30), normal(r, n, 1)
		want := make([]float32, n)
		Kernel{}.RMSNorm(want, x, weight, 1e-5)
		var square float64
		for _, v := range x {
			square += float64(v) * float64(v)
		}
		factor := 1 / math.Sqrt(square/float64(n)+1e-5)
		for i := range x {
			exact := float64(x[i]) * factor * float64(weight[i])
			if math.Abs(float64(want[i])-exact) > 2e-6*math.Abs(exact) {
				t.Fatalf("width %d: value %d is %v, want %v", n, i, want[i], exact)
			}
		}
		eachVariant(t, func(t *testing.T, k Kernel) {
			for side, atEnd := range sides {
				got := guarded[float32](t, n, atEnd)
				k.RMSNorm(got, guardedCopy(t, x, atEnd), guardedCopy(t, weight, atEnd), 1e-5)
				wantSame(t, side, got, want)
				copy(got, x)
				k.RMSNorm(got, got, weight, 1e-5)
				wantSame(t, "in place", got, want)
			}
		})
	}
}

func TestMulFloat32(t *testing.T) {
	for _, n := range rowLengths {
		const rows = 3
		r := seeded(uint64(n))
		w, x := normal(r, rows*n, 1), normal(r, n, 1)
		want := make([]float32, rows)
		Kernel{}.MulFloat32(want, w, x)
		for row := range want {
			var exact, magnitude float64
			for c, v := range x {
				exact += float64(v) * float64(w[row*n+c])
				magnitude += math.Abs(float64(v) * float64(w[row*n+c]))
			}
			if math.Abs(float64(want[row])-exact) > magnitude*1e-6 {
				t.Fatalf("width %d: row %d is %v, want %v", n, row, want[row], exact)
			}
		}
		eachVariant(t, func(t *testing.T, k Kernel) {
			for side, atEnd := range sides {
				got := guarded[float32](t, rows, atEnd)
				k.MulFloat32(got, guardedCopy(t, w, atEnd), guardedCopy(t, x, atEnd))
				wantSame(t, side, got, want)
			}
		})
	}
}

func TestRoPE(t *testing.T) {
	for _, half := range []int{1, 4, 8, 12, 32} {
		const heads = 3
		r := seeded(1)
		x, cos, sin := normal(r, heads*2*half, 3), make([]float32, half), make([]float32, half)
		for i := range cos {
			angle := r.Float64() * 100
			cos[i], sin[i] = float32(math.Cos(angle)), float32(math.Sin(angle))
		}
		want := append([]float32(nil), x...)
		Kernel{}.RoPE(want, cos, sin)
		for h := range heads {
			for i := range half {
				at := h*2*half + i
				a, b := float64(x[at]), float64(x[at+half])
				wantA := a*float64(cos[i]) - b*float64(sin[i])
				wantB := b*float64(cos[i]) + a*float64(sin[i])
				if math.Abs(float64(want[at])-wantA) > 2e-6 || math.Abs(float64(want[at+half])-wantB) > 2e-6 {
					t.Fatalf("head %d, pair %d: (%v, %v), want (%v, %v)", h, i, want[at], want[at+half], wantA, wantB)
				}
			}
		}
		eachVariant(t, func(t *testing.T, k Kernel) {
			for side, atEnd := range sides {
				got := guardedCopy(t, x, atEnd)
				k.RoPE(got, guardedCopy(t, cos, atEnd), guardedCopy(t, sin, atEnd))
				wantSame(t, side, got, want)
				k.RoPE(got[:0], cos, sin)
			}
		})
	}
}

func TestSwiGLU(t *testing.T) {
	for _, n := range rowLengths {
		x := normal(seeded(uint64(n)), 2*n, 6)
		extremes := []float32{
			7, 7, 7.01, -7.01, -7, 7.5, 1e30, -1e30, -1e30, 1e30, 0, 0, float32(math.NaN()), 1, 1, float32(math.NaN()),
			float32(math.Inf(1)), 1, 1, float32(math.Inf(-1)),
		}
		copy(x[:min(n, 10)*2], extremes)
		want := make([]float32, n)
		Kernel{}.SwiGLU(want, x)
		for i := range want {
			gate, up := min(float64(x[2*i]), 7), max(min(float64(x[2*i+1]), 7), -7)
			exact := gate / (1 + math.Exp(-1.702*gate)) * (up + 1)
			off := math.Abs(float64(want[i]) - exact)
			if off > 2e-6*math.Abs(exact)+1e-7 || math.IsNaN(exact) != math.IsNaN(float64(want[i])) {
				t.Fatalf("width %d: swiglu(%v, %v) = %v, want %v", n, x[2*i], x[2*i+1], want[i], exact)
			}
		}
		eachVariant(t, func(t *testing.T, k Kernel) {
			for side, atEnd := range sides {
				got := guarded[float32](t, n, atEnd)
				k.SwiGLU(got, guardedCopy(t, x, atEnd))
				wantSame(t, side, got, want)
			}
			both := append([]float32(nil), x...)
			k.SwiGLU(both[:n], both)
			wantSame(t, "in place", both[:n], want)
		})
	}
}

func TestAxpy(t *testing.T) {
	for _, n := range rowLengths {
		r := seeded(uint64(n))
		dst, x := normal(r, n, 1), normal(r, n, 1)
		want := append([]float32(nil), dst...)
		for i := range want {
			want[i] += float32(0.37 * x[i])
		}
		eachVariant(t, func(t *testing.T, k Kernel) {
			for side, atEnd := range sides {
				got := guardedCopy(t, dst, atEnd)
				k.Axpy(got, 0.37, guardedCopy(t, x, atEnd))
				wantSame(t, side, got, want)
			}
		})
	}
}

func TestSoftmax(t *testing.T) {
	tests := map[string][]float32{
		"nothing":            {},
		"one":                {3},
		"four":               {1.5, -0.25, 3, 2.75},
		"equal":              {2, 2, 2, 2},
		"far apart":          {80, -80, 79, 0},
		"larger than e^x is": {1000, 999, 998},
	}
	for name, x := range tests {
		t.Run(name, func(t *testing.T) {
			got := append([]float32(nil), x...)
			Kernel{}.Softmax(got)
			var sum float64
			for _, v := range x {
				sum += math.Exp(float64(v - x[0]))
			}
			for i, v := range x {
				if want := math.Exp(float64(v-x[0])) / sum; math.Abs(float64(got[i])-want) > 1e-6 {
					t.Errorf("weight %d is %v, want %v", i, got[i], want)
				}
			}
		})
	}
}

func TestMuladdRoundsOnce(t *testing.T) {
	r := seeded(11)
	twice := 0
	for range 300000 {
		a, b, c := float32(r.NormFloat64()), float32(r.NormFloat64()), float32(r.NormFloat64())
		if r.Uint32N(2) == 0 {
			// (1+x)·(1-x) times half of what c's last bit is worth: a little less than the middle between two float32, by
			// less than float64 can tell.
			x := float32(math.Ldexp(1, -16-int(r.Uint32N(7))))
			exponent := int(math.Float32bits(c)>>23&255) - 127
			a, b = 1+x, float32(math.Ldexp(float64(1-x), exponent-24))
		}
		product := new(big.Float).SetPrec(200).Mul(big.NewFloat(float64(a)), big.NewFloat(float64(b)))
		want, _ := product.Add(product, big.NewFloat(float64(c))).Float32()
		if got := muladd(a, b, c); got != want {
			t.Fatalf("muladd(%v, %v, %v) = %v, want %v", a, b, c, got, want)
		}
		if float32(math.FMA(float64(a), float64(b), float64(c))) != want {
			twice++
		}
	}
	if twice == 0 {
		t.Error("no sum was among those that rounding twice gets wrong")
	}
}
