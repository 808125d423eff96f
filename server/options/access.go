package options

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of limits: what lies beyond is a typing error.
const (
	maxRPS          = 1e6
	maxBurst        = 1_000_000
	maxTPM          = int64(1e12)
	maxConcurrent   = 1<<15 - 1
	maxReplicas     = 10_000
	maxRedisDB      = 1 << 20
	minRedisTimeout = 10 * time.Millisecond
	maxRedisTimeout = 10 * time.Second
	maxListEntries  = 1000
)

// jwtAlgorithms are the signatures of RFC 7518 and RFC 8037, "none" left out.
var jwtAlgorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
}

// accessParameters are the flags about who may do what, and how much.
var accessParameters = []parameter{
	text("jwt-issuer", "ISS", "issuer whose signed tokens (JWT) are accepted as keys; needs --jwt-audience and --jwt-jwks-url or --jwt-secret-file",
		func(o *Options) *string { return &o.JWTIssuer }, nil).and(checkJWT),
	list("jwt-audience", "AUD", "audiences, one of which a token must name", func(o *Options) *[]string { return &o.JWTAudience }, nil),
	text("jwt-jwks-url", "URL", "where the issuer's public keys are", func(o *Options) *string { return &o.JWTJWKSURL }, checkURL),
	text("jwt-secret-file", "PATH", "file with the secret that the issuer signs with, read again when it changes",
		func(o *Options) *string { return &o.JWTSecretFile }, nil),
	text("jwt-ca-file", "PATH", "certificates (PEM) that --jwt-jwks-url is trusted by (default: the system's)",
		func(o *Options) *string { return &o.JWTCAFile }, nil),
	list("jwt-algorithms", "ALG", "signatures that are accepted (default RS256,ES256, or HS256 with a secret)",
		func(o *Options) *[]string { return &o.JWTAlgorithms }, checkAlgorithm),
	text("jwt-identity-claim", "CLAIM", "claim that says who a token is for", func(o *Options) *string { return &o.JWTIdentityClaim }, notEmpty),
	text("jwt-claim-prefix", "TEXT", "what the names of the claims models and limits begin with",
		func(o *Options) *string { return &o.JWTClaimPrefix }, nil),
	boolean("metrics-auth", "whether the metrics need a key, one with the scope metrics", func(o *Options) *bool { return &o.MetricsAuth }),
	list("ip-allow", "NETWORK", "networks that clients may come from (default: any)", func(o *Options) *[]string { return &o.IPAllow }, checkNetwork),
	list("ip-block", "NETWORK", "networks that clients may not come from", func(o *Options) *[]string { return &o.IPBlock }, checkNetwork),
	list("trusted-proxies", "NETWORK", "networks of proxies that are believed about whom they speak for",
		func(o *Options) *[]string { return &o.TrustedProxies }, checkNetwork),
	choice("forwarded-header", "header in which trusted proxies pass on their client's address",
		func(o *Options) *string { return &o.ForwardedHeader }, "x-forwarded-for", "forwarded"),

	number("rate-limit-rps", "requests per second of each identity, and where no key is needed of each client address; 0 for any number; also from the environment variable API_RATE_LIMIT_RPS",
		func(o *Options) *float64 { return &o.RateLimitRPS }, 0, maxRPS),
	integer("rate-limit-burst", "N", "requests that may come at once (default 0: one second's worth)",
		func(o *Options) *int { return &o.RateLimitBurst }, 0, maxBurst),
	integer("rate-limit-tpm", "N", "tokens per minute of each identity, of prompts and answers; 0 for any number",
		func(o *Options) *int64 { return &o.RateLimitTPM }, 0, maxTPM),
	integer("max-concurrent-per-key", "N", "requests of each identity at the same time; 0 for any number",
		func(o *Options) *int { return &o.MaxConcurrentPerKey }, 0, maxConcurrent),
	integer("rate-limit-replicas", "N", "replicas that share the limits while Redis cannot be reached (default 0: as many as it has counted)",
		func(o *Options) *int { return &o.RateLimitReplicas }, 0, maxReplicas),
	text("redis-address", "HOST:PORT", "Redis that keeps the limits for all replicas (default: each keeps its own)",
		func(o *Options) *string { return &o.RedisAddress }, checkAddress),
	text("redis-username", "NAME", "name to log in to Redis with", func(o *Options) *string { return &o.RedisUsername }, nil),
	text("redis-password-file", "PATH", "file with the password, read for each connection", func(o *Options) *string { return &o.RedisPasswordFile }, nil),
	integer("redis-db", "N", "number of the database", func(o *Options) *int { return &o.RedisDB }, 0, maxRedisDB),
	text("redis-prefix", "TEXT", "what names in Redis begin with (default gptoss:NAME: with the model's id)", func(o *Options) *string { return &o.RedisPrefix }, checkName),
	duration("redis-timeout", "how long Redis may take before a replica enforces its share of the limits itself",
		func(o *Options) *time.Duration { return &o.RedisTimeout }, minRedisTimeout, maxRedisTimeout),
	boolean("redis-tls", "whether to speak TLS with Redis", func(o *Options) *bool { return &o.RedisTLS }),
	text("redis-tls-ca-file", "PATH", "certificates (PEM) that Redis is trusted by (default: the system's)",
		func(o *Options) *string { return &o.RedisTLSCAFile }, nil).and(checkRedisTLS),
	text("redis-tls-cert-file", "PATH", "certificate to show to Redis", func(o *Options) *string { return &o.RedisTLSCertFile }, nil),
	text("redis-tls-key-file", "PATH", "its key", func(o *Options) *string { return &o.RedisTLSKeyFile }, nil),
}

