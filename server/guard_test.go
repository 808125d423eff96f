package server

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gptoss/gptoss-operator/server/access"
	"github.com/gptoss/gptoss-operator/server/openai"
)

func TestKeys(t *testing.T) {
	cases := map[string]struct {
		keys   []string
		header string
		want   int
		text   string
	}{
		"no keys configured":    {nil, "", 200, ""},
		"the first key":         {[]string{"one", "two"}, "Bearer one", 200, ""},
		"the second key":        {[]string{"one", "two"}, "Bearer two", 200, ""},
		"the scheme's case":     {[]string{"one"}, "bearer one", 200, ""},
		"the same key twice":    {[]string{"one", "one"}, "Bearer one", 200, ""},
		"no header":             {[]string{"one"}, "", 401, "You didn't provide an API key."},
		"another scheme":        {[]string{"one"}, "Basic one", 401, "You didn't provide an API key."},
		"an empty key":          {[]string{"one"}, "Bearer ", 401, "You didn't provide an API key."},
		"the key's case":        {[]string{"one"}, "Bearer ONE", 401, "Incorrect API key provided."},
		"a beginning of a key":  {[]string{"one"}, "Bearer on", 401, "Incorrect API key provided."},
		"more than the key":     {[]string{"one"}, "Bearer one2", 401, "Incorrect API key provided."},
		"both keys in one line": {[]string{"one", "two"}, "Bearer one two", 401, "Incorrect API key provided."},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, &script{}, func(c *Config) { c.Options.APIKeys = tc.keys })
			got := f.do(t, http.MethodGet, "/v1/models", "", "Authorization", tc.header)
			if got.status != tc.want {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			if tc.want != 401 {
				return
			}
			e := got.error(t)
			if e.Type != openai.TypeAuthentication || *e.Code != openai.CodeInvalidAPIKey || e.Param != nil || !strings.HasPrefix(e.Message, tc.text) {
				t.Errorf("got %s", got.body)
			}
			if got.header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
}

func TestUnknownPathNeedsAKey(t *testing.T) {
	f := newFixture(t, &script{}, func(c *Config) { c.Options.APIKeys = []string{"one"} })
	if got := f.do(t, http.MethodGet, "/v1/secrets", ""); got.status != 401 {
		t.Errorf("status %d", got.status)
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one\r\n\n  two  \n")
	now := at
	f := newFixture(t, &script{}, func(c *Config) {
		c.Options.APIKeyFile, c.Options.APIKeys = path, []string{"flag"}
		c.Now = func() time.Time { return now }
	})
	expect := func(when string, want map[string]int) {
		t.Helper()
		for key, status := range want {
			if got := f.do(t, http.MethodGet, "/v1/models", "", "Authorization", "Bearer "+key).status; got != status {
				t.Errorf("%s: key %q gives %d, want %d", when, key, got, status)
			}
		}
	}
	expect("at first", map[string]int{"one": 200, "two": 200, "flag": 200, "three": 401})
	write("two\nthree")
	now = now.Add(time.Second)
	expect("after a change", map[string]int{"one": 401, "two": 200, "flag": 200, "three": 200})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	expect("without the file", map[string]int{"one": 401, "two": 200, "three": 200})
	write("bad key\n")
	now = now.Add(time.Second)
	expect("with a broken file", map[string]int{"bad": 401, "two": 200})
	write("")
	now = now.Add(time.Second)
	expect("with an empty file", map[string]int{"two": 401, "three": 401, "flag": 200, "": 401})
	if log := f.log.String(); strings.Count(log, "cannot be read") != 1 || strings.Contains(log, "three") || strings.Contains(log, "bad key") {
		t.Errorf("the log is %s", log)
	}
}

func TestKeyFileAtTheStart(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, 8<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "key file: open " + filepath.Join(dir, "none") + ": no such file or directory",
		big:                        "key file " + big + ": must have at most 8388608 bytes",
	} {
		c := Config{}
		c.Options.APIKeyFile = path
		if _, err := New(c); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestEmptyKeyFileLetsNobodyIn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, &script{}, func(c *Config) { c.Options.APIKeyFile = path })
	if got := f.do(t, http.MethodGet, "/v1/models", ""); got.status != 401 {
		t.Errorf("status %d", got.status)
	}
}

// TestTenants has requests of different keys kept apart, without their keys getting anywhere.
func TestTenants(t *testing.T) {
	tenant := func(keys []string, key string) string {
		g := says(hello)
		f := newFixture(t, g, func(c *Config) { c.Options.APIKeys = keys })
		if got := f.do(t, http.MethodPost, "/v1/chat/completions", ask(""), "Authorization", "Bearer "+key); got.status != 200 {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
		name := g.request(t).Tenant
		if len(keys) > 0 && (name == "" || strings.Contains(name, key) || strings.Contains(f.log.String(), name)) {
			t.Errorf("key %q: tenant %q, log %s", key, name, f.log)
		}
		return name
	}
	keys := []string{"first-key", "second-key"}
	first, again, second := tenant(keys, "first-key"), tenant(keys, "first-key"), tenant(keys, "second-key")
	if first != again || first == second {
		t.Errorf("tenants %q, %q and %q, want the first two equal and the third another", first, again, second)
	}
	if name := tenant(nil, "any"); name != "" {
		t.Errorf("where no key is needed, the tenant is %q", name)
	}
}

// TestRights tells what a key may not do from a key that is none.
func TestRights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	keys := `{"keys":[
		{"identity":"all","key":"all"}, {"identity":"chat","key":"chat","scopes":["chat"]}, {"identity":"none","key":"none","scopes":[]},
		{"identity":"here","key":"here","models":["the-alias"]}, {"identity":"elsewhere","key":"elsewhere","models":["other"]},
		{"identity":"late","key":"late","notBefore":"2025-05-07T14:20:34Z"}, {"identity":"old","key":"old","notAfter":"2025-05-07T14:20:32Z"},
		{"identity":"metrics","key":"metrics","scopes":["metrics"]}]}`
	if err := os.WriteFile(path, []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		key, method, path string
		status            int
		code, challenge   string
	}{
		"all rights":                  {"all", http.MethodPost, "/v1/chat/completions", 200, "", ""},
		"the scope":                   {"chat", http.MethodPost, "/v1/chat/completions", 200, "", ""},
		"another scope":               {"chat", http.MethodGet, "/v1/models", 403, access.CodeInsufficientScope, `Bearer realm="gptoss", error="insufficient_scope"`},
		"no scope":                    {"none", http.MethodGet, "/v1/models", 403, access.CodeInsufficientScope, `Bearer realm="gptoss", error="insufficient_scope"`},
		"the model":                   {"here", http.MethodPost, "/v1/chat/completions", 200, "", ""},
		"another model":               {"elsewhere", http.MethodPost, "/v1/chat/completions", 403, access.CodeModelNotAllowed, ""},
		"not valid yet":               {"late", http.MethodGet, "/v1/models", 401, access.CodeKeyExpired, `Bearer realm="gptoss", error="invalid_token"`},
		"not valid any more":          {"old", http.MethodGet, "/v1/models", 401, access.CodeKeyExpired, `Bearer realm="gptoss", error="invalid_token"`},
		"metrics with their scope":    {"metrics", http.MethodGet, "/v1/metrics", 200, "", ""},
		"metrics without their scope": {"chat", http.MethodGet, "/v1/metrics", 403, access.CodeInsufficientScope, `Bearer realm="gptoss", error="insufficient_scope"`},
		"metrics without a key":       {"", http.MethodGet, "/v1/metrics", 401, openai.CodeInvalidAPIKey, `Bearer realm="gptoss"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, says(hello), func(c *Config) { c.Options.APIKeyFile, c.Options.MetricsAuth = path, true })
			header := []string{}
			if tc.key != "" {
				header = []string{"Authorization", "Bearer " + tc.key}
			}
			got := f.do(t, tc.method, tc.path, ask(""), header...)
			if got.status != tc.status || got.header.Get("WWW-Authenticate") != tc.challenge {
				t.Fatalf("status %d, challenge %q: %s", got.status, got.header.Get("WWW-Authenticate"), got.body)
			}
			if tc.code == "" {
				return
			}
			kind := openai.TypeAuthentication
			if tc.status == 403 {
				kind = openai.TypePermission
			}
			if e := got.error(t); *e.Code != tc.code || e.Type != kind {
				t.Errorf("got %s", got.body)
			}
		})
	}
}

// TestCookie is for EventSource, which cannot send a header.
func TestCookie(t *testing.T) {
	cases := map[string]struct {
		method string
		header []string
		want   int
	}{
		"a GET":                    {http.MethodGet, nil, 200},
		"by another site":          {http.MethodGet, []string{"Sec-Fetch-Site", "cross-site"}, 401},
		"a header beside it":       {http.MethodGet, []string{"Authorization", "Bearer wrong"}, 401},
		"a POST, as a form has it": {http.MethodPost, nil, 401},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, says(hello), func(c *Config) { c.Options.APIKeys = []string{"one"} })
			path := map[string]string{http.MethodGet: "/v1/models", http.MethodPost: "/v1/chat/completions"}[tc.method]
			got := f.do(t, tc.method, path, ask(""), append(tc.header, "Cookie", access.Cookie+"=one")...)
			if got.status != tc.want || strings.Contains(f.log.String(), "one\"") {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	f := newFixture(t, says(hello), func(c *Config) {
		c.Options.TrustedProxies, c.Options.IPBlock = []string{"127.0.0.0/8", "::1"}, []string{"192.0.2.0/24"}
	})
	got := f.do(t, http.MethodGet, "/v1/models", "", "X-Forwarded-For", "198.51.100.1, 192.0.2.7")
	if e := got.error(t); got.status != 403 || *e.Code != access.CodeAddressNotAllowed || e.Type != openai.TypePermission {
		t.Errorf("a blocked address gets %d: %s", got.status, got.body)
	}
	if got := f.do(t, http.MethodGet, "/v1/models", "", "X-Forwarded-For", "192.0.2.7, 198.51.100.1"); got.status != 200 {
		t.Errorf("another address gets %d: %s", got.status, got.body)
	}
	if got := f.do(t, http.MethodGet, "/v1/health", "", "X-Forwarded-For", "192.0.2.7"); got.status != 200 {
		t.Errorf("a probe gets %d", got.status)
	}
	if !strings.Contains(f.log.String(), `"remote":"192.0.2.7"`) {
		t.Errorf("the log does not name the client: %s", f.log)
	}
}

// TestEveryRouteHasAScope has each route be open, need any key, or need the one scope that the table says.
func TestEveryRouteHasAScope(t *testing.T) {
	var records []string
	for _, scope := range access.Scopes() {
		records = append(records, fmt.Sprintf(`{"identity":%q,"key":"only-%[1]s","scopes":[%[1]q]}`, scope))
	}
	path := writeFile(t, `{"keys":[{"identity":"nothing","key":"only-nothing","scopes":[]},`+strings.Join(records, ",")+`]}`)
	f := newFixture(t, says(hello), func(c *Config) { c.Options.APIKeyFile, c.Options.MetricsAuth = path, true })
	_, laid := f.routes()
	for pattern := range scopes {
		if laid[pattern] == nil {
			t.Errorf("the scope of %s is that of no route", pattern)
		}
	}
	for pattern, methods := range laid {
		need, found := scopes[pattern]
		if !found {
			t.Errorf("%s has no scope", pattern)
		}
		url := regexp.MustCompile(`\{.*?\}`).ReplaceAllString(pattern, "x")
		for _, method := range methods {
			if method == "" {
				method = http.MethodGet
			}
			status := func(key string) int {
				header := []string{"Authorization", "Bearer only-" + key}
				if key == "" {
					header = nil
				}
				return f.do(t, method, url, "{}", header...).status
			}
			refused := func(key string, want int) {
				t.Helper()
				if got := status(key); got != want && want != 0 || want == 0 && (got == 401 || got == 403) {
					t.Errorf("%s %s with the scope %q gives %d, want %d", method, url, key, got, want)
				}
			}
			switch need {
			case open:
				refused("", 0)
				continue
			case keyed:
				refused("nothing", 0)
			default:
				refused("nothing", 403)
				for _, scope := range access.Scopes() {
					refused(string(scope), map[bool]int{true: 0, false: 403}[scope == need])
				}
			}
			refused("", 401)
			refused("wrong", 401)
		}
	}
}
