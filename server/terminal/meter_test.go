package terminal

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMeter lets bytes come at a known pace, once for a terminal and once for a log.
func TestMeter(t *testing.T) {
	steps := []struct {
		after time.Duration
		done  int64
	}{{0, 100}, {100 * time.Millisecond, 200}, {150 * time.Millisecond, 300}, {5 * time.Second, 10_300}, {10 * time.Second, 60_300}, {6 * time.Second, 100_000}}
	tests := map[string]struct {
		live, quiet bool
		want        string
	}{
		"terminal": {true, false, "\ropening x\x1b[K" +
			"\r300 B of 100.0 kB, 0 %, 800 B/s, 2m5s left\x1b[K\r10.3 kB of 100.0 kB, 10 %, 1.9 kB/s, 47s left\x1b[K" +
			"\r60.3 kB of 100.0 kB, 60 %, 4.0 kB/s, 10s left\x1b[K\r100.0 kB of 100.0 kB, 100 %, 5.6 kB/s, 0s left\x1b[K\r\x1b[K"},
		"log": {false, false, "opening x\n10.3 kB of 100.0 kB, 10 %, 1.9 kB/s, 47s left\n" +
			"60.3 kB of 100.0 kB, 60 %, 3.9 kB/s, 11s left\n100.0 kB of 100.0 kB, 100 %, 5.6 kB/s, 0s left\n"},
		"quiet": {true, true, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			now := time.Unix(0, 0)
			m := &Meter{Out: &out, Now: func() time.Time { return now }, Live: tc.live, Quiet: tc.quiet}
			m.Say("opening x")
			for _, s := range steps {
				now = now.Add(s.after)
				m.Progress(s.done, 100_000)
			}
			m.Clear()
			if diff := cmp.Diff(tc.want, out.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}
