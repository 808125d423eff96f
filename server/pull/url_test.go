package pull

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// shelf serves one file at /models/tiny.gguf, whose content the test may change at any time.
type shelf struct {
	*httptest.Server
	mu      sync.Mutex
	data    string
	etag    string
	served  int
	tokens  int
	answer  func(w http.ResponseWriter, r *http.Request) bool
	between func(requests int) // runs before each request is answered
	count   int
}

func newShelf(t *testing.T, data string) *shelf {
	s := &shelf{data: data, etag: `"` + sha(data)[:8] + `"`}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.count++
		if r.Header.Get("Authorization") != "" {
			s.tokens++
		}
		if s.between != nil {
			s.between(s.count)
		}
		content, etag, answer := s.data, s.etag, s.answer
		s.mu.Unlock()
		counted := &shelfCounter{w, s}
		if answer != nil && answer(counted, r) {
			return
		}
		w.Header().Set("ETag", etag)
		http.ServeContent(counted, r, "", time.Time{}, strings.NewReader(content))
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

type shelfCounter struct {
	http.ResponseWriter
	shelf *shelf
}

func (c *shelfCounter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.shelf.mu.Lock()
	c.shelf.served += n
	c.shelf.mu.Unlock()
	return n, err
}

// replace puts another file of the same length there.
func (s *shelf) replace() {
	s.data = strings.Repeat("new", len(s.data))[:len(s.data)]
	s.etag = `"new"`
}

func (s *shelf) options(t *testing.T) Options {
	h := hub{t: t, api: s.Server}
	o := h.options(newClock())
	o.Source, o.Endpoint, o.Token = s.URL+"/models/tiny.gguf?signature=hush", "https://huggingface.co", secret
	return o
}

func TestFetchURL(t *testing.T) {
	data := text(4500)
	whole := func(w http.ResponseWriter, _ *http.Request) bool { _, _ = io.WriteString(w, data); return true }
	chunked := func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = io.WriteString(w, data[:2000])
		w.(*shelfCounter).ResponseWriter.(http.Flusher).Flush()
		_, _ = io.WriteString(w, data[2000:])
		return true
	}
	// closed ends the body by closing the connection, without a length.
	closed := func(w http.ResponseWriter, _ *http.Request) bool {
		connection, _, err := w.(*shelfCounter).ResponseWriter.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(connection, "HTTP/1.0 200 OK\r\n\r\n"+data)
			_ = connection.Close()
		}
		return true
	}
	cases := map[string]struct {
		data       string
		sha256     string
		answer     func(http.ResponseWriter, *http.Request) bool
		wantServed int // 0 where it does not matter
		want       string
	}{
		"in ranges":             {data, "", nil, 4501, ""},
		"with its checksum":     {data, strings.ToUpper(sha(data)), nil, 4501, ""},
		"with another checksum": {data, sha("x"), nil, 0, "tiny.gguf is not what was announced: expected sha256 " + sha("x") + ", found " + sha(data) + "; it was removed"},
		"an empty file":         {"", "", nil, 0, ""},
		"without ranges":        {data, "", whole, 9000, ""},
		"in chunks, no length":  {data, "", chunked, 9000, ""},
		"no length at all":      {data, "", closed, 0, "HOST announces no length, so a truncated file could not be told from a whole one: give --sha256"},
		"no length, a checksum": {data, sha(data), closed, 0, ""},
		"not there":             {data, "", func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true }, 0, "HOST has no tiny.gguf (HTTP 404)"},
		"not allowed":           {data, "", func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(401); return true }, 0, "HOST refuses tiny.gguf (HTTP 401): it needs a token (--token-file), or the signed URL has expired"},
		"a teapot":              {data, "", func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(418); return true }, 0, "HOST answers HTTP 418 for tiny.gguf"},
		"an impossible length": {data, "", func(w http.ResponseWriter, r *http.Request) bool {
			partial("bytes 0-0/99999999999999999", "1", "x")(w, r)
			return true
		}, 0, "tiny.gguf has an impossible size of 99999999999999999 bytes"},
		"ranges without a total": {data, "", func(w http.ResponseWriter, r *http.Request) bool { partial("bytes 0-0/*", "1", "x")(w, r); return true }, 0, `HOST answers a request for a range with Content-Range "bytes 0-0/*"; gave up on tiny.gguf after 4 tries`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, tc.data)
			s.answer = tc.answer
			o := s.options(t)
			o.SHA256 = tc.sha256
			result, err := Fetch(t.Context(), o)
			want := strings.ReplaceAll(tc.want, "HOST", strings.TrimPrefix(s.URL, "http://"))
			if (err == nil) != (want == "") || err != nil && err.Error() != "pull: "+want {
				t.Fatalf("got  %v\nwant %s", err, want)
			}
			if s.tokens > 0 {
				t.Error("the token of the Hub was sent to another server")
			}
			if err != nil {
				return
			}
			wantTree(t, o.To, map[string]blob{"tiny.gguf": {data: tc.data}}, "tiny.gguf")
			if manifest := tree(t, o.To)[ManifestName]; strings.Contains(manifest, "hush") || result.Source != s.URL+"/models/tiny.gguf" {
				t.Errorf("the source is %q, the manifest %s", result.Source, manifest)
			}
			if tc.wantServed > 0 && s.served != tc.wantServed {
				t.Errorf("%d bytes were served, want %d", s.served, tc.wantServed)
			}
		})
	}
}

