package access

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/gptoss/gptoss-operator/server/limit"
)

// Scope is a group of endpoints.
type Scope string

// The scopes. An identity without any list of scopes has all of them.
const (
	Chat        Scope = "chat"        // chat completions
	Completions Scope = "completions" // text completions and /generate
	Responses   Scope = "responses"   // the Responses API
	Tokens      Scope = "tokens"      // tokenize, detokenize and render
	Models      Scope = "models"      // what is served
	Metrics     Scope = "metrics"     // the metrics, where they are protected
)

// Scopes lists all of them.
func Scopes() []Scope { return []Scope{Chat, Completions, Responses, Tokens, Models, Metrics} }

// Identity is who sends a request.
type Identity struct {
	// Name is for audit logs; a key without one has its place. It is empty for anonymous requests.
	Name string
	// Source is how the identity was proved: "key", "jwt", or "" for anonymous requests.
	Source string
	// Tenant is the same for all requests of an identity and says nothing about it: the engine keeps tenants apart by it,
	// and limits are counted for it. It is empty for anonymous requests.
	Tenant string
	// Scopes and Models are what the identity may use; nil is everything, empty nothing.
	Scopes []Scope
	Models []string
	// Limits are its own; what they leave open is up to the defaults.
	Limits limit.Rates
}

// May reports whether the identity has a scope.
func (i *Identity) May(s Scope) bool { return i.Scopes == nil || slices.Contains(i.Scopes, s) }

// MayUse reports whether the identity may use a model that goes by these names.
func (i *Identity) MayUse(names ...string) bool {
	return i.Models == nil || slices.ContainsFunc(names, func(n string) bool { return slices.Contains(i.Models, n) })
}

// tenant names an owner without telling who it is. The domain keeps a token's subject from posing as a key's identity.
func tenant(domain string, parts ...string) string {
	digest := sha256.Sum256([]byte(domain + "\x00" + strings.Join(parts, "\x00")))
	return string(digest[:])
}

// maxName bounds names of identities: they go into logs.
const maxName = 256

// validName accepts what is safe in a log line.
func validName(name string) bool {
	if name == "" || len(name) > maxName || strings.ToValidUTF8(name, "") != name {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029' })
}

// scopeOf finds a scope by its name.
func scopeOf(name string) (Scope, error) {
	if s := Scope(name); slices.Contains(Scopes(), s) {
		return s, nil
	}
	return "", fmt.Errorf("%q is not a scope; the scopes are %s", clip(name), scopeList())
}

func scopeList() string {
	var names []string
	for _, s := range Scopes() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

func clip(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:64], "") + "…"
}
