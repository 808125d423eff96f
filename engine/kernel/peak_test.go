package kernel

import (
	"encoding/binary"
	"testing"
)

// TestRead compares every variant with adding up word by word, at lengths around those that assembly takes, and with
// nothing readable behind the end.
func TestRead(t *testing.T) {
	eachVariant(t, func(t *testing.T, k Kernel) {
		for _, n := range []int{0, 1, 7, 8, 63, 64, 65, 511, 512, 513, 1024, 4096 + 100} {
			data := guardedCopy(t, randomBytes(seeded(3), n), true)
			padded := append(append([]byte{}, data...), make([]byte, 8)...)
			var want uint64
			for i := 0; i < n; i += 8 {
				want ^= binary.LittleEndian.Uint64(padded[i:])
			}
			if got := k.Read(data); got != want {
				t.Errorf("%d bytes give %x, want %x", n, got, want)
			}
			if allocations := testing.AllocsPerRun(1, func() { k.Read(data) }); allocations != 0 {
				t.Errorf("%d bytes: %v allocations", n, allocations)
			}
		}
	})
}

func TestPeakCounts(t *testing.T) {
	eachVariant(t, func(t *testing.T, k Kernel) {
		if one, two := k.Peak(1), k.Peak(peakBlock+1); one <= 0 || two != 2*one {
			t.Errorf("%d operations, then %d, want twice as many", one, two)
		}
		if n := testing.AllocsPerRun(1, func() { k.Peak(1) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
