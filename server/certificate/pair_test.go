package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// write makes a certificate with a serial number and puts it and its key into the files.
func write(t *testing.T, serial int64, certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if path == "" {
			continue
		}
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRenewal renews a certificate in two steps, as it may look from outside: the files do not fit in between.
func TestRenewal(t *testing.T) {
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write(t, 1, certificate, key)
	now := time.Unix(1e9, 0)
	var changes []error
	p, err := Load(certificate, key, func() time.Time { return now }, func(err error) { changes = append(changes, err) })
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		t.Helper()
		c, err := p.Config().GetCertificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.SerialNumber.Int64()
	}
	other := filepath.Join(dir, "other")
	steps := []struct {
		what    string
		do      func()
		want    int64
		changes int
		failed  bool // the last change
	}{
		{"nothing changed", func() {}, 1, 0, false},
		{"the certificate is there, the key not yet", func() { write(t, 2, certificate, other) }, 1, 1, true},
		{"it still is not", func() {}, 1, 1, true},
		{"now it is", func() {
			if err := os.Rename(other, key); err != nil {
				t.Fatal(err)
			}
		}, 2, 2, false},
		{"the volume is gone", func() {
			if err := os.Remove(key); err != nil {
				t.Fatal(err)
			}
		}, 2, 3, true},
		{"it is back, with another", func() { write(t, 3, certificate, key) }, 3, 4, false},
		{"the key is endless", func() {
			if err := os.WriteFile(key, make([]byte, maxFile+1), 0o600); err != nil {
				t.Fatal(err)
			}
		}, 3, 5, true},
	}
	for _, tc := range steps {
		tc.do()
		now = now.Add(interval)
		if got := serial(); got != tc.want || len(changes) != tc.changes {
			t.Fatalf("%s: certificate %d, want %d; changes %v", tc.what, got, tc.want, changes)
		}
		if len(changes) > 0 && (changes[len(changes)-1] != nil) != tc.failed {
			t.Errorf("%s: the change is %v", tc.what, changes[len(changes)-1])
		}
	}
	write(t, 4, certificate, key)
	if got := serial(); got != 3 {
		t.Errorf("the files were read again at once, for certificate %d", got)
	}
	if _, err := Load(other, key, time.Now, nil); err == nil {
		t.Error("loaded a certificate that is not there")
	}
	if v := p.Config().MinVersion; v != tls.VersionTLS12 {
		t.Errorf("TLS from version %x on", v)
	}
}
