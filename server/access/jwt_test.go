package access

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/server/limit"
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

var ecKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

// issuer is a web server with the public keys of an issuer.
type issuer struct {
	*httptest.Server
	set    atomic.Pointer[jose.JSONWebKeySet] // nil: the issuer is broken
	served atomic.Int64
}

func public(id string, key crypto.PublicKey) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: id, Use: "sig"}
}

func newIssuer(t *testing.T, keys ...jose.JSONWebKey) *issuer {
	t.Helper()
	i := &issuer{}
	i.set.Store(&jose.JSONWebKeySet{Keys: keys})
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.served.Add(1)
		set := i.set.Load()
		if set == nil {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		if err := json.NewEncoder(w).Encode(set); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

// sign makes a token. Claims with the value nil are left out.
func sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, id, kind string, claims map[string]any) string {
	t.Helper()
	o := &jose.SignerOptions{}
	if kind != "" {
		o = o.WithType(jose.ContentType(kind))
	}
	if id != "" {
		o = o.WithHeader("kid", id)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range claims {
		if value == nil {
			delete(claims, name)
		}
	}
	text, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// claims are those of a good token, with changes.
func claims(c *clock, more map[string]any) map[string]any {
	out := map[string]any{
		"iss": "https://issuer", "aud": []string{"other", "gptoss"}, "sub": "alice",
		"exp": c.now().Add(time.Hour).Unix(), "nbf": c.now().Unix(), "iat": c.now().Unix(),
	}
	maps.Copy(out, more)
	return out
}

func newTestVerifier(t *testing.T, c *clock, i *issuer, change func(*JWT)) *verifier {
	t.Helper()
	config := JWT{Issuer: "https://issuer", Audience: []string{"gptoss"}, JWKSURL: i.URL, ClaimPrefix: "gptoss_"}
	if change != nil {
		change(&config)
	}
	v, err := newVerifier(config, c.now, func(string) {}, func(string, error) {})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTokens(t *testing.T) {
	c := newClock()
	i := newIssuer(t, public("r", rsaKey().Public()), public("e", ecKey().Public()))
	v := newTestVerifier(t, c, i, nil)
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := json.Marshal(public("r", rsaKey().Public()))
	if err != nil {
		t.Fatal(err)
	}
	rs := func(more map[string]any) string { return sign(t, jose.RS256, rsaKey(), "r", "JWT", claims(c, more)) }
	seconds := func(n int) int64 { return c.now().Add(time.Duration(n) * time.Second).Unix() }
	good := rs(nil)
	cases := map[string]struct{ token, want string }{
		"a good one":                        {good, ""},
		"another algorithm and key":         {sign(t, jose.ES256, ecKey(), "e", "at+jwt", claims(c, nil)), ""},
		"no key id, and one key that fits":  {sign(t, jose.ES256, ecKey(), "", "", claims(c, nil)), ""},
		"no nbf":                            {rs(map[string]any{"nbf": nil}), ""},
		"just expired":                      {rs(map[string]any{"exp": seconds(-29)}), ""},
		"expired":                           {rs(map[string]any{"exp": seconds(-31)}), "The token has expired."},
		"no expiry":                         {rs(map[string]any{"exp": nil}), "The token has no expiry (claim exp)."},
		"valid in a while":                  {rs(map[string]any{"nbf": seconds(31)}), "The token is not valid yet."},
		"issued in the future":              {rs(map[string]any{"iat": seconds(31)}), "The token is not valid yet."},
		"another issuer":                    {rs(map[string]any{"iss": "https://issuer/"}), "The token is from another issuer (claim iss)."},
		"no issuer":                         {rs(map[string]any{"iss": nil}), "The token is from another issuer (claim iss)."},
		"another audience":                  {rs(map[string]any{"aud": "other"}), "The token is for another audience (claim aud)."},
		"no audience":                       {rs(map[string]any{"aud": nil}), "The token is for another audience (claim aud)."},
		"no subject":                        {rs(map[string]any{"sub": nil}), "The token does not say who it is for (claim sub)."},
		"a subject that would break a log":  {rs(map[string]any{"sub": "a\nb"}), "The token does not say who it is for (claim sub)."},
		"models that are none":              {rs(map[string]any{"gptoss_models": 7}), "The token's claim gptoss_models is not a list of names."},
		"limits that are none":              {rs(map[string]any{"gptoss_limits": "all"}), "The token's claim gptoss_limits is wrong: it must be an object with requestsPerSecond, burst, tokensPerMinute, concurrent."},
		"a limit out of bounds":             {rs(map[string]any{"gptoss_limits": map[string]any{"burst": 0}}), "The token's claim gptoss_limits is wrong: burst must be from 1 to 1e+06."},
		"signed by somebody else":           {sign(t, jose.RS256, foreign, "r", "JWT", claims(c, nil)), "The token cannot be verified."},
		"an algorithm that is not accepted": {sign(t, jose.RS512, rsaKey(), "r", "JWT", claims(c, nil)), "The token cannot be verified."},
		"the public key as a secret":        {sign(t, jose.HS256, pub, "r", "JWT", claims(c, nil)), "The token cannot be verified."},
		"for logging out":                   {sign(t, jose.RS256, rsaKey(), "r", "logout+jwt", claims(c, nil)), "The token cannot be verified."},
		"another key's id":                  {sign(t, jose.RS256, rsaKey(), "e", "JWT", claims(c, nil)), "The token cannot be verified."},
		"without a signature":               {good[:strings.LastIndexByte(good, '.')+1], "The token cannot be verified."},
		"the algorithm none":                {"eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".", "The token cannot be verified."},
		"too large":                         {rs(map[string]any{"filler": strings.Repeat("x", maxToken)}), "The token cannot be verified."},
		"not a token":                       {"ey.ey.ey", "The token cannot be verified."},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			who, err := v.verify(t.Context(), tc.token)
			if tc.want == "" {
				if err != nil || who.Name != "alice" || who.Source != "jwt" || len(who.Tenant) != 32 {
					t.Errorf("got %+v, %v", who, err)
				}
				return
			}
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestClaims(t *testing.T) {
	c := newClock()
	v := newTestVerifier(t, c, newIssuer(t, public("r", rsaKey().Public())), func(j *JWT) { j.IdentityClaim = "azp" })
	cases := map[string]struct {
		claims map[string]any
		want   Identity
	}{
		"nothing said":      {nil, Identity{}},
		"scopes as a text":  {map[string]any{"scope": "openid chat models"}, Identity{Scopes: []Scope{Chat, Models}}},
		"scopes as a list":  {map[string]any{"scp": []string{"chat"}, "permissions": []string{"tokens", "x"}}, Identity{Scopes: []Scope{Chat, Tokens}}},
		"only other scopes": {map[string]any{"scope": "openid"}, Identity{Scopes: []Scope{}}},
		"models and limits": {
			map[string]any{"gptoss_models": []string{"a", "b"}, "gptoss_limits": map[string]any{"requestsPerSecond": 2.5, "concurrent": -1}},
			Identity{Models: []string{"a", "b"}, Limits: limit.Rates{RequestsPerSecond: 2.5, Concurrent: -1}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.want.Name, tc.want.Source, tc.want.Tenant = "app", "jwt", tenant("jwt", "https://issuer", "app")
			all := claims(c, tc.claims)
			all["azp"] = "app"
			got, err := v.verify(t.Context(), sign(t, jose.RS256, rsaKey(), "r", "JWT", all))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Errorf("(-want,+got):\n%s", diff)
			}
		})
	}
}

// TestIssuerChangesItsKeys follows a set of keys through a rotation, invented ids and an outage.
func TestIssuerChangesItsKeys(t *testing.T) {
	c := newClock()
	i := newIssuer(t, public("r", rsaKey().Public()))
	v := newTestVerifier(t, c, i, nil)
	try := func(id string, key any, algorithm jose.SignatureAlgorithm) bool {
		_, err := v.verify(t.Context(), sign(t, algorithm, key, id, "", claims(c, nil)))
		return err == nil
	}
	if !try("r", rsaKey(), jose.RS256) || i.served.Load() != 1 {
		t.Fatalf("the first key, after %d fetches", i.served.Load())
	}
	for range 50 {
		if try("invented", rsaKey(), jose.RS256) {
			t.Fatal("an invented id is taken")
		}
	}
	if n := i.served.Load(); n != 1 {
		t.Errorf("invented ids made %d fetches within a moment", n)
	}
	i.set.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public("e", ecKey().Public())}})
	c.advance(keySetPause)
	if !try("e", ecKey(), jose.ES256) || i.served.Load() != 2 {
		t.Errorf("the new key is not taken, after %d fetches", i.served.Load())
	}
	if try("r", rsaKey(), jose.RS256) {
		t.Error("the key that was withdrawn is still taken")
	}
	i.set.Store(nil)
	c.advance(keySetWait)
	if !try("e", ecKey(), jose.ES256) {
		t.Error("an outage of the issuer makes its keys invalid")
	}
	if !strings.Contains(v.keys.degraded(), "cannot be fetched") {
		t.Error("the outage is not told")
	}
	i.set.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public("r", rsaKey().Public())}})
	c.advance(keySetWait)
	if try("e", ecKey(), jose.ES256) || !try("r", rsaKey(), jose.RS256) || v.keys.degraded() != "" {
		t.Error("after a long time the first request does not wait for the new keys")
	}
}

