package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	// probeEvery is how often health is asked for: some thousand times in the minutes of a soak.
	probeEvery = 50 * time.Millisecond
	// probeTimeout is after what time an answer is no answer.
	probeTimeout = 10 * time.Second
)

// probes are the answers of health under load.
type probes struct {
	Asked  int     `json:"asked"`
	Failed int     `json:"failed"`
	First  string  `json:"first_failure,omitempty"`
	P50    float64 `json:"p50_ms"`
	P90    float64 `json:"p90_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
}

// probe asks for health until its input ends, and writes what it measured. It is a process of its own, so that what the
// crowd does to this one's scheduler is not taken for the server's.
func probe(ctx context.Context, url string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in) // the end is what counts
		cancel()
	}()
	var p probes
	var took []time.Duration
	client := &http.Client{Timeout: probeTimeout}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		begun := time.Now()
		err := healthy(ctx, client, url)
		if ctx.Err() != nil {
			break
		}
		took = append(took, time.Since(begun))
		if err != nil {
			p.Failed++
			if p.First == "" {
				p.First = err.Error()
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	p.Asked = len(took)
	p.P50, p.P90 = milliseconds(percentile(took, 0.5)), milliseconds(percentile(took, 0.9))
	p.P99, p.Max = milliseconds(percentile(took, 0.99)), milliseconds(percentile(took, 1))
	return json.NewEncoder(out).Encode(p)
}

// healthy asks once; degraded is an honest answer of a server with a long queue.
func healthy(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/health", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("health answered %d: %s", answer.StatusCode, body)
	}
	return nil
}

// startProbe runs probe in a process of its own; stop ends it and returns what it measured.
func startProbe(ctx context.Context, url string) (stop func() (probes, error), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, self, "--probe", url)
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	c.Stdout, c.Stderr = &out, os.Stderr
	if err := c.Start(); err != nil {
		return nil, err
	}
	return func() (p probes, err error) {
		if err := errors.Join(in.Close(), c.Wait()); err != nil {
			return p, fmt.Errorf("the probe: %w", err)
		}
		return p, json.Unmarshal([]byte(out.String()), &p)
	}, nil
}

// sample is what the server says about itself.
type sample struct {
	Memory     float64 `json:"resident_bytes"`
	HeapInUse  float64 `json:"heap_in_use_bytes"`
	HeapGoal   float64 `json:"heap_goal_bytes"` // at which the next collection begins: twice what was alive at the last
	Goroutines float64 `json:"goroutines"`
	Active     float64 `json:"active_requests"`
	Queued     float64 `json:"queued_requests"`
}

// sampleNow reads the metrics.
func (s *site) sampleNow(ctx context.Context, key string) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/metrics", http.NoBody)
	if err != nil {
		return sample{}, err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	answer, err := s.client.Do(r)
	if err != nil {
		return sample{}, err
	}
	defer answer.Body.Close()
	var all sample
	fields := map[string]*float64{
		"process_resident_memory_bytes": &all.Memory, "go_memstats_heap_inuse_bytes": &all.HeapInUse, "go_memstats_next_gc_bytes": &all.HeapGoal,
		"go_goroutines":           &all.Goroutines,
		"gpt_oss_active_requests": &all.Active, "gpt_oss_queued_requests": &all.Queued,
	}
	found := 0
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if field := fields[name]; field != nil {
			if *field, err = strconv.ParseFloat(value, 64); err != nil {
				return all, fmt.Errorf("metric %s: %w", name, err)
			}
			found++
		}
	}
	if err := lines.Err(); err != nil {
		return all, err
	}
	if found != len(fields) {
		return all, fmt.Errorf("the metrics have %d of the %d that are looked for", found, len(fields))
	}
	return all, nil
}
