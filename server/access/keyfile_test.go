package access

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/server/limit"
)

func hashOf(key string) string {
	d := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(d[:])
}

func TestKeyRecords(t *testing.T) {
	file := `{"keys":[
		{"identity":"team-a","hash":"` + hashOf("one") + `","notBefore":"2025-01-01T00:00:00Z","notAfter":"2025-12-31T23:59:59+01:00",
		 "scopes":["chat","models"],"models":["gpt-oss-20b"],"limits":{"requestsPerSecond":0.5,"burst":3,"tokensPerMinute":-1,"concurrent":2}},
		{"identity":"Équipe B","key":"two"},
		{"identity":"team-c","key":"three","scopes":[],"models":[]}]}`
	entries, err := parseKeys([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	var got []Identity
	for i, key := range []string{"one", "two", "three"} {
		if entries[i].digest != sha256.Sum256([]byte(key)) {
			t.Errorf("keys[%d] is not the key %s", i, key)
		}
		got = append(got, entries[i].identity)
		got[i].Tenant = ""
	}
	want := []Identity{
		{
			Name: "team-a", Source: "key", Scopes: []Scope{Chat, Models}, Models: []string{"gpt-oss-20b"},
			Limits: limit.Rates{RequestsPerSecond: 0.5, Burst: 3, TokensPerMinute: limit.Unlimited, Concurrent: 2},
		},
		{Name: "Équipe B", Source: "key"},
		{Name: "team-c", Source: "key", Scopes: []Scope{}, Models: []string{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
	for when, valid := range map[string]bool{
		"2024-12-31T23:59:59Z": false, "2025-01-01T00:00:00Z": true, "2025-12-31T22:59:59Z": true, "2025-12-31T23:00:00Z": false,
	} {
		at, err := time.Parse(time.RFC3339, when)
		if err != nil {
			t.Fatal(err)
		}
		if entries[0].valid(at) != valid {
			t.Errorf("at %s the key is valid: %t, want %t", when, !valid, valid)
		}
	}
	if open := entries[2].identity; open.May(Chat) || open.MayUse("any") {
		t.Error("empty lists give rights")
	}
}

func TestBrokenKeyFiles(t *testing.T) {
	record := func(more string) string { return `{"keys":[{"identity":"a","key":"secret"` + more + `}]}` }
	cases := map[string]struct{ file, want string }{
		"a line with a space":       {"fine\nse cret", "line 2 is not a key of visible ASCII characters"},
		"no list":                   {`{}`, `the JSON object has no list "keys"`},
		"not JSON":                  {`{"keys":[secret]}`, "byte 10 is not JSON"},
		"cut off":                   {`{"keys":[`, "it is not the expected JSON"},
		"two objects":               {`{"keys":[]}{"keys":[]}`, "there is something after the JSON object"},
		"a misspelt member":         {record(`,"notafter2":"2025-01-01T00:00:00Z"`), "there is an unknown member; records have identity, hash, key, notBefore, notAfter, scopes, models and limits"},
		"no identity":               {`{"keys":[{"key":"secret"}]}`, "keys[0]: identity must have 1 to 256 bytes of text without control characters"},
		"a line break in a name":    {`{"keys":[{"identity":"a\nb","key":"secret"}]}`, "keys[0]: identity must have 1 to 256 bytes of text without control characters"},
		"neither key nor hash":      {`{"keys":[{"identity":"a"}]}`, "keys[0]: exactly one of hash and key must be there"},
		"both":                      {record(`,"hash":"` + hashOf("x") + `"`), "keys[0]: exactly one of hash and key must be there"},
		"a short hash":              {`{"keys":[{"identity":"a","hash":"sha256:00"}]}`, "keys[0]: hash must be sha256: and 64 hexadecimal digits"},
		"another hash":              {`{"keys":[{"identity":"a","hash":"md5:00"}]}`, "keys[0]: hash must be sha256: and 64 hexadecimal digits"},
		"the same key twice":        {`{"keys":[{"identity":"a","key":"k"},{"identity":"b","hash":"` + hashOf("k") + `"}]}`, "keys[1] is the same key as keys[0]"},
		"an unknown scope":          {record(`,"scopes":["everything"]`), `keys[0]: scopes: "everything" is not a scope; the scopes are chat, completions, responses, tokens, models, metrics`},
		"an end before its begin":   {record(`,"notBefore":"2025-01-02T00:00:00Z","notAfter":"2025-01-01T00:00:00Z"`), "keys[0]: notAfter must not be before notBefore"},
		"no time":                   {record(`,"notAfter":"tomorrow"`), `a time is not like "2027-01-31T12:00:00Z"`},
		"a limit of nothing":        {record(`,"limits":{"requestsPerSecond":0}`), "keys[0]: limits: requestsPerSecond must be from 0.0001 to 1e+06, or -1 for no limit"},
		"a burst without limit":     {record(`,"limits":{"burst":-1}`), "keys[0]: limits: burst must be from 1 to 1e+06"},
		"tokens below nothing":      {record(`,"limits":{"tokensPerMinute":-2}`), "keys[0]: limits: tokensPerMinute must be from 1 to 1000000000000, or -1 for no limit"},
		"too many at the same time": {record(`,"limits":{"concurrent":40000}`), "keys[0]: limits: concurrent must be from 1 to 32767, or -1 for no limit"},
		"a key that is a number":    {`{"keys":[{"identity":"a","key":7}]}`, "keys.key has the wrong type at byte 32"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parseKeys([]byte(tc.file))
			if err == nil || err.Error() != tc.want {
				t.Fatalf("got %v, want %s", err, tc.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error has a key in it: %v", err)
			}
		})
	}
	if _, err := parseKeys([]byte(strings.Repeat("k\n", maxKeys+1))); err == nil {
		t.Error("too many keys are taken")
	}
}

// FuzzKeys wants every key file to be read or refused, and what was read to be found again.
func FuzzKeys(f *testing.F) {
	for _, seed := range []string{
		"one\ntwo\r\n", `{"keys":[{"identity":"a","key":"k"}]}`, `{"keys":[{"identity":"a","hash":"` + hashOf("k") + `","scopes":["chat"]}]}`,
		`{"keys":[{"identity":"a","key":"k","limits":{"requestsPerSecond":1e400}}]}`, `{"keys":null}`, `{"keys":[{}]}`, "{", "\x00", "{\"keys\":[" + strings.Repeat("[", 200),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		entries, err := parseKeys(content)
		if err != nil && entries != nil {
			t.Fatal("entries beside an error")
		}
		for _, e := range entries {
			if e.identity.Source != "key" || e.identity.Tenant == "" || e.identity.Limits.Burst < 0 || fmt.Sprint(e.identity.Limits.RequestsPerSecond) == "NaN" {
				t.Fatalf("an entry that makes no sense: %+v", e)
			}
		}
	})
}
