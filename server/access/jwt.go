package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// leeway is how far an issuer's clock may be off.
	leeway = 30 * time.Second
	// maxToken is room for a token with many claims; net/http lets a header of 64 KiB through.
	maxToken = 16 << 10
	// minSecret is what RFC 7518, section 3.2, asks of HS256.
	minSecret   = 32
	maxSecret   = 4 << 10
	secretEvery = time.Second // after which the file of the secret is read again
)

// JWT says which tokens are accepted.
type JWT struct {
	Issuer     string   // that tokens must name
	Audience   []string // one of which tokens must name
	JWKSURL    string   // where the issuer's keys are; or else
	SecretFile string   // what it signs with
	CAFile     string   // certificates that JWKSURL is trusted by; the system's where empty
	Algorithms []string // that are accepted; empty for RS256 and ES256, or HS256 with a secret
	// IdentityClaim names who it is; sub where empty.
	IdentityClaim string
	// ClaimPrefix begins the names of the claims models and limits.
	ClaimPrefix string
}

// Enabled reports whether tokens are accepted at all.
func (c JWT) Enabled() bool { return c.JWKSURL != "" || c.SecretFile != "" }

// verifier turns tokens into identities.
type verifier struct {
	config     JWT
	algorithms []jose.SignatureAlgorithm
	now        func() time.Time
	keys       *keySet // or else
	secret     *secret
}

func newVerifier(c JWT, now func() time.Time, result func(string), warn func(string, error)) (*verifier, error) {
	if c.IdentityClaim == "" {
		c.IdentityClaim = "sub"
	}
	if c.Issuer == "" || len(c.Audience) == 0 {
		return nil, errors.New("tokens: an issuer and an audience must be named, or else tokens meant for others would be accepted")
	}
	if (c.JWKSURL == "") == (c.SecretFile == "") {
		return nil, errors.New("tokens: there must be a URL of the issuer's keys or a secret, not both")
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"RS256", "ES256"}
		if c.SecretFile != "" {
			c.Algorithms = []string{"HS256"}
		}
	}
	v := &verifier{config: c, now: now}
	for _, name := range c.Algorithms {
		// With a public key as its secret, HS256 would be open to everybody.
		if strings.HasPrefix(name, "HS") != (c.SecretFile != "") {
			return nil, fmt.Errorf("tokens: %s does not go with %s", name, map[bool]string{true: "a secret", false: "public keys"}[c.SecretFile != ""])
		}
		v.algorithms = append(v.algorithms, jose.SignatureAlgorithm(name))
	}
	var err error
	if c.SecretFile != "" {
		v.secret = &secret{path: c.SecretFile, now: now}
		_, err = v.secret.current()
	} else {
		v.keys, err = newKeySet(c.JWKSURL, c.CAFile, now, result, warn)
	}
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return v, nil
}

// looksLikeToken tells a token from a key: three parts of base64url, the first of which is a JSON object.
func looksLikeToken(s string) bool { return strings.HasPrefix(s, "ey") && strings.Count(s, ".") == 2 }

// errToken is what a client may read about its token; the rest helps only who forges one.
type errToken struct{ code, message string }

func (e errToken) Error() string { return e.message }

var errUnverified = errToken{CodeInvalidToken, "The token cannot be verified."}

// verify returns who a token speaks for.
func (v *verifier) verify(ctx context.Context, text string) (*Identity, error) {
	if len(text) > maxToken {
		return nil, errUnverified
	}
	token, err := jwt.ParseSigned(text, v.algorithms)
	if err != nil || len(token.Headers) != 1 || !accessToken(token.Headers[0].ExtraHeaders[jose.HeaderType]) {
		return nil, errUnverified
	}
	key, err := v.key(ctx, token.Headers[0])
	if err != nil {
		return nil, err
	}
	var registered jwt.Claims
	claims := map[string]any{}
	if err := token.Claims(key, &registered, &claims); err != nil {
		return nil, errUnverified
	}
	if err := v.check(registered); err != nil {
		return nil, err
	}
	return v.identity(registered.Issuer, claims)
}

// accessToken refuses what the same issuer signs for other purposes, such as logging out (RFC 8725, section 3.11).
func accessToken(kind any) bool {
	if kind == nil {
		return true
	}
	name, _ := kind.(string)
	return slices.Contains([]string{"jwt", "at+jwt", "application/at+jwt", "application/jwt"}, strings.ToLower(name))
}

// degraded says what is wrong with what tokens are held to, "" for nothing.
func (v *verifier) degraded() string {
	if v.secret != nil {
		return v.secret.degraded()
	}
	return v.keys.degraded()
}

func (v *verifier) key(ctx context.Context, h jose.Header) (any, error) {
	if v.secret != nil {
		secret, err := v.secret.current()
		if err != nil {
			return nil, errUnverified
		}
		return secret, nil
	}
	key := v.keys.find(ctx, h.KeyID, h.Algorithm)
	if key == nil {
		return nil, errUnverified
	}
	return key.Key, nil
}

// check holds a token with a good signature to what it says of itself.
func (v *verifier) check(c jwt.Claims) error {
	if c.Expiry == nil {
		return errToken{CodeInvalidToken, "The token has no expiry (claim exp)."}
	}
	err := c.ValidateWithLeeway(jwt.Expected{Issuer: v.config.Issuer, AnyAudience: v.config.Audience, Time: v.now()}, leeway)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrExpired):
		return errToken{CodeTokenExpired, "The token has expired."}
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return errToken{CodeInvalidToken, "The token is not valid yet."}
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return errToken{CodeInvalidToken, "The token is from another issuer (claim iss)."}
	case errors.Is(err, jwt.ErrInvalidAudience):
		return errToken{CodeInvalidToken, "The token is for another audience (claim aud)."}
	}
	return errUnverified
}

// secret is what issuer and server share, read again when its file changes.
type secret struct {
	path string
	now  func() time.Time

	mu      sync.Mutex
	bytes   []byte
	read    time.Time
	failing atomic.Bool // health does not wait for a file
}

// degraded says what is wrong, "" for nothing.
func (s *secret) degraded() string {
	if !s.failing.Load() {
		return ""
	}
	return "The file with the secret of tokens cannot be read; the last secret stays valid."
}

// current returns the last good contents of the file, or why there never were any.
func (s *secret) current() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes != nil && s.now().Sub(s.read) < secretEvery {
		return s.bytes, nil
	}
	s.read = s.now()
	content, err := os.ReadFile(s.path)
	content = bytes.TrimRight(content, "\r\n")
	if err == nil && (len(content) < minSecret || len(content) > maxSecret) {
		err = fmt.Errorf("the secret must have %d to %d bytes", minSecret, maxSecret)
	}
	s.failing.Store(err != nil)
	if err == nil {
		s.bytes = content
	}
	if s.bytes == nil {
		return nil, fmt.Errorf("secret file: %w", err)
	}
	return s.bytes, nil
}
