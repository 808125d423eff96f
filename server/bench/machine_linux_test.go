package bench

import (
	"testing"
	"time"
)

func TestBusyTime(t *testing.T) {
	tests := map[string]struct {
		stat string
		want time.Duration
		ok   bool
	}{
		"all fields":    {"cpu  100 20 30 4000 500 6 7 8 9 10\ncpu0 1 2 3\n", 1710 * time.Millisecond, true},
		"too few":       {"cpu  100 20 30 4000\n", 0, false},
		"another line":  {"intr 1 2 3 4 5 6 7 8 9\n", 0, false},
		"no number":     {"cpu  100 x 30 4000 500 6 7 8 9 10\n", 0, false},
		"below nothing": {"cpu  100 -2 30 4000 500 6 7 8 9 10\n", 0, false},
		"nothing":       {"", 0, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got, ok := busyTime(tc.stat); got != tc.want || ok != tc.ok {
				t.Errorf("busyTime = %v, %v, want %v, %v", got, ok, tc.want, tc.ok)
			}
		})
	}
}

func TestKibibytes(t *testing.T) {
	const text = "MemTotal:       24683544 kB\nBad: x kB\n"
	if got, ok := kibibytes(text, "MemTotal"); got != 24683544<<10 || !ok {
		t.Errorf("MemTotal is %d, %v", got, ok)
	}
	for _, name := range []string{"Bad", "None"} {
		if got, ok := kibibytes(text, name); ok {
			t.Errorf("%s is %d", name, got)
		}
	}
}

// TestThisMachine asks the machine of the test.
func TestThisMachine(t *testing.T) {
	m := machine()
	if m.MemoryBytes <= 0 || m.Cores < 1 || m.System == "" {
		t.Errorf("the machine is %+v", m)
	}
	if peak, ok := peakResident(); !ok || peak <= 0 {
		t.Errorf("peak memory of %d bytes, %v", peak, ok)
	}
	if now, ok := currentLoad(); !ok || now.busy <= 0 || now.own <= 0 {
		t.Errorf("the load is %+v, %v", now, ok)
	}
}
