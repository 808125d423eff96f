package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/gptoss/gptoss-operator/server/access"
	"github.com/gptoss/gptoss-operator/server/limit"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/options"
)

// Error codes of limits.
const (
	codeRateLimited  = "rate_limit_exceeded"
	codeTokenLimit   = "tokens_limit_exceeded"
	codeConcurrency  = "concurrency_limit_exceeded"
	codePromptTooBig = "request_too_large"
)

// scopes are what the paths of the API need. A path that is missing here needs a key without a list of scopes.
var scopes = map[string]access.Scope{
	"/v1/chat/completions":        access.Chat,
	"/chat/completions":           access.Chat,
	"/v1/stream-tickets":          access.Chat,
	"/v1/completions":             access.Completions,
	"/completions":                access.Completions,
	"/generate":                   access.Completions,
	"/generate_stream":            access.Completions,
	"/v1/responses":               access.Responses,
	"/v1/responses/":              access.Responses,
	"/tokenize":                   access.Tokens,
	"/v1/tokenize":                access.Tokens,
	"/detokenize":                 access.Tokens,
	"/v1/detokenize":              access.Tokens,
	"/render":                     access.Tokens,
	"/v1/chat/completions/render": access.Tokens,
	"/v1/completions/render":      access.Tokens,
	"/v1/models":                  access.Models,
	"/v1/models/":                 access.Models,
	"/info":                       access.Models,
	"/v1/metrics":                 access.Metrics,
	"/metrics":                    access.Metrics,
}

// scopeOf finds the scope of a request by the pattern that it was routed by.
func scopeOf(r *http.Request) access.Scope {
	pattern := r.Pattern
	if i := strings.IndexByte(pattern, '/'); i > 0 { // a method before it
		pattern = pattern[i:]
	}
	if i := strings.IndexByte(pattern, '{'); i >= 0 {
		pattern = pattern[:i]
	}
	return scopes[pattern]
}

// newGate lets requests in as the options say.
func newGate(c Config) (*access.Gate, error) {
	o := c.Options
	return access.New(access.Config{
		Keys: o.APIKeys, KeyFile: o.APIKeyFile, Now: c.Now, Log: c.Logger,
		JWT: access.JWT{
			Issuer: o.JWTIssuer, Audience: o.JWTAudience, JWKSURL: o.JWTJWKSURL, CAFile: o.JWTCAFile, SecretFile: o.JWTSecretFile,
			Algorithms: o.JWTAlgorithms, IdentityClaim: o.JWTIdentityClaim, ClaimPrefix: o.JWTClaimPrefix,
		},
		Networks: access.Networks{Allow: o.IPAllow, Block: o.IPBlock, Proxies: o.TrustedProxies, Header: o.ForwardedHeader},
	})
}

// newLimiter counts as the options say.
func newLimiter(c Config) (*limit.Limiter, error) {
	o := c.Options
	l := limit.Config{
		Defaults: limit.Rates{
			RequestsPerSecond: o.RateLimitRPS, Burst: o.RateLimitBurst, TokensPerMinute: o.RateLimitTPM, Concurrent: o.MaxConcurrentPerKey,
		},
		Replicas: o.RateLimitReplicas, Now: c.Now, Log: c.Logger,
	}
	if o.RedisAddress == "" {
		return limit.New(l), nil
	}
	l.Redis = &limit.Redis{
		Address: o.RedisAddress, Username: o.RedisUsername, DB: o.RedisDB, Prefix: o.RedisPrefix, Timeout: o.RedisTimeout,
	}
	if l.Redis.Prefix == "" {
		l.Redis.Prefix = "gptoss:" + o.ModelName() + ":"
	}
	if path := o.RedisPasswordFile; path != "" {
		l.Redis.Password = func() (string, error) {
			content, err := os.ReadFile(path)
			return strings.TrimRight(string(content), "\r\n"), err
		}
		if _, err := l.Redis.Password(); err != nil {
			return nil, fmt.Errorf("redis password: %w", err)
		}
	}
	var err error
	if o.RedisTLS {
		l.Redis.TLS, err = redisTLS(o)
	}
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return limit.New(l), nil
}

// redisTLS reads the certificates. The client's own is read for each connection, so that it can be renewed.
func redisTLS(o options.Options) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.RedisTLSCAFile != "" {
		pem, err := os.ReadFile(o.RedisTLSCAFile)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate", o.RedisTLSCAFile)
		}
	}
	if o.RedisTLSCertFile != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(o.RedisTLSCertFile, o.RedisTLSKeyFile)
			return &pair, err
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}

