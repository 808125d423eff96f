package access

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2025, 5, 7, 14, 20, 33, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func write(t *testing.T, path, text string) {
	t.Helper()
	// As Kubernetes does it: readers see the old or the new, never a half.
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// ring is a keyring on a file, with its clock, its log and the results it counted.
func ring(t *testing.T, text string) (k *keyring, path string, c *clock, log *strings.Builder, results *[]string) {
	t.Helper()
	path, c, log, results = filepath.Join(t.TempDir(), "keys"), newClock(), &strings.Builder{}, &[]string{}
	write(t, path, text)
	k, err := newKeyring([]string{"flag"}, path, c.now, slog.New(slog.NewTextHandler(log, nil)), func(r string) { *results = append(*results, r) })
	if err != nil {
		t.Fatal(err)
	}
	return k, path, c, log, results
}

func TestKeyringFollowsItsFile(t *testing.T) {
	k, path, c, log, results := ring(t, "one")
	expect := func(when string, want map[string]bool) {
		t.Helper()
		for key, found := range want {
			if (k.find(key) != nil) != found {
				t.Errorf("%s: %s is found: %t", when, key, !found)
			}
		}
	}
	expect("at first", map[string]bool{"one": true, "flag": true, "two": false, "": false})
	write(t, path, `{"keys":[{"identity":"two","key":"two"},{"identity":"renamed","key":"flag","scopes":["chat"]}]}`)
	c.advance(keyFileInterval - 1)
	expect("too early to look", map[string]bool{"one": true, "two": false})
	c.advance(1)
	expect("after a change of form", map[string]bool{"one": false, "two": true, "flag": true})
	if e := k.find("flag"); e == nil || e.identity.Name != "renamed" {
		t.Error("the file does not say more about a key than the flag")
	}
	write(t, path, `{"keys":[{"identity":"secret"}]}`)
	c.advance(time.Second)
	expect("with a broken file", map[string]bool{"two": true, "secret": false})
	c.advance(time.Second)
	expect("with a file that stays broken", map[string]bool{"two": true})
	if !k.failing.Load() {
		t.Error("the keyring does not say that its file is broken")
	}
	write(t, path, "three")
	c.advance(time.Second)
	expect("with a good file again", map[string]bool{"two": false, "three": true})
	if k.failing.Load() {
		t.Error("the keyring does not say that its file is good again")
	}
	if got := strings.Join(*results, " "); got != "changed error error changed" {
		t.Errorf("the results are %s", got)
	}
	text := log.String()
	if strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "exactly one of hash and key") || strings.Contains(text, "three") || strings.Contains(text, "renamed") {
		t.Errorf("the log is %s", text)
	}
}

// TestManyKeys finds each of thousands of keys, and only those.
func TestManyKeys(t *testing.T) {
	type object map[string]any
	var records []object
	for i := range 5000 {
		records = append(records, object{"identity": fmt.Sprint("team-", i), "hash": hashOf(fmt.Sprint("key-", i))})
	}
	text, err := json.Marshal(object{"keys": records})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, string(text))
	k, err := newKeyring(nil, path, newClock().now, slog.New(slog.DiscardHandler), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		e := k.find(fmt.Sprint("key-", i))
		if e == nil || e.identity.Name != fmt.Sprint("team-", i) {
			t.Fatalf("key %d leads to %v", i, e)
		}
		if k.find(fmt.Sprint("key_", i)) != nil {
			t.Fatalf("a key like key %d is found", i)
		}
	}
	if k.find(hashOf("key-1")) != nil {
		t.Error("a hash is taken for its key")
	}
}

// TestRotationUnderLoad changes the keys while many ask. A key that is in both versions is always found, and one that
// was taken out never again after a second.
func TestRotationUnderLoad(t *testing.T) {
	k, path, c, _, _ := ring(t, "stays\nround-0")
	var asking sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if k.find("stays") == nil {
					t.Error("a valid key is not found")
					return
				}
			}
		})
	}
	for round := 1; round <= 20; round++ {
		write(t, path, fmt.Sprintf("stays\nround-%d", round))
		c.advance(time.Second)
		if k.find(fmt.Sprint("round-", round-1)) != nil {
			t.Errorf("round %d: a revoked key is found after a second", round)
		}
		if k.find(fmt.Sprint("round-", round)) == nil {
			t.Errorf("round %d: the new key is not found after a second", round)
		}
	}
	close(stop)
	asking.Wait()
}
