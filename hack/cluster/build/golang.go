package build

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"
)

// interval is how often a line of progress is written.
const interval = 5 * time.Second

// golang runs the go command in the module, with a build cache of its own: the
// shared one may be emptied by anybody while this build takes its minutes.
type golang struct {
	dir, cache, tmp string
	out             io.Writer
}

func (g golang) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = g.dir
	// A bigger heap between collections saves a fifth of the compiler's time.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOGC=400", "GOFLAGS=", "GOWORK=off",
		"GOCACHE="+g.cache, "GOTMPDIR="+g.tmp)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// build compiles every program of the module into bin.
func (g golang) build(ctx context.Context, bin string) error {
	start := time.Now()
	g.say("building Kubernetes %s, etcd and CoreDNS into %s; the first time this takes 10 to 20 minutes on 2 cores",
		Version, g.cache)
	list := g.command(ctx, "list", "-deps", "./cmd/...")
	var packages bytes.Buffer
	list.Stdout = &packages
	downloads := counter{prefix: "go: downloading "}
	if err := g.watch(list, &downloads, start, func() string {
		return fmt.Sprintf("%d modules downloaded", downloads.n.Load())
	}); err != nil {
		return err
	}
	total := bytes.Count(packages.Bytes(), []byte("\n"))
	args := append([]string{"build", "-v"}, flags()...)
	compiled := counter{}
	if err := g.watch(g.command(ctx, append(args, "-o", bin+"/", "./cmd/...")...), &compiled, start, func() string {
		return fmt.Sprintf("%d packages compiled of at most %d", compiled.n.Load(), total)
	}); err != nil {
		return err
	}
	g.say("built in %s", time.Since(start).Round(time.Second))
	return nil
}

// watch runs a command, counts the lines of its stderr, and says every few
// seconds how far it is.
func (g golang) watch(cmd *exec.Cmd, lines *counter, start time.Time, progress func() string) error {
	cmd.Stderr = lines
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("build: go %s: %w\n%s", cmd.Args[1], err, strings.Join(lines.other, "\n"))
			}
			return nil
		case <-tick.C:
			g.say("%s  %s", time.Since(start).Round(time.Second), progress())
		}
	}
}

func (g golang) say(format string, args ...any) {
	_, _ = fmt.Fprintf(g.out, "kube: "+format+"\n", args...)
}

// counter counts the lines written to it that start with prefix and, when
// prefix is empty, look like an import path. It keeps the last others: they
// are the compiler's errors.
type counter struct {
	prefix string
	n      atomic.Int64
	rest   []byte
	other  []string
}

func (c *counter) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	for {
		end := bytes.IndexByte(c.rest, '\n')
		if end < 0 {
			return len(p), nil
		}
		c.line(string(c.rest[:end]))
		c.rest = c.rest[end+1:]
	}
}

func (c *counter) line(s string) {
	isPath := c.prefix == "" && s != "" && !strings.ContainsAny(s, " :#\t")
	if isPath || c.prefix != "" && strings.HasPrefix(s, c.prefix) {
		c.n.Add(1)
		return
	}
	const keep = 40
	if c.other = append(c.other, s); len(c.other) > keep {
		c.other = c.other[1:]
	}
}
