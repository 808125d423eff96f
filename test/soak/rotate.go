package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gptoss/gptoss-operator/test/process"
)

const (
	// revoked is how long a removed key may still be accepted.
	revoked = time.Second
	// slack is what a part may take beyond what was asked for, before its server is ended.
	slack = 5 * time.Minute
	// troubles is how many failures are told in words.
	troubles = 20
)

// rotation is what happened while keys rotated.
type rotation struct {
	Seconds   float64      `json:"seconds"`
	Rotations int          `json:"rotations"`
	Counts    rotationSums `json:"requests"`
	Troubles  []string     `json:"troubles"`
}

// rotationSums are the counters of the report.
type rotationSums struct {
	Whole    int64 `json:"answered_in_full"`
	Outlived int64 `json:"of_them_longer_than_their_key"`
	Failed   int64 `json:"failed_with_a_valid_key"`
	Refused  int64 `json:"refused_with_a_revoked_key"`
	Wrong    int64 `json:"let_in_with_a_revoked_key"`
}

func (r *rotation) broken() []string {
	var broken []string
	if r.Counts.Failed > 0 {
		broken = append(broken, fmt.Sprintf("%d requests with a valid key failed", r.Counts.Failed))
	}
	if r.Counts.Wrong > 0 {
		broken = append(broken, fmt.Sprintf("%d requests with a key revoked for %s were let in", r.Counts.Wrong, revoked))
	}
	if r.Counts.Whole == 0 || r.Counts.Refused == 0 {
		broken = append(broken, "the rotation asked nothing")
	}
	return broken
}

// rotator has the keys and counts.
type rotator struct {
	file string // of the keys
	at   *site

	keysMu sync.RWMutex
	keys   []string // in the file: the one before, the one in use, the one after

	mu    sync.Mutex
	found rotation

	revocations sync.WaitGroup // of removed keys that are still being tried
}

// count changes what was found.
func (r *rotator) count(change func(*rotationSums)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.found.Counts)
}

func (r *rotator) trouble(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.found.Troubles) < troubles {
		r.found.Troubles = append(r.found.Troubles, fmt.Sprintf(format, args...))
	}
}

// rotateKeys streams while keys come and go. A key is in the file one rotation before it is used and one after, as an
// administrator would do it who has more than one client.
func rotateKeys(ctx context.Context, s settings, out io.Writer) (found *rotation, err error) {
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &rotator{file: filepath.Join(dir, "keys"), keys: []string{newKey(), newKey(), newKey()}, found: rotation{Troubles: []string{}}}
	if err := r.write(); err != nil {
		return nil, err
	}
	server, err := process.Start(ctx, s.server, s.rotate.duration+slack, "--api-key-file="+r.file,
		fmt.Sprintf("--max-sequences=%d", min(s.rotate.streams, 64)), fmt.Sprintf("--max-queue=%d", 2*s.rotate.streams))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	fmt.Fprintf(out, "rotate: %d streams for %s, a new key every %s\n", s.rotate.streams, s.rotate.duration, s.rotate.every)
	r.at = newSite(server.URL, s.rotate.streams+10)
	defer r.at.close()
	begun := time.Now()
	ending, end := context.WithTimeout(ctx, s.rotate.duration)
	defer end()
	var all sync.WaitGroup
	for i := range s.rotate.streams {
		all.Go(func() { r.keepStreaming(ctx, ending, mathrand.New(mathrand.NewPCG(1, uint64(i)))) })
	}
	err = r.turn(ctx, ending, s, out)
	end()
	all.Wait()
	r.revocations.Wait()
	r.found.Seconds = time.Since(begun).Seconds()
	fmt.Fprintf(out, "rotate: %d rotations; %+v\n", r.found.Rotations, r.found.Counts)
	return &r.found, err
}

func newKey() string { return "sk-" + rand.Text() }

// record is a key of the file. All of them are one identity's, as those of a client are whose key is replaced.
type record struct {
	Identity string   `json:"identity"`
	Hash     string   `json:"hash"`
	Scopes   []string `json:"scopes"`
}

// write swaps the file, as a mounted Secret is swapped.
func (r *rotator) write() error {
	var file struct {
		Keys []record `json:"keys"`
	}
	for _, key := range r.keys {
		file.Keys = append(file.Keys, record{"soak", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(key))), []string{"chat"}})
	}
	content, err := json.Marshal(file)
	if err != nil {
		return err
	}
	next := r.file + ".next"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return err
	}
	return os.Rename(next, r.file)
}

// turn rotates until ending is over.
func (r *rotator) turn(ctx, ending context.Context, s settings, out io.Writer) error {
	tick := time.NewTicker(s.rotate.every)
	defer tick.Stop()
	told := time.Now()
	for {
		select {
		case <-ending.Done():
			return nil
		case <-tick.C:
		}
		r.keysMu.Lock()
		gone := r.keys[0]
		r.keys = append(r.keys[1:len(r.keys):len(r.keys)], newKey())
		err := r.write()
		r.keysMu.Unlock()
		if err != nil {
			return err
		}
		r.found.Rotations++
		since := time.Now()
		r.revocations.Go(func() { r.tryRevoked(ctx, gone, since) })
		if time.Since(told) >= 5*time.Second {
			told = time.Now()
			r.mu.Lock()
			fmt.Fprintf(out, "rotate: %d rotations; %+v\n", r.found.Rotations, r.found.Counts)
			r.mu.Unlock()
		}
	}
}

// keepStreaming asks with the key in use until ending is over; what has begun is read to its end.
func (r *rotator) keepStreaming(ctx, ending context.Context, rng *mathrand.Rand) {
	for ending.Err() == nil {
		r.keysMu.RLock()
		key := r.keys[1]
		r.keysMu.RUnlock()
		a, err := r.at.stream(ctx, key, rng, 0)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil || a.status != http.StatusOK:
			if !r.holds(key) && a.status == http.StatusUnauthorized {
				continue // it took so long to be read that its key was gone by then
			}
			r.count(func(c *rotationSums) { c.Failed++ })
			r.trouble("with a valid key: status %d, %v", a.status, err)
		default:
			outlived := !r.holds(key)
			r.count(func(c *rotationSums) {
				c.Whole++
				if outlived {
					c.Outlived++
				}
			})
		}
	}
}

// holds reports whether a key is in the file.
func (r *rotator) holds(key string) bool {
	r.keysMu.RLock()
	defer r.keysMu.RUnlock()
	return slices.Contains(r.keys, key)
}

// tryRevoked asks with a key as soon as it must be refused, and again a while later.
func (r *rotator) tryRevoked(ctx context.Context, key string, since time.Time) {
	for _, after := range []time.Duration{revoked, revoked + 50*time.Millisecond, 2 * revoked, 5 * revoked} {
		select {
		case <-time.After(time.Until(since.Add(after))):
		case <-ctx.Done():
			return
		}
		a, err := r.at.stream(ctx, key, mathrand.New(mathrand.NewPCG(2, 2)), 1)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && a.status == http.StatusUnauthorized:
			r.count(func(c *rotationSums) { c.Refused++ })
		default:
			r.count(func(c *rotationSums) { c.Wrong++ })
			r.trouble("with a key revoked for %s: status %d, %v", after, a.status, err)
		}
	}
}
