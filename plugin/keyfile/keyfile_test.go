package keyfile

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func parse(t *testing.T, content string) *File {
	t.Helper()
	f, err := Parse([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const two = `{"keys": [
  {"identity": "ada", "key": "sk-ada", "notAfter": "2026-01-01T00:00:00Z", "scopes": ["chat"], "limits": {"burst": 3}},
  {"identity": "bob", "key": "sk-bob"}]}`

func TestRotation(t *testing.T) {
	for name, tc := range map[string]struct {
		content, identity string
		all               bool
		both, after       string
	}{
		"the only key":              {"sk-old", "", false, "sk-old\nsk-new", "sk-new"},
		"the only key, with a line": {"sk-old\n", "", false, "sk-old\nsk-new", "sk-new"},
		"one line of several":       {"a-key\nb-key\n", "key-file-line-1", false, "a-key\nb-key\nsk-new", "b-key\nsk-new"},
		"all lines":                 {"a-key\nb-key", "", true, "a-key\nb-key\nsk-new", "sk-new"},
		"a record keeps its rights and loses its end": {
			two, "ada", false,
			`{"keys":[` + "\n" + `{"identity":"ada","key":"sk-ada","notAfter":"2026-01-01T00:00:00Z","scopes":["chat"],"limits":{"burst":3}},` + "\n" + `{"identity":"bob","key":"sk-bob"},` + "\n" +
				`{"identity":"ada","key":"sk-new","limits":{"burst":3},"scopes":["chat"]}` + "\n]}\n",
			`{"keys":[` + "\n" + `{"identity":"bob","key":"sk-bob"},` + "\n" + `{"identity":"ada","key":"sk-new","limits":{"burst":3},"scopes":["chat"]}` + "\n]}\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := parse(t, tc.content)
			m, err := f.Begin("sk-new", tc.identity, tc.all)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.both, string(f.Bytes())); diff != "" {
				t.Errorf("with both keys (-want +got):\n%s", diff)
			}
			mark, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if text := string(mark); strings.Contains(text, "sk-") || strings.Contains(text, "-key") {
				t.Errorf("the mark tells a key: %s", text)
			}
			again := parse(t, string(f.Bytes())) // another run, after an interruption
			if got := again.Resume(m); got != "sk-new" {
				t.Fatalf("the new key is %q to a later run", got)
			}
			again.Finish(m, "sk-new")
			if diff := cmp.Diff(tc.after, string(again.Bytes())); diff != "" {
				t.Errorf("at the end (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatSomebodyElseWroteStays(t *testing.T) {
	f := parse(t, "sk-old")
	m, err := f.Begin("sk-new", "", false)
	if err != nil {
		t.Fatal(err)
	}
	f = parse(t, "sk-theirs\n"+string(f.Bytes()))
	if removed := f.Finish(m, "sk-new"); !cmp.Equal(removed, []string{"sk-old"}) || string(f.Bytes()) != "sk-theirs\nsk-new" {
		t.Errorf("%d removed, left %q", len(removed), f.Bytes())
	}
	if got := parse(t, "sk-theirs").Resume(m); got != "" {
		t.Errorf("a rotation whose new key is gone goes on with %q", got)
	}
}

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		content, identity string
		all               bool
		want              string
	}{
		"nothing to replace":       {"\n", "", false, "no key to replace"},
		"several lines":            {"a\nb", "", false, "key-file-line-1, key-file-line-2"},
		"several identities":       {two, "", false, "ada, bob"},
		"all of several":           {two, "", true, "one --identity after another"},
		"nobody of that name":      {two, "eve", false, "ada, bob"},
		"a hash, which tells none": {`{"keys":[{"identity":"ada","hash":"sha256:00"}]}`, "", false, "stored as a hash"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(t, tc.content).Begin("sk-new", tc.identity, tc.all); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestKey(t *testing.T) {
	for name, tc := range map[string]struct{ content, want string }{
		"the first line, which pods have the longest": {"\n a-key \nb-key", "a-key"},
		"a record that is valid now":                  {two, "sk-bob"},
		"none in an empty file":                       {"", ""},
		"none of a hash":                              {`{"keys":[{"identity":"a","hash":"sha256:00"}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(t, tc.content).Key(now)
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("%q, error %v; want %q", got, err, tc.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("a\nb"))
	f.Add([]byte(two))
	f.Add([]byte(`{"keys":[{"identity":"x","key":7}]}`))
	f.Add([]byte(`{"keys":[null]} x`))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := Parse(content)
		if err != nil {
			if len(content) > 30 && strings.Contains(err.Error(), string(content)) {
				t.Error("the error repeats the file")
			}
			return
		}
		before := append([]string(nil), file.entries...)
		m, err := file.Begin("sk-0123456789abcdef", "", true)
		if err != nil {
			return
		}
		again, err := Parse(file.Bytes())
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if !cmp.Equal(again.entries[:len(before)], before) {
			t.Errorf("keys got lost: %q, were %q", again.entries, before)
		}
		if again.Resume(m) == "" {
			t.Error("the new key is not found again")
		}
	})
}