// TestURLChanges replaces the file while it is on its way, and between two runs: the parts of two versions never mix.
func TestURLChanges(t *testing.T) {
	t.Run("once, during the download", func(t *testing.T) {
		s := newShelf(t, text(4500))
		s.between = func(requests int) {
			if requests == 3 {
				s.replace()
			}
		}
		o := s.options(t)
		if _, err := Fetch(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		wantTree(t, o.To, map[string]blob{"tiny.gguf": {data: s.data}}, "tiny.gguf")
	})
	t.Run("all the time", func(t *testing.T) {
		s := newShelf(t, text(4500))
		s.between = func(requests int) { s.etag = fmt.Sprintf(`"%d"`, requests) }
		if _, err := Fetch(t.Context(), s.options(t)); err == nil || err.Error() != "pull: tiny.gguf keeps changing on the server" {
			t.Errorf("got %v", err)
		}
	})
	for name, changed := range map[string]bool{"between two runs": true, "not between two runs": false} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, text(4500))
			ctx, cancel := context.WithCancel(t.Context())
			s.answer = func(_ http.ResponseWriter, r *http.Request) bool {
				s.mu.Lock()
				fourth := s.count == 4 // the first asks for the size, the next two bring 1000 bytes each
				s.mu.Unlock()
				if fourth {
					cancel()
					<-r.Context().Done()
				}
				return fourth
			}
			o := s.options(t)
			o.Parallel = 1
			result, err := Fetch(ctx, o)
			if err == nil || result.Kept != 2000 {
				t.Fatalf("got %v, %d bytes kept", err, result.Kept)
			}
			s.CloseClientConnections()
			s.mu.Lock()
			s.answer, s.served = nil, 0
			want := 1 + 2500
			if changed {
				s.replace()
				want = 1 + 4500
			}
			s.mu.Unlock()
			if _, err := Fetch(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if s.served != want {
				t.Errorf("%d bytes were served, want %d", s.served, want)
			}
			wantTree(t, o.To, map[string]blob{"tiny.gguf": {data: s.data}}, "tiny.gguf")
		})
	}
}

// TestURLAgain asks once more for a file that is there: the answer's version says whether that is still so.
func TestURLAgain(t *testing.T) {
	s := newShelf(t, text(4500))
	o := s.options(t)
	for i, want := range []int{4501, 1, 4501} {
		s.served = 0
		if i == 2 {
			s.replace()
		}
		if _, err := Fetch(t.Context(), o); err != nil || s.served != want {
			t.Errorf("run %d: %d bytes were served, want %d; %v", i, s.served, want, err)
		}
	}
	wantTree(t, o.To, map[string]blob{"tiny.gguf": {data: s.data}}, "tiny.gguf")
}

// TestTokenForURL sends a token that was named for the URL, there and nowhere else.
func TestTokenForURL(t *testing.T) {
	s, second := newShelf(t, text(100)), newShelf(t, text(100))
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, second.URL+"/x", http.StatusTemporaryRedirect)
		return true
	}
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	status := Run(t.Context(), []string{s.URL + "/tiny.gguf", "--token-file", name, "--to", t.TempDir()}, environment(nil), &stdout, &stderr)
	if status != 0 || s.tokens == 0 || second.tokens != 0 {
		t.Errorf("status %d, the token arrived %d and %d times; %s", status, s.tokens, second.tokens, stderr.String())
	}
}

// TestLinkedChecksum takes the SHA-256 that the Hub puts into its redirect.
func TestLinkedChecksum(t *testing.T) {
	s, storage := newShelf(t, ""), newShelf(t, text(100))
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("X-Linked-Etag", `"`+sha("another file")+`"`)
		http.Redirect(w, r, storage.URL+"/x", http.StatusFound)
		return true
	}
	_, err := Fetch(t.Context(), s.options(t))
	if err == nil || !strings.Contains(err.Error(), "expected sha256 "+sha("another file")) {
		t.Errorf("got %v", err)
	}
}
