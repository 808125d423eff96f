package page

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answer is what a browser gets.
type answer struct {
	StatusCode int
	Header     http.Header
	Body       io.Reader
}

// serve asks the page for a path; the path that nobody knows is answered with 418.
func serve(t *testing.T, method, target string, header ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })).ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body}
}

func text(t *testing.T, r answer) string {
	t.Helper()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var reference = regexp.MustCompile(`(?:src|href)="(assets/[^"]+)"`)

// references lists the files that the page names.
func references(t *testing.T) []string {
	t.Helper()
	var urls []string
	for _, m := range reference.FindAllStringSubmatch(text(t, serve(t, http.MethodGet, "/")), -1) {
		urls = append(urls, "/"+m[1])
	}
	return urls
}

func TestPage(t *testing.T) {
	r := serve(t, http.MethodGet, "/")
	body := text(t, r)
	want := map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Vary": "Accept-Encoding",
	}
	got := map[string]string{}
	for name := range want {
		got[name] = r.Header.Get(name)
	}
	if diff := cmp.Diff(want, got); diff != "" || r.StatusCode != http.StatusOK {
		t.Errorf("status %d, headers (-want,+got):\n%s", r.StatusCode, diff)
	}
	if !strings.HasPrefix(body, "<!doctype html>") || !strings.Contains(body, `id="composer"`) {
		t.Errorf("not the page: %.80q", body)
	}
}

// TestPolicy holds the page to what its Content-Security-Policy lets run.
func TestPolicy(t *testing.T) {
	r := serve(t, http.MethodGet, "/")
	directives := strings.Split(r.Header.Get("Content-Security-Policy"), "; ")
	for _, want := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'",
		"base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'",
	} {
		if !slices.Contains(directives, want) {
			t.Errorf("the policy %q lacks %s", directives, want)
		}
	}
	for name, forbidden := range map[string]string{
		"an inline script":     `<script(?:\s+type="module")?>`,
		"an inline style":      `<style|\sstyle=`,
		"an inline listener":   `\son[a-z]+=`,
		"an address elsewhere": `(?:src|href)="(?:https?:)?//`,
	} {
		if m := regexp.MustCompile(forbidden).FindString(text(t, serve(t, http.MethodGet, "/"))); m != "" {
			t.Errorf("the page has %s: %s", name, m)
		}
	}
}

