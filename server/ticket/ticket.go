package ticket

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// Life is how long a ticket is good for.
	Life = time.Minute
	// MaxUsed bounds the memory for tickets that were used and have not expired. Only who was given tickets can fill it.
	MaxUsed = 1 << 16
	// maxLength is more than the largest header makes of itself.
	maxLength    = 96 << 10
	minSecret    = 32
	maxSecret    = 1 << 16
	expirySize   = 8
	purpose      = "gptoss stream ticket 1" // so that nothing else that is sealed with the secret passes for one
	nonceSize    = 12
	sweepEvery   = 1024 // used tickets between two looks for expired ones
	errorMessage = "ticket: not valid"
)

// ErrInvalid says that a ticket is forged, expired or used.
var ErrInvalid = errors.New(errorMessage)

// Box seals and opens tickets.
type Box struct {
	aead cipher.AEAD
	now  func() time.Time

	mu    sync.Mutex
	used  map[[nonceSize]byte]int64 // by nonce; the value is when it expires, in Unix milliseconds
	since int                       // opened since the last look for expired ones
}

// New makes a box with a secret, or one of its own where there is none. Boxes with equal secrets open each other's tickets,
// but each knows only what was used with itself.
func New(secret []byte, now func() time.Time) (*Box, error) {
	if secret == nil {
		secret = make([]byte, minSecret)
		rand.Read(secret)
	}
	if len(secret) < minSecret || len(secret) > maxSecret {
		return nil, fmt.Errorf("ticket: the secret must have %d to %d bytes, not %d", minSecret, maxSecret, len(secret))
	}
	key := sha256.Sum256(secret)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	return &Box{aead: aead, now: now, used: map[[nonceSize]byte]int64{}}, nil
}

// Load makes a box with the secret in a file, or one of its own where path is empty.
func Load(path string, now func() time.Time) (*Box, error) {
	if path == "" {
		return New(nil, now)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	secret, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	box, err := New(secret, now)
	if err != nil {
		return nil, fmt.Errorf("%w, in %s", err, path)
	}
	return box, nil
}

// Seal makes a ticket that stands for a credential.
func (b *Box) Seal(credential string) (ticket string, expires time.Time) {
	expires = b.now().Add(Life)
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, expirySize+len(credential)), uint64(expires.UnixMilli()))
	plain = append(plain, credential...)
	nonce := make([]byte, nonceSize, nonceSize+len(plain)+b.aead.Overhead())
	rand.Read(nonce)
	return base64.RawURLEncoding.EncodeToString(b.aead.Seal(nonce, nonce, plain, []byte(purpose))), expires
}

// Open returns what a ticket stands for, once.
func (b *Box) Open(ticket string) (credential string, err error) {
	if len(ticket) > maxLength {
		return "", ErrInvalid
	}
	sealed, err := base64.RawURLEncoding.DecodeString(ticket)
	if err != nil || len(sealed) < nonceSize {
		return "", ErrInvalid
	}
	nonce := [nonceSize]byte(sealed)
	plain, err := b.aead.Open(nil, nonce[:], sealed[nonceSize:], []byte(purpose))
	if err != nil || len(plain) < expirySize {
		return "", ErrInvalid
	}
	expires := int64(binary.BigEndian.Uint64(plain))
	if !b.use(nonce, expires) {
		return "", ErrInvalid
	}
	return string(plain[expirySize:]), nil
}

// use notes that a ticket was used and reports whether that was allowed.
func (b *Box) use(nonce [nonceSize]byte, expires int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now().UnixMilli()
	if b.since++; b.since >= sweepEvery || len(b.used) >= MaxUsed {
		b.since = 0
		for other, end := range b.used {
			if end <= now {
				delete(b.used, other)
			}
		}
	}
	if _, again := b.used[nonce]; again || expires <= now || len(b.used) >= MaxUsed {
		return false
	}
	b.used[nonce] = expires
	return true
}
