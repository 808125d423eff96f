package certificate

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// maxFile is more than any chain of certificates takes.
	maxFile = 1 << 20
	// interval is how often the files are looked at. Their contents are compared: a mounted Secret is swapped by a link, and
	// times may be equal.
	interval = time.Second
)

// Pair is a certificate that is read again when a handshake comes and the last reading is older than a second.
type Pair struct {
	certificate, key string
	now              func() time.Time
	changed          func(error)

	mu      sync.Mutex
	content [2][]byte
	current *tls.Certificate
	read    time.Time
	failing bool
}

// Load reads the files. changed is told of every later change: nil for a new certificate, an error where the files can
// no longer be used and the old one stays.
func Load(certificate, key string, now func() time.Time, changed func(error)) (*Pair, error) {
	p := &Pair{certificate: certificate, key: key, now: now, changed: changed}
	_, err := p.load()
	return p, err
}

// Config is for a server: TLS 1.2 or later, with the certificate of the moment.
func (p *Pair) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.get, NextProtos: []string{"h2", "http/1.1"}}
}

func (p *Pair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now().Sub(p.read) < interval {
		return p.current, nil
	}
	fresh, err := p.load()
	// While one file is renewed and the other is not yet, they do not fit; that passes.
	if fresh || (err != nil && !p.failing) {
		p.changed(err)
	}
	p.failing = err != nil
	return p.current, nil
}

// load reports whether the certificate is another one. The caller holds mu or is the only one.
func (p *Pair) load() (fresh bool, err error) {
	p.read = p.now()
	certificate, err := readFile(p.certificate)
	if err != nil {
		return false, err
	}
	key, err := readFile(p.key)
	if err != nil {
		return false, err
	}
	if p.current != nil && bytes.Equal(certificate, p.content[0]) && bytes.Equal(key, p.content[1]) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return false, fmt.Errorf("certificate %s, key %s: %w", p.certificate, p.key, err)
	}
	p.content, p.current = [2][]byte{certificate, key}, &pair
	return true, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("certificate %s: must have at most %d bytes", path, maxFile)
	}
	return data, nil
}
