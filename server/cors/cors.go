package cors

import (
	"net/http"
	"slices"
	"strings"
)

// maxAge is how long a browser may remember an answer to a preflight, in seconds; more than two hours no browser takes.
const maxAge = "7200"

// The headers that a page may read beside those that it always may.
const exposed = "X-Request-Id, Retry-After, X-RateLimit-Limit-Requests, X-RateLimit-Remaining-Requests, X-RateLimit-Reset-Requests, " +
	"X-RateLimit-Limit-Tokens, X-RateLimit-Remaining-Tokens, X-RateLimit-Reset-Tokens"

// Policy is the list of origins whose pages may call. Keys travel in a header, so no credentials are allowed and no origin
// needs to be echoed that is not in the list.
type Policy struct {
	any     bool
	origins []string
}

// New takes a comma-separated list of origins, such as https://chat.example.com; "*" stands for all, "" for none.
func New(list string) Policy {
	var p Policy
	for item := range strings.SplitSeq(list, ",") {
		switch item = strings.ToLower(strings.TrimSpace(item)); item {
		case "":
		case "*":
			p.any = true
		default:
			p.origins = append(p.origins, item)
		}
	}
	return p
}

// Wrap answers preflights, marks answers to allowed origins and gives all answers the headers of an API: browsers shall not
// guess types, show answers in frames or tell others where they came from. An inner handler may replace them.
func (p Policy) Wrap(next http.Handler, secure bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if !p.any && len(p.origins) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		if !p.any {
			h.Add("Vary", "Origin")
		}
		origin := r.Header.Get("Origin")
		allowed := origin != "" && (p.any || slices.Contains(p.origins, strings.ToLower(origin)))
		if allowed {
			if p.any {
				origin = "*"
			}
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", exposed)
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			preflight(w, r, allowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// preflight answers without a key: browsers send none.
func preflight(w http.ResponseWriter, r *http.Request, allowed bool) {
	if allowed {
		h := w.Header()
		h.Add("Vary", "Access-Control-Request-Headers")
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
		// SDKs add headers of their own, x-stainless-… among them, so the list is whatever was asked for.
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" && len(asked) <= 4096 {
			h.Set("Access-Control-Allow-Headers", asked)
		}
		h.Set("Access-Control-Max-Age", maxAge)
	}
	w.WriteHeader(http.StatusNoContent)
}
