package cors

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrap(t *testing.T) {
	const page = "https://chat.example.com"
	preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-stainless-os"}
	cases := map[string]struct {
		origins, method, origin string
		header                  []string
		status                  int
		allow, headers, vary    string
	}{
		"no list, no word of it":             {"", "GET", page, nil, 418, "", "", ""},
		"a preflight without a list":         {"", "OPTIONS", page, preflight, 418, "", "", ""},
		"an allowed page":                    {"https://x.example, " + page, "POST", page, nil, 418, page, "", "Origin"},
		"another page":                       {page, "POST", "https://evil.example", nil, 418, "", "", "Origin"},
		"a page with an allowed name":        {page, "POST", page + ".evil.example", nil, 418, "", "", "Origin"},
		"no browser at all":                  {page, "POST", "", nil, 418, "", "", "Origin"},
		"a preflight":                        {page, "OPTIONS", page, preflight, 204, page, "authorization,x-stainless-os", "Origin"},
		"another page's preflight":           {page, "OPTIONS", "https://evil.example", preflight, 204, "", "", "Origin"},
		"all pages":                          {"*", "OPTIONS", page, preflight, 204, "*", "authorization,x-stainless-os", "Access-Control-Request-Headers"},
		"OPTIONS that is no preflight":       {page, "OPTIONS", page, nil, 418, page, "", "Origin"},
		"a page in a sandbox, which is null": {page, "POST", "null", nil, 418, "", "", "Origin"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), tc.method, "/v1/chat/completions", nil)
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			for i := 0; i+1 < len(tc.header); i += 2 {
				r.Header.Set(tc.header[i], tc.header[i+1])
			}
			rec := httptest.NewRecorder()
			New(tc.origins).Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418) }), false).ServeHTTP(rec, r)
			h := rec.Header()
			got := []any{rec.Code, h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Allow-Headers"), h.Get("Vary")}
			if diff := cmp.Diff([]any{tc.status, tc.allow, tc.headers, tc.vary}, got); diff != "" {
				t.Errorf("status, origin, headers, vary (-want +got):\n%s", diff)
			}
			if h.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("credentials are allowed")
			}
		})
	}
}

func TestSecurityHeaders(t *testing.T) {
	for _, secure := range []bool{false, true} {
		rec := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		New("").Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
		}), secure).ServeHTTP(rec, r)
		want := map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'self'", "Strict-Transport-Security": "",
		}
		if secure {
			want["Strict-Transport-Security"] = "max-age=31536000"
		}
		for name, value := range want {
			if got := rec.Header().Get(name); got != value {
				t.Errorf("secure %v: %s is %q, want %q", secure, name, got, value)
			}
		}
	}
}
