package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keySetEvery is how old an issuer's keys may be before they are fetched again, beside the requests; when nobody has
	// asked for keySetWait, the next request waits for them, so that a key that was withdrawn overnight is not accepted.
	keySetEvery = 10 * time.Minute
	keySetWait  = 30 * time.Minute
	// keySetPause lies between two fetches: tokens with invented key ids must not make us a burden to the issuer.
	keySetPause   = 10 * time.Second
	keySetTimeout = 5 * time.Second
	maxKeySet     = 1 << 20
	maxSetKeys    = 100
	minRSABits    = 2048
)

// keySet is an issuer's public keys. The last ones stay valid while the issuer cannot be reached.
type keySet struct {
	url    string
	client *http.Client
	now    func() time.Time
	result func(outcome string)
	warn   func(message string, err error)

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time     // when they came; zero for never
	tried   time.Time     // when they were last asked for
	flight  chan struct{} // closed when the fetch under way has ended; nil for none
	failing bool
}

// The results of fetching the keys.
const (
	fetchOK     = "success"
	fetchFailed = "error"
)

// newKeySet begins to fetch the keys. An issuer that is away keeps nobody from starting.
func newKeySet(url, caFile string, now func() time.Time, result func(string), warn func(string, error)) (*keySet, error) {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: keySetTimeout, ResponseHeaderTimeout: keySetTimeout,
		MaxIdleConns: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("certificates of the issuer: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificates of the issuer: %s has none", caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	s := &keySet{
		url: url, now: now, result: result, warn: warn,
		client: &http.Client{
			Transport: transport, Timeout: keySetTimeout,
			// Another address than the configured one is not to be trusted with who may come in.
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return errors.New("the address redirects elsewhere, which is not followed")
			},
		},
	}
	s.refresh()
	return s, nil
}

// find returns the key of a token, or nil. An unknown id has the keys fetched, at most once in keySetPause.
func (s *keySet) find(ctx context.Context, id, algorithm string) *jose.JSONWebKey {
	key, age := s.lookup(id, algorithm)
	if key != nil && age < keySetEvery {
		return key
	}
	flight := s.refresh()
	if flight == nil || key != nil && age < keySetWait {
		return key
	}
	select {
	case <-flight:
	case <-ctx.Done():
	}
	key, _ = s.lookup(id, algorithm)
	return key
}

// lookup also returns the age of the keys. A token without an id takes the key that is the only one for its algorithm.
func (s *keySet) lookup(id, algorithm string) (*jose.JSONWebKey, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := s.now().Sub(s.fetched)
	var found *jose.JSONWebKey
	for i := range s.keys {
		k := &s.keys[i]
		if id != "" && k.KeyID != id || !fits(k, algorithm) {
			continue
		}
		if found != nil {
			return nil, age
		}
		found = k
	}
	return found, age
}

// fits reports whether a key is for an algorithm. Where the key does not say, its type does.
func fits(k *jose.JSONWebKey, algorithm string) bool {
	if k.Algorithm != "" {
		return k.Algorithm == algorithm
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return slices.Contains([]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, algorithm)
	case *ecdsa.PublicKey:
		return algorithm == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[key.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

// refresh begins to fetch the keys unless that was tried a moment ago, and returns what tells that the fetch under way
// has ended; nil where there is none.
func (s *keySet) refresh() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.flight != nil || !s.tried.IsZero() && now.Sub(s.tried) < keySetPause {
		return s.flight
	}
	flight := make(chan struct{})
	s.tried, s.flight = now, flight
	go func() {
		defer close(flight)
		keys, err := s.fetch()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.flight = nil
		if err != nil {
			s.result(fetchFailed)
			if !s.failing {
				s.warn("the issuer's keys cannot be fetched; the last ones stay valid", err)
			}
			s.failing = true
			return
		}
		s.result(fetchOK)
		s.keys, s.fetched, s.failing = keys, now, false
	}()
	return flight
}

func (s *keySet) fetch() ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(context.Background(), keySetTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("the issuer's keys: %w", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the issuer's keys: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer's keys: status %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("the issuer's keys: %w", err)
	}
	return parseKeySet(body)
}

// parseKeySet takes the keys that can verify signatures. What is for other purposes, or of a kind that is not known, may
// stand beside them; a set without any is an error, so that a broken page does not replace good keys.
func parseKeySet(body []byte) ([]jose.JSONWebKey, error) {
	if len(body) > maxKeySet {
		return nil, fmt.Errorf("the issuer's keys: more than %d bytes", maxKeySet)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("the issuer's keys: the answer is not a JSON Web Key Set")
	}
	if len(set.Keys) > maxSetKeys {
		return nil, fmt.Errorf("the issuer's keys: more than %d", maxSetKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(raw); err != nil || !k.IsPublic() || k.Use != "" && k.Use != "sig" {
			continue
		}
		if r, ok := k.Key.(*rsa.PublicKey); ok && r.N.BitLen() < minRSABits {
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("the issuer's keys: none that verifies signatures")
	}
	return keys, nil
}

// degraded says what is wrong, "" for nothing.
func (s *keySet) degraded() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.failing:
		return ""
	case s.fetched.IsZero():
		return "The token issuer's keys cannot be fetched, so no token is accepted."
	}
	return "The token issuer's keys cannot be fetched; the last ones stay valid."
}
