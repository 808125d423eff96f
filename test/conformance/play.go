package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// maxOutput bounds what a client may say.
const maxOutput = 4 << 20

// result is how a scenario went with a client: the line that a client prints, and whose it is.
type result struct {
	Client   string  `json:"client"`
	Scenario string  `json:"scenario"`
	OK       bool    `json:"ok"`
	Seconds  float64 `json:"seconds"`
	Error    string  `json:"error,omitempty"`
}

// play runs a client, which prints a JSON line for each scenario named in its arguments. A scenario without a line has
// failed: with what the client said last, if it ended badly.
func play(ctx context.Context, c client, command *exec.Cmd, names []string, t *target, timeout time.Duration) []result {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	run := exec.CommandContext(ctx, command.Path, append(command.Args[1:], names...)...)
	run.Cancel = func() error { return run.Process.Signal(syscall.SIGTERM) }
	run.WaitDelay = 5 * time.Second
	run.Dir = command.Dir
	run.Env = append(withoutKeys(os.Environ()), command.Env...)
	run.Env = append(run.Env, "CONFORMANCE_URL="+t.url, "CONFORMANCE_LIMITED_URL="+t.limited, keyVariable+"="+t.key, "CONFORMANCE_MODEL="+t.model)
	var stdout, stderr limited
	run.Stdout, run.Stderr = &stdout, &stderr
	err := run.Run()
	ending := "it ended without an error"
	switch {
	case ctx.Err() != nil:
		ending = fmt.Sprintf("it did not end within %s", timeout)
	case err != nil:
		ending = err.Error()
	}
	return collect(c.name, names, stdout.data, fmt.Sprintf("the client reported nothing: %s %s", ending, lastLines(stderr.data, 3)))
}

// collect reads the lines and fills in what is missing.
func collect(name string, names []string, output []byte, missing string) []result {
	var results []result
	lines := bufio.NewScanner(bytes.NewReader(output))
	lines.Buffer(nil, maxOutput)
	for lines.Scan() {
		r := result{}
		if json.Unmarshal(lines.Bytes(), &r) != nil || !slices.Contains(names, r.Scenario) {
			continue // a library's own chatter
		}
		r.Client = name
		results = append(results, r)
	}
	for _, n := range names {
		if !slices.ContainsFunc(results, func(r result) bool { return r.Scenario == n }) {
			results = append(results, result{Client: name, Scenario: n, Error: missing})
		}
	}
	return results
}

// withoutKeys keeps the settings of other servers from the libraries, which read them by themselves.
func withoutKeys(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		return strings.HasPrefix(v, "OPENAI_") || strings.HasPrefix(v, "LANGCHAIN_") || strings.HasPrefix(v, "LANGSMITH_")
	})
}

// limited keeps the first maxOutput bytes.
type limited struct{ data []byte }

func (l *limited) Write(b []byte) (int, error) {
	l.data = append(l.data, b[:min(len(b), maxOutput-len(l.data))]...)
	return len(b), nil
}

func lastLines(output []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return strings.Join(lines[max(len(lines)-n, 0):], " | ")
}
