package kernel

import "math"

// lanes is the width of the float32 kernels. Sums over a row are taken in this many
// interleaved parts, in plain Go too, so that all variants add in one order.
const lanes = 8

// What gpt-oss clamps and scales its gate with.
const (
	swigluLimit = 7
	swigluAlpha = 1.702
)

// dotLanes is the number of interleaved parts of a dot product: enough to hide the latency of an addition.
const dotLanes = 32

// muladd returns a·b + c rounded once, as fused instructions do. The product is exact in float64. Where the sum is not, its
// last bit is made odd, so that rounding it once more, to float32, goes the way the exact sum would (Boldo and Melquiond,
// "Emulation of FMA and correctly rounded sums", 2008).
func muladd(a, b, c float32) float32 {
	product, addend := float64(a)*float64(b), float64(c)
	sum := product + addend
	part := sum - product
	rest := (product - (sum - part)) + (addend - part) // what rounding the sum lost, exactly (Knuth's TwoSum)
	if bits := math.Float64bits(sum); rest != 0 && bits&1 == 0 && rest == rest {
		if rest > 0 == (sum > 0) {
			bits++
		} else {
			bits--
		}
		sum = math.Float64frombits(bits)
	}
	return float32(sum)
}

// MulFloat32 computes dst[r] = Σ w[r][c]·x[c] for the rows of an unpacked float32
// matrix, such as a router's, which is too small and too sensitive to be quantised.
func (k Kernel) MulFloat32(dst, w, x []float32) {
	if len(w) != len(dst)*len(x) {
		panic("kernel: MulFloat32: wrong number of weights")
	}
	for r := range dst {
		dst[r] = k.dot(w[r*len(x):(r+1)*len(x)], x)
	}
}

func (k Kernel) dot(a, b []float32) float32 {
	b = b[:len(a)]
	whole := len(a) / dotLanes * dotLanes
	var sums [dotLanes]float32
	if k.variant != generic && whole > 0 {
		dotAssembly(&sums, &a[0], &b[0], whole)
	} else {
		for i := 0; i < whole; i += dotLanes {
			u, v := (*[dotLanes]float32)(a[i:]), (*[dotLanes]float32)(b[i:])
			for l := range sums {
				sums[l] += float32(u[l] * v[l])
			}
		}
	}
	for l, v := range a[whole:] {
		sums[l] += float32(v * b[whole+l])
	}
	for half := dotLanes / 2; half > 0; half /= 2 {
		for l := range half {
			sums[l] += sums[l+half]
		}
	}
	return sums[0]
}

// RMSNorm writes x·weight / √(mean(x²)+eps) to dst, which may be x.
func (k Kernel) RMSNorm(dst, x, weight []float32, eps float32) {
	n := len(x)
	dst, weight = dst[:n], weight[:n]
	whole := n / lanes * lanes
	var sums [lanes]float32
	if k.variant != generic && whole > 0 {
		sumSquaresAssembly(&sums, &x[0], whole)
	} else {
		for i := 0; i < whole; i += lanes {
			for l, v := range x[i : i+lanes] {
				sums[l] += float32(v * v)
			}
		}
	}
	for l, v := range x[whole:] {
		sums[l] += float32(v * v)
	}
	total := ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
	factor := 1 / float32(math.Sqrt(float64(total/float32(n)+eps)))
	if k.variant == generic {
		whole = 0
	} else if whole > 0 {
		scaleByAssembly(&dst[0], &x[0], &weight[0], factor, whole)
	}
	for i := whole; i < n; i++ {
		dst[i] = float32(x[i]*factor) * weight[i]
	}
}

