package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const odd = "p\"ä ss\\w&rd/+=\x01"

func TestNoSecretGetsIn(t *testing.T) {
	secrets := []string{"plain-value", odd, "line-one\nline-two\n", `{"keys":[{"identity":"ada","key":"unlike-any-pattern"}]}`, "abcd"}
	r := &Redactor{}
	for _, s := range secrets {
		r.Add([]byte(s))
	}
	hidden := append([]string{"line-one", "line-two", "unlike-any-pattern"}, secrets...)
	for _, s := range hidden {
		quoted, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{s, strings.Trim(string(quoted), `"`), url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s))} {
			got := string(r.Clean([]byte("before " + form + " after")))
			if strings.Contains(got, strings.TrimSpace(form)) || !strings.Contains(got, "before ") || !strings.Contains(got, " after") {
				t.Errorf("%q became %q", form, got)
			}
		}
	}
}

func TestWhatLooksSecret(t *testing.T) {
	r := &Redactor{}
	for name, tc := range map[string]struct{ in, secret string }{
		"an API key":            {"key sk-AbCdEf0123456789_- in a log", "AbCdEf0123456789"},
		"a hub token":           {"HF hf_abcdefghijkl", "abcdefghijkl"},
		"a bearer header":       {"Authorization: Bearer abc.def-ghi", "abc.def-ghi"},
		"a JSON web token":      {"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJzdWIi"},
		"a password in a URL":   {"redis://user:hunter22@redis:6379", "hunter22"},
		"an option":             {"--redis-password=hunter22 --port=1", "hunter22"},
		"a member":              {`{"api_key": "hunter22"}`, "hunter22"},
		"a signed URL":          {"https://x/y?X-Amz-Signature=0badc0ffee&z=1", "0badc0ffee"},
		"a private key":         {"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", "MIIB"},
		"a token in a variable": {"HF_TOKEN=hunter22", "hunter22"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(r.Clean([]byte(tc.in))); strings.Contains(got, tc.secret) {
				t.Errorf("%q became %q", tc.in, got)
			}
		})
	}
	if in := "model /models/keys.safetensors: 12 tokens per second\n"; string(r.Clean([]byte(in))) != in {
		t.Errorf("%q became %q", in, r.Clean([]byte(in)))
	}
}

func TestObject(t *testing.T) {
	u := &unstructured.Unstructured{Object: map[string]any{
		"kind": "Secret", "data": map[string]any{"api-key": "c2VjcmV0"}, "stringData": map[string]any{"other": "hunter22"},
		"metadata": map[string]any{"name": "x", "annotations": map[string]any{"kubectl.kubernetes.io/last-applied-configuration": "hunter22", "mine": "stays"}, "managedFields": []any{map[string]any{"manager": "m"}}},
		"spec":     map[string]any{"containers": []any{map[string]any{"env": []any{map[string]any{"name": "HF_TOKEN", "value": "hunter22"}, map[string]any{"name": "PORT", "value": "8000"}}}}},
	}}
	text, err := Object(u)
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"c2VjcmV0", "hunter22", "managedFields"} {
		if bytes.Contains(text, []byte(never)) {
			t.Errorf("%q is in\n%s", never, text)
		}
	}
	for _, want := range []string{"mine: stays", "8000", "api-key: '[redacted], 8 characters'"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestArchive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.tar.gz")
	r := &Redactor{}
	r.Add([]byte("hunter22"))
	a, err := Create(path, r, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	long := append([]byte("hunter22 begin"), bytes.Repeat([]byte("x"), maxFile)...)
	if err := errors.Join(a.Add("about.txt", []byte("it is hunter22")), a.Add("../../escape", []byte("x")), a.Add("long", append(long, "end"...))); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a part of the archive has its name")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	gz, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(gz); ; {
		h, err := files.Next()
		if err != nil {
			break
		}
		text, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = string(text)
	}
	if got["chat/about.txt"] != "it is [redacted]" || got["chat/escape"] != "x" {
		t.Errorf("files %q", got["chat/about.txt"])
	}
	if l := got["chat/long"]; len(l) > maxFile+100 || !strings.HasSuffix(l, "xend") || !strings.HasPrefix(l, "[the beginning was cut]") {
		t.Errorf("a long file has %d bytes", len(l))
	}
	if _, err := Create(path, r, time.Unix(1, 0)); err == nil {
		t.Error("an archive was overwritten")
	}
}

func FuzzClean(f *testing.F) {
	f.Add("hunter22", "the password is hunter22, really")
	f.Add("aaaa", "aaaaaaa")
	f.Fuzz(func(t *testing.T, secret, text string) {
		if strings.Contains(redacted, secret) || len(strings.TrimSpace(secret)) < minSecret {
			t.Skip("the marker itself, or too short to be looked for")
		}
		r := &Redactor{}
		r.Add([]byte(secret))
		r.Clean([]byte(text + secret)) // must end, whatever the two are
		redactedText := "<" + redacted + ">"
		if got := string(r.Clean([]byte("<" + secret + ">"))); strings.Contains(got, secret) && !strings.Contains(redactedText, secret) {
			t.Errorf("%q is still in %q", secret, got)
		}
	})
}