func TestKeySets(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	text := func(keys ...jose.JSONWebKey) string {
		out, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	good, encryption := public("r", rsaKey().Public()), public("x", rsaKey().Public())
	encryption.Use = "enc"
	cases := map[string]struct {
		body string
		want int
	}{
		"a key":                       {text(good), 1},
		"a key among others":          {strings.Replace(text(good), "[", `[{"kty":"new"},7,`, 1), 1},
		"for encryption":              {text(encryption), 0},
		"a secret":                    {text(jose.JSONWebKey{Key: []byte(strings.Repeat("k", 32)), KeyID: "s"}), 0},
		"a private key":               {text(jose.JSONWebKey{Key: rsaKey(), KeyID: "p"}), 0},
		"a small key":                 {text(public("small", small.Public())), 0},
		"none":                        {`{"keys":[]}`, 0},
		"a web page":                  {"<html>", 0},
		"too many":                    {`{"keys":[` + strings.Repeat("{},", maxSetKeys) + "{}]}", 0},
		"a point that is on no curve": {`{"keys":[{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}]}`, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			keys, err := parseKeySet([]byte(tc.body))
			if len(keys) != tc.want || (err == nil) != (tc.want > 0) {
				t.Errorf("got %d keys, %v", len(keys), err)
			}
		})
	}
}

