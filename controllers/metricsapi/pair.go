package metricsapi

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	// lifetime of a certificate. It is renewed long before, so that an operator which was off for a month still serves.
	lifetime = 90 * 24 * time.Hour

	// renewBefore is when a new certificate is made.
	renewBefore = 30 * 24 * time.Hour

	// skew forgives clocks that differ.
	skew = 5 * time.Minute
)

// pair is a serving certificate and the authorities by which it, and one that other replicas may still serve, is known.
// An authority signs a single certificate, and its key is forgotten at once: there is nothing in the cluster with which
// another certificate could be made.
type pair struct {
	certificate tls.Certificate
	chain, key  []byte // PEM: the certificate and its authority, and the certificate's key
	bundle      []byte // PEM: authorities, this one's first
}

// newPair makes a certificate for a name, valid from now.
func newPair(name string, now time.Time) (*pair, error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("metricsapi: key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("metricsapi: key: %w", err)
	}
	from, until := now.Add(-skew), now.Add(lifetime)
	authority := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "gptoss-operator " + now.UTC().Format(time.RFC3339)},
		NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{name}, // of no use for any other name
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: from, NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, fmt.Errorf("metricsapi: authority: %w", err)
	}
	if authority, err = x509.ParseCertificate(authorityDER); err != nil {
		return nil, fmt.Errorf("metricsapi: authority: %w", err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), authorityKey)
	if err != nil {
		return nil, fmt.Errorf("metricsapi: certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("metricsapi: key: %w", err)
	}
	bundle := encode("CERTIFICATE", authorityDER)
	return parsePair(append(encode("CERTIFICATE", leafDER), bundle...), encode("PRIVATE KEY", keyDER), bundle, name, now)
}

// parsePair reads a pair and makes sure that clients who know the bundle will accept it now.
func parsePair(chain, key, bundle []byte, name string, now time.Time) (*pair, error) {
	certificate, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("metricsapi: certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	if _, err := certificate.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now}); err != nil {
		return nil, fmt.Errorf("metricsapi: certificate: %w", err)
	}
	return &pair{certificate: certificate, chain: chain, key: key, bundle: bundle}, nil
}

// due reports whether it is time for a new one.
func (p *pair) due(now time.Time) bool {
	return now.Add(renewBefore).After(p.certificate.Leaf.NotAfter)
}

// authority is the PEM of the pair's own authority.
func (p *pair) authority() []byte {
	block, _ := pem.Decode(p.bundle)
	if block == nil {
		return nil
	}
	return pem.EncodeToMemory(block)
}

// trusting returns the pair with a bundle in which the other one's authority stands too.
func (p *pair) trusting(other *pair) *pair {
	if other == nil || bytes.Equal(other.authority(), p.authority()) {
		return p
	}
	q := *p
	q.bundle = append(p.authority(), other.authority()...)
	return &q
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func serial() *big.Int {
	bits := make([]byte, 16)
	_, _ = rand.Read(bits) // never fails: crypto/rand ends the program instead
	bits[0] &= 0x7f
	return new(big.Int).SetBytes(bits)
}

var errNoCertificate = errors.New("metricsapi: there is no serving certificate yet")