// RoPE rotates the heads of x in place. cos and sin hold the half-width tables of
// the position; element i of a head pairs with element i+len(cos).
func (k Kernel) RoPE(x, cos, sin []float32) {
	half := len(cos)
	sin = sin[:half]
	if half == 0 || len(x)%(2*half) != 0 {
		panic("kernel: RoPE: row is not a number of heads")
	}
	if k.variant != generic && half%lanes == 0 {
		if len(x) > 0 {
			ropeAssembly(&x[0], &cos[0], &sin[0], half, len(x)/(2*half))
		}
		return
	}
	for h := 0; h < len(x); h += 2 * half {
		a, b := x[h:h+half], x[h+half:h+2*half]
		for i, c := range cos {
			s, u, v := sin[i], a[i], b[i]
			a[i] = float32(u*c) - float32(v*s)
			b[i] = float32(v*c) + float32(u*s)
		}
	}
}

// SwiGLU writes min(g,7)·σ(1.702·min(g,7))·(clamp(u,-7,7)+1) to dst for the pairs
// (g, u) that gateUp holds interleaved. dst may be the first half of gateUp.
func (k Kernel) SwiGLU(dst, gateUp []float32) {
	n := len(dst)
	gateUp = gateUp[:2*n]
	whole := 0
	if k.variant != generic {
		whole = n / lanes * lanes
		if whole > 0 {
			swigluAssembly(&dst[0], &gateUp[0], whole)
		}
	}
	for i := whole; i < n; i++ {
		dst[i] = swiglu(gateUp[2*i], gateUp[2*i+1])
	}
}

func swiglu(gate, up float32) float32 {
	if swigluLimit < gate {
		gate = swigluLimit
	}
	if swigluLimit < up {
		up = swigluLimit
	}
	if -swigluLimit > up {
		up = -swigluLimit
	}
	sigmoid := 1 / (1 + exp(float32(gate*-swigluAlpha)))
	return float32(gate*sigmoid) * (up + 1)
}

// Axpy adds a·x to dst.
func (k Kernel) Axpy(dst []float32, a float32, x []float32) {
	n := len(x)
	dst = dst[:n]
	whole := 0
	if k.variant != generic {
		whole = n / lanes * lanes
		if whole > 0 {
			axpyAssembly(&dst[0], a, &x[0], whole)
		}
	}
	for i := whole; i < n; i++ {
		dst[i] += float32(a * x[i])
	}
}

// Softmax turns the few logits of a router into weights that add up to one, in place.
func (k Kernel) Softmax(x []float32) {
	if len(x) == 0 {
		return
	}
	top := x[0]
	for _, v := range x[1:] {
		top = max(top, v)
	}
	var sum float32
	for i, v := range x {
		x[i] = exp(v - top)
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}

// Constants of exp: the range in which 2ⁿ is a normal number, ln 2 in a part that
// multiplies n exactly and the rest, and the polynomial of Cephes' expf.
const (
	expLow   = -87.33654
	expHigh  = 88.37626
	log2e    = 1.44269504
	ln2Upper = 0.693359375
	ln2Lower = -2.12194440e-4
	expP0    = 1.9875691500e-4
	expP1    = 1.3981999507e-3
	expP2    = 8.3334519073e-3
	expP3    = 4.1665795894e-2
	expP4    = 1.6666665459e-1
	expP5    = 5.0000001201e-1

	// toInteger, added and taken away again, rounds a small float32 to nearest even.
	toInteger = 3 << 22
)

// exp returns eˣ within 2 units in the last place, for x cut to what a normal
// float32 can hold. Assembly takes the same steps in the same order.
func exp(x float32) float32 {
	if x != x {
		return x
	}
	x = min(max(x, expLow), expHigh)
	n := float32(x*log2e) + toInteger
	n -= toInteger
	r := x - float32(n*ln2Upper)
	r -= float32(n * ln2Lower)
	p := float32(expP0*r) + expP1
	p = float32(p*r) + expP2
	p = float32(p*r) + expP3
	p = float32(p*r) + expP4
	p = float32(p*r) + expP5
	p = float32(p*float32(r*r)) + r
	p++
	return p * math.Float32frombits(uint32(int32(n)+127)<<23)
}
