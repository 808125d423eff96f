package ticket

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clock is a time that the test moves.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func newBox(t *testing.T, secret string) (*Box, *clock) {
	t.Helper()
	c := &clock{time.Unix(1e9, 0)}
	b, err := New([]byte(secret), c.now)
	if err != nil {
		t.Fatal(err)
	}
	return b, c
}

var secret = strings.Repeat("s", minSecret)

func TestOnce(t *testing.T) {
	b, c := newBox(t, secret)
	ticket, expires := b.Seal("Bearer key")
	if !expires.Equal(c.Add(Life)) || strings.Contains(ticket, "key") {
		t.Errorf("ticket %s until %v", ticket, expires)
	}
	if got, err := b.Open(ticket); got != "Bearer key" || err != nil {
		t.Errorf("Open = %q, %v", got, err)
	}
	if _, err := b.Open(ticket); !errors.Is(err, ErrInvalid) {
		t.Errorf("the second time: %v", err)
	}
	if other, _ := b.Seal("Bearer key"); other == ticket {
		t.Error("two tickets are equal")
	}
}

func TestLife(t *testing.T) {
	b, c := newBox(t, secret)
	inTime, _ := b.Seal("a")
	late, _ := b.Seal("b")
	c.Time = c.Add(Life - time.Millisecond)
	if _, err := b.Open(inTime); err != nil {
		t.Errorf("at the last moment: %v", err)
	}
	c.Time = c.Add(time.Millisecond)
	if _, err := b.Open(late); !errors.Is(err, ErrInvalid) {
		t.Errorf("too late: %v", err)
	}
}

func TestOtherSecrets(t *testing.T) {
	b, _ := newBox(t, secret)
	twin, _ := newBox(t, secret)
	stranger, _ := newBox(t, secret+"t")
	ticket, _ := b.Seal("")
	if _, err := stranger.Open(ticket); !errors.Is(err, ErrInvalid) {
		t.Errorf("with another secret: %v", err)
	}
	if got, err := twin.Open(ticket); got != "" || err != nil {
		t.Errorf("with the same secret: %q, %v", got, err)
	}
}

// TestForgery changes each bit of a ticket.
func TestForgery(t *testing.T) {
	b, _ := newBox(t, secret)
	ticket, _ := b.Seal("key")
	sealed, err := base64.RawURLEncoding.DecodeString(ticket)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(sealed) {
		sealed[i/8] ^= 1 << (i % 8)
		if _, err := b.Open(base64.RawURLEncoding.EncodeToString(sealed)); !errors.Is(err, ErrInvalid) {
			t.Errorf("bit %d: %v", i, err)
		}
		sealed[i/8] ^= 1 << (i % 8)
	}
	if _, err := b.Open(ticket); err != nil {
		t.Errorf("forgeries use the real one up: %v", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	b, c := newBox(t, secret)
	for range MaxUsed {
		ticket, _ := b.Seal("")
		if _, err := b.Open(ticket); err != nil {
			t.Fatal(err)
		}
	}
	ticket, _ := b.Seal("")
	if _, err := b.Open(ticket); !errors.Is(err, ErrInvalid) {
		t.Errorf("one too many: %v", err)
	}
	c.Time = c.Add(Life)
	ticket, _ = b.Seal("")
	if _, err := b.Open(ticket); err != nil || len(b.used) != 1 {
		t.Errorf("a minute later: %v, %d remembered", err, len(b.used))
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for content, want := range map[string]string{secret: "", "short": "must have 32 to 65536 bytes, not 5, in " + path} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path, time.Now)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d bytes: %v", len(content), err)
		}
	}
	if _, err := Load(filepath.Join(path, "no"), time.Now); err == nil {
		t.Error("a file that is not there is taken")
	}
	a, err := Load("", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Load("", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ticket, _ := a.Seal("")
	if _, err := b.Open(ticket); err == nil {
		t.Error("two secrets of one's own are equal")
	}
}

func FuzzOpen(f *testing.F) {
	box, err := New([]byte(secret), time.Now)
	if err != nil {
		f.Fatal(err)
	}
	ticket, _ := box.Seal("key")
	f.Add(ticket)
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := New([]byte("another secret that is long enough"), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.Open(text); err == nil {
			t.Fatalf("%q stands for %q", text, got)
		}
	})
}
