package server

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// TestPageNeedsNoKey serves the page to everybody, before a model is there, and the API to those who have a key.
func TestPageNeedsNoKey(t *testing.T) {
	f := newFixture(t, nil, func(c *Config) { c.Options.APIKeys = []string{"secret"} })
	page := f.do(t, http.MethodGet, "/", "")
	if page.status != http.StatusOK || page.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("status %d, type %s", page.status, page.header.Get("Content-Type"))
	}
	script := regexp.MustCompile(`assets/[0-9a-f]+/app\.js`).FindString(page.body)
	if got := f.do(t, http.MethodGet, "/"+script, ""); got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("Content-Type"), "text/javascript") {
		t.Errorf("%s: status %d, type %s", script, got.status, got.header.Get("Content-Type"))
	}
	if got := f.chat(t, ask("")); got.status != http.StatusUnauthorized {
		t.Errorf("a completion without a key: status %d", got.status)
	}
}

// TestPageAmongOthers has the page's own policy in place of the API's, and its files as quiet as probes.
func TestPageAmongOthers(t *testing.T) {
	var log bytes.Buffer
	f := newFixture(t, says(hello), func(c *Config) {
		c.Options.CORSOrigins, c.Stdout, c.Options.AuditLog = "https://a.example", &log, "stdout"
	})
	page := f.do(t, http.MethodGet, "/", "")
	policy := page.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "script-src 'self'") || !strings.Contains(policy, "frame-ancestors 'none'") || page.header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("headers %v", page.header)
	}
	if vary := strings.Join(page.header.Values("Vary"), ", "); vary != "Origin, Accept-Encoding" {
		t.Errorf("Vary: %s", vary)
	}
	if got := f.do(t, http.MethodGet, "/openapi.json", "").header.Get("Content-Security-Policy"); strings.Contains(got, "script-src") {
		t.Errorf("the API has the page's policy: %s", got)
	}
	f.do(t, http.MethodGet, "/"+regexp.MustCompile(`assets/[0-9a-f]+/app\.js`).FindString(page.body), "")
	var paths []string
	for _, r := range f.records(t, &log) {
		if r.Path != "" { // else the server's own beginning and end
			paths = append(paths, r.Path)
		}
	}
	if diff := cmp.Diff([]string{"/", "/openapi.json"}, paths); diff != "" {
		t.Errorf("paths in the audit log (-want,+got):\n%s", diff)
	}
}

func TestPageErrors(t *testing.T) {
	without := func(c *Config) { c.Options.Page = false }
	cases := map[string]struct {
		change       []func(*Config)
		method, path string
		status       int
		code         string
	}{
		"an asset that is not there": {nil, http.MethodGet, "/assets/0000000000000000/app.js", http.StatusNotFound, openai.CodeNotFound},
		"another path":               {nil, http.MethodGet, "/index.html", http.StatusNotFound, openai.CodeNotFound},
		"another method":             {nil, http.MethodDelete, "/", http.StatusMethodNotAllowed, openai.CodeMethodNotAllowed},
		"no page, by a flag":         {[]func(*Config){without}, http.MethodGet, "/", http.StatusNotFound, openai.CodeNotFound},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := newFixture(t, says(hello), tc.change...).do(t, tc.method, tc.path, "")
			if e := got.error(t); got.status != tc.status || *e.Code != tc.code {
				t.Errorf("status %d, code %s, want %d, %s", got.status, *e.Code, tc.status, tc.code)
			}
		})
	}
}
