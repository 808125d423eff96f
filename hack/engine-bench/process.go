package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gptoss/gptoss-operator/server/bench"
)

// usageOf is what a process took.
type usageOf struct {
	Seconds      float64  `json:"seconds"`
	ForeignCores *float64 `json:"foreign_cores"` // busy with something else meanwhile; null where nobody can tell
	PeakBytes    int64    `json:"peak_resident_bytes"`
}

// gentle lets a process end by itself when the context ends, before it is killed.
func gentle(c *exec.Cmd) {
	const grace = 20 * time.Second
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = grace
}

// limited keeps the first bytes that are written to it, from whatever goroutine.
type limited struct {
	mu   sync.Mutex
	data []byte
}

func (l *limited) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.data = append(l.data, b[:min(len(b), maxOutput-len(l.data))]...)
	return len(b), nil
}

// execute runs a command in a folder of its own, since some write files where they are. Both is what it wrote to the two
// standard streams, as it came.
func execute(ctx context.Context, command, env []string) (stdout, both []byte, used usageOf, err error) {
	dir, err := os.MkdirTemp("", "engine-bench-")
	if err != nil {
		return nil, nil, used, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	gentle(c)
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	var out, errs, all limited
	c.Stdout = io.MultiWriter(&out, &all)
	c.Stderr = io.MultiWriter(&errs, &all)
	begun := time.Now()
	busy, ok := bench.Busy()
	err = c.Run()
	after, ok2 := bench.Busy()
	passed := time.Since(begun)
	used.Seconds = passed.Seconds()
	if c.ProcessState != nil {
		own := c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		if ok && ok2 {
			foreign := max((after-busy-own).Seconds()/passed.Seconds(), 0)
			used.ForeignCores = &foreign
		}
		if r, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
			used.PeakBytes = r.Maxrss << 10 // KiB on Linux
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, lastLine(errs.data))
	}
	return out.data, all.data, used, err
}

// lastLine returns what a program said last, which is why it failed.
func lastLine(output []byte) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	line := lines[len(lines)-1]
	return line[:min(len(line), 500)]
}

// settle waits until the machine has nothing else to do, or a while.
func (s *settings) settle(ctx context.Context, say func(string, ...any)) error {
	const looks = 15
	for i := range looks {
		before, ok := bench.Busy()
		begun := time.Now()
		select {
		case <-time.After(s.look):
		case <-ctx.Done():
			return ctx.Err()
		}
		after, ok2 := bench.Busy()
		cores := (after - before).Seconds() / time.Since(begun).Seconds()
		if !ok || !ok2 || cores <= s.foreign {
			return nil
		}
		if i == 0 {
			say("something else keeps %.1f cores busy: waiting", cores)
		}
	}
	return nil
}
