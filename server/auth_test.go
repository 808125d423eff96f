package server

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	now = now.Add(keyFileInterval)
	expect("after a change", map[string]int{"one": 401, "two": 200, "flag": 200, "three": 200})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	now = now.Add(keyFileInterval)
	expect("without the file", map[string]int{"one": 401, "two": 200, "three": 200})
	write("bad key\n")
	now = now.Add(keyFileInterval)
	expect("with a broken file", map[string]int{"bad": 401, "two": 200})
	write("")
	now = now.Add(keyFileInterval)
	expect("with an empty file", map[string]int{"two": 401, "three": 401, "flag": 200, "": 401})
	if log := f.log.String(); strings.Count(log, "cannot be read") != 1 || strings.Contains(log, "three") || strings.Contains(log, "bad key") {
		t.Errorf("the log is %s", log)
	}
}

func TestKeyFileAtTheStart(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, maxKeyFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "key file: open " + filepath.Join(dir, "none") + ": no such file or directory",
		big:                        "key file " + big + ": must have at most 1048576 bytes",
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
