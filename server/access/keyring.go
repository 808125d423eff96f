package access

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// keyFileInterval is after how long a request has the file read again; keyFileLimit is how old what was read may be
	// for a request that comes meanwhile. Together with reading they bound how long a revoked key lives: under a second.
	// The contents are compared, since a mounted Secret is swapped by a link and times may be equal.
	keyFileInterval = 400 * time.Millisecond
	keyFileLimit    = 800 * time.Millisecond
)

// keyring holds the accepted keys.
//
// A key is looked up in a map, so that thousands take no longer than one. Looking up takes a time that depends on the key,
// but only through its place in the map: that is an HMAC of the key's digest under a secret that each process draws anew,
// so that nobody outside can tell which keys have neighbouring places, let alone choose a key for its place. What is found
// there is compared with the whole digest in constant time, and an absent key is compared with a digest that nothing has.
type keyring struct {
	secret []byte
	fixed  map[digest]*entry
	path   string // "" for no file
	now    func() time.Time
	log    *slog.Logger
	// result counts how reading the file ended.
	result func(outcome string)
	// tell gets the number of keys in the file when they have changed or can be read again, and the error that begins a time
	// in which they cannot be.
	tell func(keys int, err error)

	current atomic.Pointer[reading]
	mu      sync.Mutex // held while the file is read
	content []byte
	failing atomic.Bool
}

// reading is what the file said, and when.
type reading struct {
	entries map[digest]*entry
	at      time.Time
}

// The results of reading the key file.
const (
	fileChanged = "changed"
	fileBroken  = "error"
)

func newKeyring(keys []string, path string, now func() time.Time, log *slog.Logger, result func(string)) (*keyring, error) {
	k := &keyring{secret: make([]byte, sha256.Size), path: path, now: now, log: log, result: result, tell: func(int, error) {}}
	if _, err := rand.Read(k.secret); err != nil {
		return nil, fmt.Errorf("drawing a secret: %w", err)
	}
	var entries []entry
	for i, key := range keys {
		entries = append(entries, plain(key, fmt.Sprintf("api-key-%d", i+1)))
	}
	k.fixed = k.index(entries)
	k.current.Store(&reading{})
	if path == "" {
		return k, nil
	}
	_, err := k.load()
	return k, err
}

// required reports whether a key is needed at all: a key file asks for one even while it is empty.
func (k *keyring) required() bool { return k.path != "" || len(k.fixed) > 0 }

func (k *keyring) place(d digest) digest {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write(d[:])
	return digest(mac.Sum(nil))
}

func (k *keyring) index(entries []entry) map[digest]*entry {
	m := make(map[digest]*entry, len(entries))
	for i := range entries {
		m[k.place(entries[i].digest)] = &entries[i]
	}
	return m
}

// find returns the entry of a key, whether or not it is valid now, or nil.
func (k *keyring) find(key string) *entry {
	d := sha256.Sum256([]byte(key))
	place := k.place(d)
	var found *entry
	for _, m := range []map[digest]*entry{k.fixed, k.entries()} {
		e := m[place]
		against := &digest{}
		if e != nil {
			against = &e.digest
		}
		if subtle.ConstantTimeCompare(d[:], against[:]) == 1 && e != nil {
			found = e // the file says more than a flag
		}
	}
	return found
}

// entries returns the file's keys, read again when it is time. Who comes while another request reads takes the last ones,
// unless they are too old to trust. While the file cannot be read the last keys stay valid, so that a volume that blinks
// locks nobody out.
func (k *keyring) entries() map[digest]*entry {
	last := k.current.Load()
	age := k.now().Sub(last.at)
	if k.path == "" || age < keyFileInterval {
		return last.entries
	}
	if !k.mu.TryLock() {
		if age < keyFileLimit {
			return last.entries
		}
		k.mu.Lock()
	}
	defer k.mu.Unlock()
	if k.now().Sub(k.current.Load().at) >= keyFileInterval {
		k.reload()
	}
	return k.current.Load().entries
}

// reload says once that a file is broken and once that it is not any more. The caller holds mu.
func (k *keyring) reload() {
	changed, err := k.load()
	if err != nil {
		k.result(fileBroken)
		if !k.failing.Swap(true) {
			k.log.Warn("the key file cannot be read; its last keys stay valid", "error", err.Error())
			k.tell(0, err)
		}
		return
	}
	again := k.failing.Swap(false)
	if again {
		k.log.Info("the key file can be read again")
	}
	if changed || again {
		k.tell(len(k.current.Load().entries), nil)
	}
}

// load reads the file and reports whether it says something else than before. The caller holds mu or is the only one.
func (k *keyring) load() (changed bool, err error) {
	last := k.current.Load()
	next := &reading{entries: last.entries, at: k.now()}
	defer func() { k.current.Store(next) }()
	content, err := readKeyFile(k.path)
	if err != nil {
		return false, err
	}
	if last.entries != nil && bytes.Equal(content, k.content) {
		return false, nil
	}
	entries, err := parseKeys(content)
	if err != nil {
		return false, fmt.Errorf("key file %s: %w", k.path, err)
	}
	if last.entries != nil {
		k.log.Info("the keys changed", "keys", len(entries))
		k.result(fileChanged)
	}
	k.content, next.entries = content, k.index(entries)
	return true, nil
}
