package access

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// Error codes: what programs compare.
const (
	CodeInvalidToken      = "invalid_token"
	CodeTokenExpired      = "token_expired"
	CodeKeyExpired        = "api_key_expired"
	CodeAddressNotAllowed = "ip_not_allowed"
	CodeInsufficientScope = "insufficient_scope"
	CodeModelNotAllowed   = "model_not_allowed"
)

// Config is what a Gate is made of.
type Config struct {
	Keys     []string // with all rights
	KeyFile  string   // "" for none
	JWT      JWT
	Networks Networks
	// KeysRead is told how many keys the file has when it has changed, or can be read again, and why it cannot be read when
	// that begins; nil for nobody. The error says nothing of what the file holds.
	KeysRead func(keys int, err error)
	// Now is the clock.
	Now func() time.Time
	// Log gets a line when what is accepted changes or can no longer be read.
	Log *slog.Logger
}

// Gate lets requests in.
type Gate struct {
	keys     *keyring
	tokens   *verifier // nil for none
	networks *networks
	now      func() time.Time
	refused  *prometheus.CounterVec
	files    *prometheus.CounterVec
	fetches  *prometheus.CounterVec
	known    prometheus.GaugeFunc
}

// New makes a Gate. It fails when the key file, the secret or a network cannot be read.
func New(c Config) (*Gate, error) {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	g := &Gate{
		now:     c.Now,
		refused: counter("gpt_oss_access_refused_total", "Requests that were refused with 401 or 403, by error code.", "code"),
		files:   counter("gpt_oss_key_file_reads_total", "Changed or broken versions of the key file that were read.", "result"),
		fetches: counter("gpt_oss_jwks_fetches_total", "Fetches of the token issuer's keys.", "result"),
	}
	var err error
	if g.networks, err = newNetworks(c.Networks); err != nil {
		return nil, err
	}
	g.keys, err = newKeyring(c.Keys, c.KeyFile, c.Now, c.Log, func(result string) { g.files.WithLabelValues(result).Inc() })
	if err != nil {
		return nil, err
	}
	if c.KeysRead != nil {
		g.keys.tell = c.KeysRead
	}
	if c.JWT.Enabled() {
		g.tokens, err = newVerifier(c.JWT, c.Now, func(result string) { g.fetches.WithLabelValues(result).Inc() },
			func(message string, err error) { c.Log.Warn(message, "error", err.Error()) })
	}
	g.known = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gpt_oss_keys", Help: "Keys that are known, valid now or not."},
		func() float64 { return float64(len(g.keys.fixed) + len(g.keys.current.Load().entries)) })
	for _, result := range []string{fileChanged, fileBroken} { // so that rates begin at 0
		g.files.WithLabelValues(result)
	}
	return g, err
}

// Collectors are the gate's metrics, to be registered once.
func (g *Gate) Collectors() []prometheus.Collector {
	out := []prometheus.Collector{g.refused, g.files, g.known}
	if g.tokens != nil {
		out = append(out, g.fetches)
	}
	return out
}

// Degraded says in one sentence each what does not work as configured.
func (g *Gate) Degraded() []string {
	var out []string
	if g.keys.failing.Load() {
		out = append(out, "The key file cannot be read; its last keys stay valid.")
	}
	if g.tokens == nil {
		return out
	}
	if text := g.tokens.degraded(); text != "" {
		out = append(out, text)
	}
	return out
}

// Client is the address that a request comes from, behind the trusted proxies; invalid where it is not known.
func (g *Gate) Client(r *http.Request) netip.Addr { return g.networks.client(r) }

// Open reports whether requests need no key: none is configured, and no issuer of tokens.
func (g *Gate) Open() bool { return !g.keys.required() && g.tokens == nil }

// Enter returns who sends a request and from where, or the *openai.Error with which it is refused: 403 for its address, 401
// where it has no valid key or token. Where nothing is configured everybody is the anonymous identity.
func (g *Gate) Enter(r *http.Request) (*Identity, netip.Addr, error) {
	client := g.Client(r)
	if !g.networks.permits(client) {
		return nil, client, g.refuse(http.StatusForbidden, CodeAddressNotAllowed, "Requests from your IP address are not allowed.")
	}
	if g.Open() {
		return &Identity{}, client, nil
	}
	i, err := g.identify(r)
	return i, client, err
}

func (g *Gate) identify(r *http.Request) (*Identity, error) {
	secret := credentials(r)
	if secret == "" {
		return nil, g.refuse(http.StatusUnauthorized, openai.CodeInvalidAPIKey,
			"You didn't provide an API key. Send it as a header: Authorization: Bearer YOUR_KEY.")
	}
	if e := g.keys.find(secret); e != nil {
		if now := g.now(); !e.valid(now) {
			return nil, g.refuse(http.StatusUnauthorized, CodeKeyExpired, "This API key is not valid at this time: it has expired or is not valid yet.")
		}
		return &e.identity, nil
	}
	if g.tokens != nil && looksLikeToken(secret) {
		i, err := g.tokens.verify(r.Context(), secret)
		if err == nil {
			return i, nil
		}
		code := CodeInvalidToken
		if t, ok := errors.AsType[errToken](err); ok {
			code = t.code
		}
		return nil, g.refuse(http.StatusUnauthorized, code, err.Error())
	}
	return nil, g.refuse(http.StatusUnauthorized, openai.CodeInvalidAPIKey, "Incorrect API key provided.")
}

// Permit returns the 403 for an identity without a scope, or without any of the names of a model; an empty scope is one
// that nobody has who has a list.
func (g *Gate) Permit(i *Identity, s Scope, models ...string) error {
	if !i.May(s) {
		return g.refuse(http.StatusForbidden, CodeInsufficientScope, fmt.Sprintf("This API key does not have the scope %q, which this request needs.", s))
	}
	if !i.MayUse(models...) {
		return g.refuse(http.StatusForbidden, CodeModelNotAllowed, fmt.Sprintf("This API key may not use the model %q.", models[0]))
	}
	return nil
}

func (g *Gate) refuse(status int, code, message string) error {
	g.refused.WithLabelValues(code).Inc()
	kind := openai.TypePermission
	if status == http.StatusUnauthorized {
		kind = openai.TypeAuthentication
	}
	return openai.NewError(status, kind, code, "", message)
}

// Challenge is the header WWW-Authenticate of a refusal, as RFC 6750 has it: the reason where credentials came, none
// where they did not. It is empty for what another key or token would not change.
func Challenge(r *http.Request, e *openai.Error) string {
	const realm = `Bearer realm="gptoss"`
	switch {
	case e.Status == http.StatusUnauthorized && credentials(r) != "":
		return realm + `, error="invalid_token"`
	case e.Status == http.StatusUnauthorized:
		return realm
	case e.Code != nil && *e.Code == CodeInsufficientScope:
		return realm + `, error="insufficient_scope"`
	}
	return ""
}

// Cookie is the name of the cookie that may hold a key or token.
const Cookie = "gptoss_key"

// credentials returns the key or token of the Authorization header; the scheme's case does not matter, the key's does. A
// browser's EventSource cannot set headers, so a GET without one may have a cookie instead. One that another site has
// the browser send does not count.
func credentials(r *http.Request) string {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, key, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return ""
		}
		return strings.TrimSpace(key)
	}
	if r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return ""
	}
	cookie, err := r.Cookie(Cookie)
	if err != nil {
		return ""
	}
	return cookie.Value
}