// and adds a check that needs more than one setting.
func (p parameter) and(check func(o *Options) error) parameter {
	before := p.check
	p.check = func(o *Options) error {
		if before != nil {
			if err := before(o); err != nil {
				return err
			}
		}
		return check(o)
	}
	return p
}

// list is a flag of several values with commas between; it may also be repeated.
func list(name, value, help string, field func(*Options) *[]string, check func(name, text string) error) parameter {
	return parameter{
		name: name, value: value + ",…", help: help,
		set: func(o *Options, text string) error {
			*field(o) = append(*field(o), strings.Split(text, ",")...)
			return nil
		},
		get: func(o *Options) []string {
			if len(*field(o)) == 0 {
				return nil
			}
			return []string{strings.Join(*field(o), ",")}
		},
		check: func(o *Options) error {
			if n := len(*field(o)); n > maxListEntries {
				return fmt.Errorf("--%s: must have at most %d values, not %d", name, maxListEntries, n)
			}
			for _, v := range *field(o) {
				if v == "" || strings.ContainsAny(v, ", \t\r\n") {
					return fmt.Errorf("--%s %q: must be values without spaces, with commas between", name, v)
				}
				if check == nil {
					continue
				}
				if err := check(name, v); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// checkJWT asks for all that makes tokens safe, or for nothing.
func checkJWT(o *Options) error {
	if o.JWTJWKSURL == "" && o.JWTSecretFile == "" {
		if o.JWTIssuer != "" || len(o.JWTAudience) > 0 {
			return errors.New("--jwt-issuer and --jwt-audience: one of --jwt-jwks-url and --jwt-secret-file must be set, too")
		}
		return nil
	}
	switch {
	case o.JWTJWKSURL != "" && o.JWTSecretFile != "":
		return errors.New("--jwt-jwks-url and --jwt-secret-file: must not be set together")
	case o.JWTIssuer == "":
		return errors.New("--jwt-issuer: must be set where tokens are accepted")
	case len(o.JWTAudience) == 0:
		return errors.New("--jwt-audience: must be set where tokens are accepted, or else tokens for other services would do")
	}
	for _, a := range o.JWTAlgorithms {
		// With a public key for a secret anybody could sign.
		if strings.HasPrefix(a, "HS") != (o.JWTSecretFile != "") {
			return fmt.Errorf("--jwt-algorithms %s: HS256, HS384 and HS512 go with --jwt-secret-file, the others with --jwt-jwks-url", a)
		}
	}
	return nil
}

func checkAlgorithm(name, text string) error {
	if !slices.Contains(jwtAlgorithms, text) {
		return fmt.Errorf("--%s %q: must be one of %s", name, text, strings.Join(jwtAlgorithms, ", "))
	}
	return nil
}

func checkURL(name, text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return fmt.Errorf("--%s: must be an https or http URL without a password", name)
	}
	return nil
}

// checkNetwork accepts 10.0.0.0/8, and an address as a network of one.
func checkNetwork(name, text string) error {
	p, err := netip.ParsePrefix(text)
	a := p.Addr()
	if err != nil {
		a, err = netip.ParseAddr(text)
	}
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return fmt.Errorf("--%s %q: must be networks such as 10.0.0.0/8 or IP addresses", name, text)
	}
	return nil
}

func checkAddress(name, text string) error {
	if text == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(text)
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || n == 0 || host == "" || strings.ContainsAny(host, " \t\r\n/@") {
		return fmt.Errorf("--%s %q: must be a host and a port, such as redis:6379", name, text)
	}
	return nil
}

func checkRedisTLS(o *Options) error {
	if !o.RedisTLS && (o.RedisTLSCAFile != "" || o.RedisTLSCertFile != "" || o.RedisTLSKeyFile != "") {
		return errors.New("--redis-tls-ca-file, --redis-tls-cert-file and --redis-tls-key-file: --redis-tls must be set, too")
	}
	if (o.RedisTLSCertFile == "") != (o.RedisTLSKeyFile == "") {
		return errors.New("--redis-tls-cert-file and --redis-tls-key-file: must be set together")
	}
	return nil
}
