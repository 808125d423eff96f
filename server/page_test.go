package server

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

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
