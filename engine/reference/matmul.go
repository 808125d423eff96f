package reference

import (
	"runtime"
	"sync"

	"github.com/gptoss/gptoss-operator/engine/weights"
)

// parallelWork is the number of multiplications from which splitting a product over cores pays.
const parallelWork = 1 << 18

// linear returns x·Wᵀ + b for every row of x: [T, in] → [T, out].
func linear(l weights.Linear, x [][]float32) [][]float32 {
	y := matmul(l.Weight, x)
	for _, row := range y {
		for i := range row {
			row[i] += l.Bias[i]
		}
	}
	return y
}

// matmul returns x·Wᵀ: [T, in] → [T, out].
func matmul(w weights.Matrix, x [][]float32) [][]float32 {
	y := newRows(len(x), w.Rows)
	parallelRows(w.Rows, w.Cols*len(x), func(first, last int) {
		row := make([]float32, w.Cols)
		for r := first; r < last; r++ {
			w.Row(r, row)
			for t := range x {
				y[t][r] = dot(row, x[t])
			}
		}
	})
	return y
}

// expertLinear returns W·x + b of one expert: [in] → [out].
func expertLinear(l weights.Experts, expert int, x []float32) []float32 {
	y := make([]float32, l.Rows())
	l.Bias.Row(expert, y)
	parallelRows(l.Rows(), l.Cols(), func(first, last int) {
		row := make([]float32, l.Cols())
		for r := first; r < last; r++ {
			l.Row(expert, r, row)
			y[r] += dot(row, x)
		}
	})
	return y
}

// dot sums in four interleaved parts, which is both faster and closer to the exact sum than one after the other.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	for len(a) >= 4 {
		u, v := (*[4]float32)(a), (*[4]float32)(b)
		s0 += u[0] * v[0]
		s1 += u[1] * v[1]
		s2 += u[2] * v[2]
		s3 += u[3] * v[3]
		a, b = a[4:], b[4:]
	}
	for i, v := range a {
		s0 += v * b[i]
	}
	return (s0 + s2) + (s1 + s3)
}

// parallelRows calls f on ranges that cover 0 to rows, on all cores if rows of this cost are worth it.
func parallelRows(rows, costPerRow int, f func(first, last int)) {
	workers := min(runtime.GOMAXPROCS(0), rows)
	if workers < 2 || rows*costPerRow < parallelWork {
		f(0, rows)
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { f(rows*w/workers, rows*(w+1)/workers) })
	}
	wg.Wait()
}

// newRows returns n zeroed rows of the given width in one allocation.
func newRows(n, width int) [][]float32 {
	flat := make([]float32, n*width)
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = flat[i*width : (i+1)*width : (i+1)*width]
	}
	return rows
}

// addTo adds b to a, row by row.
func addTo(a, b [][]float32) {
	for t := range a {
		for i := range a[t] {
			a[t][i] += b[t][i]
		}
	}
}