// TestSources keeps out of the scripts what would make HTML of text, or talk to somebody else.
func TestSources(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|localStorage\.setItem\(KEY`)
	for name, data := range read() {
		if !strings.HasSuffix(name, ".js") {
			continue
		}
		if m := forbidden.Find(data); m != nil {
			t.Errorf("%s uses %s", name, m)
		}
		if n := strings.Count(string(data), "\n"); n > 500 {
			t.Errorf("%s has %d lines, want at most 500", name, n)
		}
	}
}

func TestAssets(t *testing.T) {
	urls := references(t)
	if len(urls) < 10 {
		t.Fatalf("the page names only %q", urls)
	}
	types := map[string]string{
		".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
	}
	sent := 0
	for _, url := range append(urls, "/") {
		r := serve(t, http.MethodGet, url, "Accept-Encoding", "gzip, br")
		sent += len(text(t, r))
		if url == "/" {
			continue
		}
		want := types[url[strings.LastIndexByte(url, '.'):]]
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != want {
			t.Errorf("%s: status %d, type %q, want %q", url, r.StatusCode, r.Header.Get("Content-Type"), want)
		}
		if got := r.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control %q", url, got)
		}
	}
	const most = 40 << 10
	if sent > most {
		t.Errorf("a browser loads %d bytes, want at most %d", sent, most)
	}
	t.Logf("a browser loads %d bytes in %d files", sent, len(urls)+1)
}

// TestEveryFileIsNamed finds scripts that are imported but not loaded ahead, and files that nothing uses.
func TestEveryFileIsNamed(t *testing.T) {
	urls := strings.Join(references(t), " ")
	for name := range read() {
		if name != index && !strings.Contains(urls, "/"+name) {
			t.Errorf("%s is not named in %s", name, index)
		}
	}
}

func TestUnknownPaths(t *testing.T) {
	version := strings.Split(references(t)[0], "/")[2]
	for _, path := range []string{
		"/index.html", "/favicon.ico", "/assets/", "/assets/app.js", "/assets/0000000000000000/app.js", "/assets/" + version + "/",
		"/assets/" + version + "/index.html", "/assets/" + version + "/../page.go",
	} {
		if r := serve(t, http.MethodGet, path); r.StatusCode != http.StatusTeapot {
			t.Errorf("%s: status %d, want it handed on", path, r.StatusCode)
		}
	}
}

func TestHead(t *testing.T) {
	for _, url := range []string{"/", references(t)[0]} {
		get, head := serve(t, http.MethodGet, url), serve(t, http.MethodHead, url)
		if diff := cmp.Diff(get.Header, head.Header); diff != "" {
			t.Errorf("%s: headers of HEAD (-GET,+HEAD):\n%s", url, diff)
		}
		if body := text(t, head); body != "" {
			t.Errorf("%s: HEAD has the body %.40q", url, body)
		}
	}
}

func TestCompression(t *testing.T) {
	plain := serve(t, http.MethodGet, "/")
	want := text(t, plain)
	cases := map[string]struct {
		accept string
		packed bool
	}{
		"nothing accepted":         {"", false},
		"gzip among others":        {"br, gzip;q=0.8, *;q=0.1", true},
		"gzip in capitals":         {"GZIP", true},
		"gzip refused":             {"gzip;q=0, identity", false},
		"gzip refused at length":   {"gzip; q=0.000", false},
		"a quality that is no one": {"gzip;q=much", false},
		"another encoding":         {"x-gzip, br", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := serve(t, http.MethodGet, "/", "Accept-Encoding", tc.accept)
			if got := r.Header.Get("Content-Encoding") == "gzip"; got != tc.packed {
				t.Fatalf("packed: %v, want %v", got, tc.packed)
			}
			body := r.Body
			if tc.packed {
				unpacked, err := gzip.NewReader(r.Body)
				if err != nil {
					t.Fatal(err)
				}
				body = unpacked
				if r.Header.Get("ETag") == plain.Header.Get("ETag") {
					t.Error("two encodings share an ETag")
				}
			}
			got, err := io.ReadAll(body)
			if err != nil || string(got) != want {
				t.Errorf("%v, another page:\n%s", err, cmp.Diff(want, string(got)))
			}
		})
	}
}

func TestRevalidation(t *testing.T) {
	tag := serve(t, http.MethodGet, "/").Header.Get("ETag")
	packed := serve(t, http.MethodGet, "/", "Accept-Encoding", "gzip").Header.Get("ETag")
	cases := map[string]struct {
		header []string
		want   int
	}{
		"its own tag":              {[]string{"If-None-Match", tag}, http.StatusNotModified},
		"a weak tag among others":  {[]string{"If-None-Match", `"old", W/` + tag}, http.StatusNotModified},
		"any":                      {[]string{"If-None-Match", "*"}, http.StatusNotModified},
		"an old tag":               {[]string{"If-None-Match", `"old"`}, http.StatusOK},
		"the tag of the other one": {[]string{"If-None-Match", packed}, http.StatusOK},
		"packed, its own tag":      {[]string{"If-None-Match", packed, "Accept-Encoding", "gzip"}, http.StatusNotModified},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := serve(t, http.MethodGet, "/", tc.header...)
			body := text(t, r)
			if r.StatusCode != tc.want || (r.StatusCode == http.StatusNotModified) != (body == "") {
				t.Errorf("status %d with %d bytes, want %d", r.StatusCode, len(body), tc.want)
			}
			if r.Header.Get("ETag") == "" || r.Header.Get("Content-Security-Policy") == "" {
				t.Error("no ETag or no policy")
			}
		})
	}
}

func FuzzHandler(f *testing.F) {
	f.Add("/", "gzip", `"a"`)
	f.Add("/assets/../../x", "gzip;q=1;q=,,;", `W/"`)
	f.Add("/assets/%00", "*;q=0", "*")
	h := Handler(http.NotFoundHandler())
	f.Fuzz(func(t *testing.T, path, accept, match string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.URL.Path = path
		r.Header.Set("Accept-Encoding", accept)
		r.Header.Set("If-None-Match", match)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusNotModified && w.Code != http.StatusNotFound {
			t.Errorf("status %d", w.Code)
		}
	})
}
