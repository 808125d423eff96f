package options

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// generateAccess adds valid settings about who may do what, and how much.
func generateAccess(o *Options, r *rand.Rand, maybe func(func()), word func() string, pick func(...string) string) {
	networks := func() []string {
		return []string{pick("10.0.0.0/8", "192.0.2.7"), pick("2001:db8::/32", "::1")}[:1+r.IntN(2)]
	}
	maybe(func() {
		o.JWTIssuer, o.JWTAudience = word(), []string{strings.ReplaceAll(word(), ",", "") + "x", "other"}
		if r.IntN(2) == 0 {
			o.JWTSecretFile = word()
			maybe(func() { o.JWTAlgorithms = []string{"HS256", "HS512"} })
			return
		}
		o.JWTJWKSURL = "https://issuer/keys"
		maybe(func() { o.JWTCAFile = word() })
		maybe(func() { o.JWTAlgorithms = []string{"EdDSA"} })
	})
	maybe(func() { o.JWTIdentityClaim = word() })
	maybe(func() { o.JWTClaimPrefix = pick("", "https://example.com/") })
	maybe(func() { o.MetricsAuth = true })
	maybe(func() { o.IPAllow = networks() })
	maybe(func() { o.IPBlock = networks() })
	maybe(func() { o.TrustedProxies = networks() })
	maybe(func() { o.ForwardedHeader = pick("x-forwarded-for", "forwarded") })
	maybe(func() { o.RateLimitRPS = maxRPS * r.Float64() })
	maybe(func() { o.RateLimitBurst = r.IntN(maxBurst + 1) })
	maybe(func() { o.RateLimitTPM = r.Int64N(maxTPM + 1) })
	maybe(func() { o.MaxConcurrentPerKey = r.IntN(maxConcurrent + 1) })
	maybe(func() { o.RateLimitReplicas = r.IntN(maxReplicas + 1) })
	maybe(func() { o.RedisAddress = pick("redis:6379", "[::1]:1", "10.0.0.1:65535") })
	maybe(func() { o.RedisUsername, o.RedisPasswordFile = word(), word() })
	maybe(func() { o.RedisDB = r.IntN(maxRedisDB + 1) })
	maybe(func() { o.RedisPrefix = word() })
	maybe(func() {
		o.RedisTimeout = minRedisTimeout + time.Duration(r.Int64N(int64(maxRedisTimeout-minRedisTimeout)+1))
	})
	maybe(func() {
		o.RedisTLS = true
		maybe(func() { o.RedisTLSCAFile = word() })
		maybe(func() { o.RedisTLSCertFile, o.RedisTLSKeyFile = word(), word() })
	})
}

func TestAccessFlags(t *testing.T) {
	got, err := Parse([]string{
		"--jwt-issuer=https://issuer", "--jwt-audience=a,b", "--jwt-audience=c", "--jwt-jwks-url=http://issuer/keys", "--jwt-algorithms=RS256",
		"--ip-allow=10.0.0.0/8,::1", "--trusted-proxies=192.0.2.1", "--forwarded-header=forwarded", "--metrics-auth=true",
		"--rate-limit-rps=2.5", "--rate-limit-burst=5", "--rate-limit-tpm=60000", "--max-concurrent-per-key=3",
		"--redis-address=redis:6379", "--redis-db=2", "--redis-tls=true",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.JWTIssuer, want.JWTAudience, want.JWTJWKSURL, want.JWTAlgorithms = "https://issuer", []string{"a", "b", "c"}, "http://issuer/keys", []string{"RS256"}
	want.IPAllow, want.TrustedProxies, want.ForwardedHeader, want.MetricsAuth = []string{"10.0.0.0/8", "::1"}, []string{"192.0.2.1"}, "forwarded", true
	want.RateLimitRPS, want.RateLimitBurst, want.RateLimitTPM, want.MaxConcurrentPerKey = 2.5, 5, 60000, 3
	want.RedisAddress, want.RedisDB, want.RedisTLS = "redis:6379", 2, true
	if diff := cmp.Diff(plain(want), plain(got)); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
}

func TestAccessFlagErrors(t *testing.T) {
	jwt := []string{"--jwt-issuer=i", "--jwt-audience=a", "--jwt-jwks-url=https://issuer/keys"}
	cases := map[string]struct {
		args []string
		want string
	}{
		"an issuer without keys":        {jwt[:2], "--jwt-issuer and --jwt-audience: one of --jwt-jwks-url and --jwt-secret-file must be set, too"},
		"keys without an issuer":        {jwt[1:], "--jwt-issuer: must be set where tokens are accepted"},
		"no audience":                   {[]string{jwt[0], jwt[2]}, "--jwt-audience: must be set where tokens are accepted, or else tokens for other services would do"},
		"keys and a secret":             {append([]string{"--jwt-secret-file=/s"}, jwt...), "--jwt-jwks-url and --jwt-secret-file: must not be set together"},
		"a public key as a secret":      {append([]string{"--jwt-algorithms=RS256,HS256"}, jwt...), "--jwt-algorithms HS256: HS256, HS384 and HS512 go with --jwt-secret-file, the others with --jwt-jwks-url"},
		"no signature at all":           {append([]string{"--jwt-algorithms=none"}, jwt...), `--jwt-algorithms "none": must be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, HS256, HS384, HS512`},
		"a URL with a password":         {[]string{jwt[0], jwt[1], "--jwt-jwks-url=https://user:pass@issuer"}, "--jwt-jwks-url: must be an https or http URL without a password"},
		"a network that is none":        {[]string{"--ip-allow=10.0.0.0/8,host"}, `--ip-allow "host": must be networks such as 10.0.0.0/8 or IP addresses`},
		"an empty value in a list":      {[]string{"--ip-block=10.0.0.0/8,"}, `--ip-block "": must be values without spaces, with commas between`},
		"a negative rate":               {[]string{"--rate-limit-rps=-1"}, `--rate-limit-rps "-1": must be a number from 0 to 1e+06`},
		"Redis without a port":          {[]string{"--redis-address=redis"}, `--redis-address "redis": must be a host and a port, such as redis:6379`},
		"Redis as a URL":                {[]string{"--redis-address=redis://redis:6379"}, `--redis-address "redis://redis:6379": must be a host and a port, such as redis:6379`},
		"certificates without TLS":      {[]string{"--redis-tls-ca-file=/ca"}, "--redis-tls-ca-file, --redis-tls-cert-file and --redis-tls-key-file: --redis-tls must be set, too"},
		"a certificate without its key": {[]string{"--redis-tls=true", "--redis-tls-cert-file=/c"}, "--redis-tls-cert-file and --redis-tls-key-file: must be set together"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(tc.args); err == nil || err.Error() != tc.want {
				t.Errorf("Parse(%q) = %v, want %s", tc.args, err, tc.want)
			}
		})
	}
}
