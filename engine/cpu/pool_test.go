package cpu

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
)

// TestPoolRunsEveryItemOnceAndInOrder runs programs whose phases check that the phase before is complete.
func TestPoolRunsEveryItemOnceAndInOrder(t *testing.T) {
	for name, tc := range map[string]struct{ threads, spins int }{
		"one worker":                         {1, 0},
		"two that spin":                      {2, 100},
		"two that park at once":              {2, 0},
		"more than there are cores, spin":    {2*runtime.NumCPU() + 1, 10},
		"more than there are cores, parking": {2*runtime.NumCPU() + 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			sizes := []int{1, 0, 37, 1000, 2, 100}
			counts := make([][]atomic.Int32, len(sizes))
			for i, n := range sizes {
				counts[i] = make([]atomic.Int32, n)
			}
			var ends atomic.Int32 // phases whose end was announced
			var early atomic.Int32
			var p *pool
			p = newPool(tc.threads, tc.spins, func(id int) {
				for i, n := range sizes {
					p.each(id, n, func(first, last int) {
						if int(ends.Load()) != i {
							early.Add(1)
						}
						for ; first < last; first++ {
							counts[i][first].Add(1)
						}
					}, func() { ends.Add(1) })
				}
			})
			const steps = 50
			for s := range steps {
				ends.Store(0)
				if err := p.step(); err != nil {
					t.Fatal(err)
				}
				if int(ends.Load()) != len(sizes) || early.Load() != 0 {
					t.Fatalf("step %d: %d phases ended, %d pieces began before their phase", s, ends.Load(), early.Load())
				}
			}
			p.close()
			for i := range counts {
				for j := range counts[i] {
					if n := counts[i][j].Load(); n != steps {
						t.Errorf("phase %d, item %d ran %d times, want %d", i, j, n, steps)
					}
				}
			}
		})
	}
}

func TestPoolLeavesOutWhatFollowsAPanic(t *testing.T) {
	for name, tc := range map[string]struct{ inItem, inEnd bool }{
		"in an item":             {true, false},
		"at the end of a phase":  {false, true},
		"in an item and the end": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			var later atomic.Int32
			var p *pool
			p = newPool(3, 10, func(id int) {
				p.each(id, 30, func(first, _ int) {
					if broken.Load() && tc.inItem && first > 10 {
						panic("item")
					}
				}, func() {
					if broken.Load() && tc.inEnd {
						panic("end")
					}
				})
				p.each(id, 10, func(first, last int) { later.Add(int32(last - first)) }, nil)
			})
			defer p.close()
			for s := range 20 {
				broken.Store(s%2 == 0)
				later.Store(0)
				err := p.step()
				var failure *PanicError
				if errors.As(err, &failure) != broken.Load() {
					t.Fatalf("step %d: error %v, want one: %t", s, err, broken.Load())
				}
				if n := later.Load(); (n == 0) != broken.Load() {
					t.Fatalf("step %d: %d items of the phase after, want them only without a panic", s, n)
				}
			}
		})
	}
}

func TestPoolGivesItsWorkersBack(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 10 {
		var p *pool
		p = newPool(4, 10, func(id int) { p.each(id, 4, func(_, _ int) {}, nil) })
		if err := p.step(); err != nil {
			t.Fatal(err)
		}
		p.close()
	}
	after := runtime.NumGoroutine()
	for tries := 0; after > before && tries < 100_000; tries++ {
		runtime.Gosched() // a goroutine that is done counts until it has been taken apart
		after = runtime.NumGoroutine()
	}
	if after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}
