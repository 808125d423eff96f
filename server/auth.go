package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/options"
)

const (
	maxKeyFile = 1 << 20
	// keyFileInterval bounds how long a revoked key lives: the file is read again when a request comes and the last
	// reading is older. Its contents are compared, since a mounted Secret is swapped by a link and times may be equal.
	keyFileInterval = 500 * time.Millisecond
)

// keyring holds the accepted keys as digests: equally long, so that comparing them takes the same time for any key.
type keyring struct {
	fixed [][sha256.Size]byte
	path  string // "" for no file
	now   func() time.Time
	log   *slog.Logger

	mu       sync.Mutex
	content  []byte
	fromFile [][sha256.Size]byte
	read     time.Time
	failing  bool
}

func newKeyring(keys []string, path string, now func() time.Time, log *slog.Logger) (*keyring, error) {
	k := &keyring{path: path, now: now, log: log}
	for _, key := range keys {
		k.fixed = append(k.fixed, sha256.Sum256([]byte(key)))
	}
	if path == "" {
		return k, nil
	}
	return k, k.load()
}

// required reports whether a key is needed at all: a key file asks for one even while it is empty.
func (k *keyring) required() bool { return k.path != "" || len(k.fixed) > 0 }

// accepts compares with every key, whether or not an earlier one fits.
func (k *keyring) accepts(key string) bool {
	digest := sha256.Sum256([]byte(key))
	found := 0
	for _, set := range [][][sha256.Size]byte{k.fixed, k.current()} {
		for i := range set {
			found |= subtle.ConstantTimeCompare(digest[:], set[i][:])
		}
	}
	return found == 1
}

// current returns the file's keys, read again when it is time. While the file cannot be read the last keys stay valid,
// so that a volume that blinks locks nobody out.
func (k *keyring) current() [][sha256.Size]byte {
	if k.path == "" {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now().Sub(k.read) >= keyFileInterval {
		err := k.load()
		if err != nil && !k.failing {
			k.log.Warn("the key file cannot be read; its last keys stay valid", "error", err.Error())
		}
		k.failing = err != nil
	}
	return k.fromFile
}

// load reads the file. The caller holds mu or is the only one.
func (k *keyring) load() error {
	k.read = k.now()
	content, err := readKeyFile(k.path)
	if err != nil {
		return err
	}
	if bytes.Equal(content, k.content) && k.fromFile != nil {
		return nil
	}
	digests := [][sha256.Size]byte{}
	for i, line := range strings.Split(string(content), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if !options.ValidKey(line) {
			return fmt.Errorf("key file %s: line %d is not a key of visible ASCII characters", k.path, i+1)
		}
		digests = append(digests, sha256.Sum256([]byte(line)))
	}
	if k.fromFile != nil {
		k.log.Info("the keys changed", "keys", len(digests))
	}
	k.content, k.fromFile = content, digests
	return nil
}

func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if len(content) > maxKeyFile {
		return nil, fmt.Errorf("key file %s: must have at most %d bytes", path, maxKeyFile)
	}
	return content, nil
}

// authenticated lets requests through that carry an accepted key, or all of them where no keys are configured.
func (s *Server) authenticated(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !s.keys.required() {
			return next(w, r)
		}
		key := bearer(r)
		message := "Incorrect API key provided."
		if key == "" {
			message = "You didn't provide an API key. Send it as a header: Authorization: Bearer YOUR_KEY."
		}
		if key == "" || !s.keys.accepts(key) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="gptoss"`)
			return openai.NewError(http.StatusUnauthorized, openai.TypeAuthentication, openai.CodeInvalidAPIKey, "", message)
		}
		noteOf(r).tenant = tenantOf(key)
		return next(w, r)
	}
}

// tenantOf names the owner of a key without telling the key. Requests without one share a name, the empty one.
func tenantOf(key string) string {
	digest := sha256.Sum256([]byte(key))
	return string(digest[:])
}

// bearer returns the key of the Authorization header; the scheme's case does not matter, the key's does.
func bearer(r *http.Request) string {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(key)
}