// authenticated lets requests through that may come and carry an accepted key or token, or all of them where none are
// configured.
func (s *Server) authenticated(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		n := noteOf(r)
		identity, client, err := s.gate.Enter(r)
		n.client = client
		if err != nil {
			challenge(w, r, err)
			return err
		}
		n.identity, n.tenant = identity, identity.Tenant
		return next(w, r)
	}
}

func challenge(w http.ResponseWriter, r *http.Request, err error) {
	if e, ok := errors.AsType[*openai.Error](err); ok {
		if text := access.Challenge(r, e); text != "" {
			w.Header().Set("WWW-Authenticate", text)
		}
	}
}

// permitted lets identities through that have the scope of the path and may use the model that is served.
func (s *Server) permitted(next handler) handler {
	return s.authenticated(func(w http.ResponseWriter, r *http.Request) error {
		names := append([]string{s.options.ModelName()}, s.aliases...)
		if err := s.gate.Permit(noteOf(r).identity, scopeOf(r), names...); err != nil {
			challenge(w, r, err)
			return err
		}
		return next(w, r)
	})
}

// protected is for what is open unless the options say otherwise.
func (s *Server) protected(next handler) handler {
	if s.options.MetricsAuth {
		return s.permitted(next)
	}
	return next
}

// limited counts a request against the limits of its identity, and in the end the tokens that it has used.
func (s *Server) limited(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		n := noteOf(r)
		who := n.tenant
		if who == "" {
			who = "address " + n.client.String()
		}
		p, err := s.limiter.Admit(r.Context(), who, n.identity.Limits, scopeOf(r).MakesTokens())
		p.WriteHeaders(w.Header())
		if err != nil {
			return limitExceeded(w, err)
		}
		defer p.Close()
		err = next(w, r.WithContext(context.WithValue(r.Context(), grantKey{}, &grant{p, w})))
		switch used := int64(n.usage.TotalTokens); {
		case used > 0:
			p.Settle(used)
		case err != nil:
			p.Settle(0)
		}
		return err
	}
}

// grant is what a request was let in with.
type grant struct {
	permit *limit.Permit
	writer http.ResponseWriter
}

type grantKey struct{}

// reserve takes the tokens of a prompt and of the longest answers to it from the identity's limit, or returns the 429. It
// comes before the first byte of the answer. ctx is the request's or made from it.
func (s *Server) reserve(ctx context.Context, prompt, answer int) error {
	g, ok := ctx.Value(grantKey{}).(*grant)
	if !ok {
		return nil
	}
	err := g.permit.Reserve(ctx, int64(prompt), int64(answer))
	g.permit.WriteHeaders(g.writer.Header())
	if err != nil {
		return limitExceeded(g.writer, err)
	}
	return nil
}

// reserveJob reserves what a job may take at most: each prompt once, and every answer to it.
func (s *Server) reserveJob(ctx context.Context, j *job) error {
	prompt, answers := 0, 0
	for _, c := range j.choices {
		if c.after == nil {
			prompt += len(c.request.Prompt)
		}
		if !j.idle {
			answers += min(c.request.MaxTokens, j.model.ContextLength-len(c.request.Prompt))
		}
	}
	return s.reserve(ctx, prompt, answers)
}

// limitExceeded is the 429 for a refusal. Where the limiter does not know when to come again, catch guesses.
func limitExceeded(w http.ResponseWriter, err error) error {
	refusal, ok := errors.AsType[*limit.Refusal](err)
	if !ok {
		return err
	}
	refusal.WriteRetry(w.Header())
	code := map[limit.Kind]string{limit.Requests: codeRateLimited, limit.Tokens: codeTokenLimit, limit.Concurrency: codeConcurrency}[refusal.Kind]
	if refusal.Never {
		code = codePromptTooBig
	}
	return openai.NewError(http.StatusTooManyRequests, openai.TypeRateLimit, code, "", refusal.Error())
}

// degraded says in one sentence each what does not work as configured, though requests are served.
func (s *Server) degraded() []string { return append(s.gate.Degraded(), s.limiter.Degraded()...) }

// clientAddress is where a request comes from, behind the trusted proxies.
func (s *Server) clientAddress(r *http.Request) string {
	if a := s.gate.Client(r); a.IsValid() {
		return a.String()
	}
	return remoteHost(r)
}
