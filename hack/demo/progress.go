package main

import (
	"fmt"
	"io"
	"time"
)

// progress prints what happens, with the seconds since the start.
type progress struct {
	out   io.Writer
	start time.Time
}

func newProgress(out io.Writer) *progress { return &progress{out: out, start: time.Now()} }

// step prints one line.
func (p *progress) step(format string, args ...any) {
	fmt.Fprintf(p.out, "[%6.1fs] %s\n", time.Since(p.start).Seconds(), fmt.Sprintf(format, args...))
}

// poll calls check every half second until it says done, fails, or the limit
// is over; the error then repeats the last thing check said.
func poll(done <-chan struct{}, limit time.Duration, check func() (ok bool, state string, err error)) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		ok, state, err := check()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("not ready after %s: %s", limit, state)
		case <-done:
			return fmt.Errorf("interrupted: %s", state)
		}
	}
}