func TestSecret(t *testing.T) {
	c, path := newClock(), filepath.Join(t.TempDir(), "secret")
	first, second := strings.Repeat("1", 32), strings.Repeat("2", 40)
	write(t, path, first+"\n")
	config := JWT{Issuer: "https://issuer", Audience: []string{"gptoss"}, SecretFile: path}
	v, err := newVerifier(config, c.now, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	try := func(secret string) bool {
		_, err := v.verify(t.Context(), sign(t, jose.HS256, []byte(secret), "", "JWT", claims(c, nil)))
		return err == nil
	}
	if !try(first) || try(second) {
		t.Error("the first secret is not the one")
	}
	write(t, path, second)
	c.advance(secretEvery)
	if try(first) || !try(second) {
		t.Error("the second secret is not the one")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.advance(secretEvery)
	if v.degraded() != "" || !try(second) || v.degraded() == "" {
		t.Error("a file that blinks locks everybody out, or nobody is told")
	}
	for name, change := range map[string]func(*JWT){
		"a missing file":    func(*JWT) {},
		"no issuer":         func(j *JWT) { j.Issuer = "" },
		"no audience":       func(j *JWT) { j.Audience = nil },
		"public keys too":   func(j *JWT) { j.JWKSURL = "https://issuer" },
		"another algorithm": func(j *JWT) { j.Algorithms = []string{"HS256", "RS256"} },
	} {
		bad := config
		change(&bad)
		if _, err := newVerifier(bad, c.now, nil, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// FuzzToken wants every token to be refused that is not one of the two that were signed.
func FuzzToken(f *testing.F) {
	c := newClock()
	path := filepath.Join(f.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(strings.Repeat("1", 32)), 0o600); err != nil {
		f.Fatal(err)
	}
	v, err := newVerifier(JWT{Issuer: "https://issuer", Audience: []string{"gptoss"}, SecretFile: path}, c.now, nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	good := sign(f, jose.HS256, []byte(strings.Repeat("1", 32)), "", "JWT", claims(c, nil))
	parts := strings.Split(good, ".")
	for _, seed := range []string{good, "", "..", "ey..", parts[0] + ".." + parts[2], "eyJhbGciOiJub25lIn0." + parts[1] + ".", good + ".", "{" + good} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := v.verify(t.Context(), text)
		if err != nil {
			if _, ok := errors.AsType[errToken](err); !ok {
				t.Fatalf("an error that is not for clients: %v", err)
			}
			return
		}
		if !strings.HasPrefix(text, parts[0]+"."+parts[1]+".") {
			t.Fatalf("%q is taken", text)
		}
	})
}

// FuzzKeySet wants every answer of an issuer to give usable keys or an error.
func FuzzKeySet(f *testing.F) {
	for _, seed := range []string{`{"keys":[]}`, `{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"}]}`, `{"keys":[{"kty":"oct","k":"AQ"}]}`, `{"keys":[null]}`, "[]", "{"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := parseKeySet(body)
		if err != nil {
			return
		}
		for i := range keys {
			if !keys[i].IsPublic() || fits(&keys[i], "HS256") && keys[i].Algorithm == "" {
				t.Fatalf("a key that must not verify tokens: %+v", keys[i])
			}
		}
	})
}
