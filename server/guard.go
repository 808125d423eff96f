package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/gptoss/gptoss-operator/server/access"
	"github.com/gptoss/gptoss-operator/server/audit"
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

// What paths need that belong to no scope.
const (
	open  access.Scope = "open"  // no key
	keyed access.Scope = "keyed" // any key
)

// scopes are what the routes of the API need. One that is missing here needs a key without a list of scopes.
var scopes = map[string]access.Scope{
	"/v1/chat/completions":           access.Chat,
	"/v1/stream-tickets":             access.Chat,
	"/v1/completions":                access.Completions,
	"/completions":                   access.Completions,
	"/generate":                      access.Completions,
	"/generate_stream":               access.Completions,
	"/v1/responses":                  access.Responses,
	"/v1/responses/input_tokens":     access.Responses,
	"/v1/responses/{id}":             access.Responses,
	"/v1/responses/{id}/cancel":      access.Responses,
	"/v1/responses/{id}/input_items": access.Responses,
	"/tokenize":                      access.Tokens,
	"/detokenize":                    access.Tokens,
	"/v1/chat/completions/render":    access.Tokens,
	"/v1/models":                     access.Models,
	"/v1/models/{id...}":             access.Models,
	"/info":                          access.Models,
	"/v1/metrics":                    access.Metrics, // where they are protected
	"/metrics":                       access.Metrics,
	"/v1/health":                     open,
	"/health":                        open,
	"/readyz":                        open,
	"/livez":                         open,
	"/openapi.json":                  open, // it says nothing that is not in the repository
	"/v1/":                           keyed,
	"/{$}":                           open, // the page, which asks the API as every client does
	"/assets/":                       open,
	"/":                              open,
}

// newGate lets requests in as the options say.
func (s *Server) newGate() (*access.Gate, error) {
	o := s.options
	return access.New(access.Config{
		Keys: o.APIKeys, KeyFile: o.APIKeyFile, KeysRead: s.keysRead, Now: s.now, Log: s.log,
		JWT: access.JWT{
			Issuer: o.JWTIssuer, Audience: o.JWTAudience, JWKSURL: o.JWTJWKSURL, CAFile: o.JWTCAFile, SecretFile: o.JWTSecretFile,
			Algorithms: o.JWTAlgorithms, IdentityClaim: o.JWTIdentityClaim, ClaimPrefix: o.JWTClaimPrefix,
		},
		Networks: access.Networks{Allow: o.IPAllow, Block: o.IPBlock, Proxies: o.TrustedProxies, Header: o.ForwardedHeader},
	})
}

// keysRead records that the keys are others, or can no longer be read. At the start there is no record of that.
func (s *Server) keysRead(keys int, err error) {
	r := audit.Record{Time: s.now().UTC(), Kind: audit.KindKeysReloaded, Detail: strconv.Itoa(keys) + " keys"}
	if err != nil {
		r.Kind, r.Detail = audit.KindKeysUnreadable, err.Error()
	}
	s.audit.Record(r)
}

// newLimiter counts as the options say.
func (s *Server) newLimiter() (*limit.Limiter, error) {
	o := s.options
	l := limit.Config{
		Defaults: limit.Rates{
			RequestsPerSecond: o.RateLimitRPS, Burst: o.RateLimitBurst, TokensPerMinute: o.RateLimitTPM, Concurrent: o.MaxConcurrentPerKey,
		},
		Replicas: o.RateLimitReplicas, Now: s.now, Log: s.log,
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
		n.identity = identity
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
		if err := s.gate.Permit(noteOf(r).identity, scopes[r.Pattern], names...); err != nil {
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

// limited counts a request against the limits of its identity.
func (s *Server) limited(makesTokens bool, next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		n := noteOf(r)
		who := n.identity.Tenant
		if who == "" {
			who = "address " + n.client.String()
		}
		p, err := s.limiter.Admit(r.Context(), who, n.identity.Limits, makesTokens)
		p.WriteHeaders(w.Header())
		if err != nil {
			return limitExceeded(w, err)
		}
		defer p.Close()
		return next(w, r.WithContext(context.WithValue(r.Context(), grantKey{}, &grant{p, w})))
	}
}

// grant is what a request was let in with.
type grant struct {
	permit *limit.Permit
	writer http.ResponseWriter
}

type grantKey struct{}

// reserve takes what a job may use at most from its identity's limit of tokens, each prompt once and every answer to it, or
// returns the 429. It comes before the first byte of the answer. The job must be settled with the returned function when
// it has ended, however that was: until then it is one of those under way, even if its request has been answered.
func (s *Server) reserve(ctx context.Context, j *job) (settle func(), err error) {
	g, ok := ctx.Value(grantKey{}).(*grant)
	if !ok {
		return func() {}, nil
	}
	prompt, answers := 0, 0
	for _, c := range j.choices {
		if c.after == nil {
			prompt += len(c.request.Prompt)
		}
		if !j.idle {
			answers += min(c.request.MaxTokens, j.model.ContextLength-len(c.request.Prompt))
		}
	}
	err = g.permit.Reserve(ctx, int64(prompt), int64(answers))
	g.permit.WriteHeaders(g.writer.Header())
	if err != nil {
		return nil, limitExceeded(g.writer, err)
	}
	release := g.permit.Hold()
	return func() {
		g.permit.Settle(j.used())
		release()
	}, nil
}

// used is what a job counts for against a limit: the prompts that the engine has begun with and all tokens that it made.
func (j *job) used() (tokens int64) {
	for _, c := range j.choices {
		made := c.reader.Tokens()
		tokens += int64(made)
		if c.after == nil && (made > 0 || c.stream != nil && !c.stream.Timing().Began.IsZero()) {
			tokens += int64(len(c.request.Prompt))
		}
	}
	return tokens
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

// clientAddress is where a request comes from, behind the trusted proxies.
func (s *Server) clientAddress(r *http.Request) string {
	if a := s.gate.Client(r); a.IsValid() {
		return a.String()
	}
	return remoteHost(r)
}
