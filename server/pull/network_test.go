package pull

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func status(code int, header, value string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(header, value)
		w.WriteHeader(code)
	}
}

// partial answers a range of the shard with headers of the test's choice, and with body.
func partial(span, length, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", span)
		if length != "" {
			w.Header().Set("Content-Length", length)
		}
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, body)
	}
}

// breakOff sends n bytes of what is asked for and then closes the connection.
func breakOff(data string, n int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		var from, to int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		partial(fmt.Sprintf("bytes %d-%d/%d", from, to, len(data)), fmt.Sprint(to-from+1), data[from:from+n])(w, r)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// TestBadServer misbehaves on the shard, once or for ever, and expects the right file or one clear sentence.
func TestBadServer(t *testing.T) {
	data := text(9500)
	const host = "HOST"
	in := func(d ...time.Duration) []time.Duration { return d }
	tooLong := "more than 1000 bytes" + strings.Repeat(".", 1000)
	endless := func(w http.ResponseWriter, r *http.Request) {
		partial("bytes 0-999/9500", "", tooLong[:500])(w, r)
		w.(http.Flusher).Flush() // from here on in chunks, without a length
		_, _ = io.WriteString(w, tooLong[500:])
	}
	cases := map[string]struct {
		times      int
		answer     func(http.ResponseWriter, *http.Request)
		wantExtra  int64 // bytes served beyond the file's own
		wantSleeps []time.Duration
		wantError  string // HOST stands for the server
	}{
		"breaks off":                         {3, breakOff(data, 100), 0, nil, ""},
		"breaks off for ever":                {99, breakOff(data, 0), 0, in(1e9, 2e9, 4e9), host + " broke off; gave up on " + shard + " after 4 tries"},
		"busy, seconds":                      {1, status(429, "Retry-After", "7"), 0, in(7e9), ""},
		"busy, a date":                       {1, status(503, "Retry-After", time.Unix(1_800_000_009, 0).UTC().Format(http.TimeFormat)), 0, in(9e9), ""},
		"busy, the Hub's header":             {1, status(429, "RateLimit", `"resolvers";r=0;t=55`), 0, in(55e9), ""},
		"busy, and does not say how long":    {2, status(429, "X", ""), 0, in(1e9, 2e9), ""},
		"busy for hours":                     {1, status(429, "Retry-After", "7200"), 0, nil, host + " asks to come back in 2h0m0s (HTTP 429)"},
		"fails thrice":                       {3, status(500, "X", ""), 0, in(1e9, 2e9, 4e9), ""},
		"fails for ever":                     {99, status(502, "X", ""), 0, in(1e9, 2e9, 4e9), host + " failed (HTTP 502); gave up on " + shard + " after 4 tries"},
		"ignores ranges":                     {99, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, data) }, 0, nil, ""},
		"another range than asked for":       {1, partial("bytes 1-1000/9500", "1000", data[1:1001]), -1, in(1e9), ""},
		"a longer range":                     {1, partial("bytes 0-1999/9500", "2000", data[:2000]), -1, in(1e9), ""},
		"a shorter range":                    {1, partial("bytes 0-499/9500", "500", data[:500]), 0, in(1e9), ""},
		"another total":                      {1, partial("bytes 0-999/9501", "1000", data[:1000]), -1, in(1e9), ""},
		"another total for ever":             {99, partial("bytes 0-999/9501", "1000", data[:1000]), -1, in(1e9, 2e9, 4e9), host + " announces 9501 bytes for " + shard + ", which should have 9500; gave up on " + shard + " after 4 tries"},
		"no Content-Range":                   {1, partial("", "1000", data[:1000]), -1, in(1e9), ""},
		"a hostile Content-Range":            {1, partial("bytes 0-99999999999999999999/*", "1000", data[:1000]), -1, in(1e9), ""},
		"a length that is not the range's":   {1, partial("bytes 0-999/9500", "900", data[:900]), -1, in(1e9), ""},
		"more bytes than the range":          {1, partial("bytes 0-999/9500", "", tooLong), -1, in(1e9), ""},
		"more bytes, in chunks":              {1, endless, -1, in(1e9), ""},
		"more bytes, in chunks, for ever":    {99, endless, -1, in(1e9, 2e9, 4e9), host + " sends more bytes of " + shard + " than it announced; gave up on " + shard + " after 4 tries"},
		"the whole file with another length": {1, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, data[:9000]) }, -1, in(1e9), ""},
		"says that the file ends":            {1, status(416, "X", ""), 0, in(1e9), ""},
		"compressed":                         {1, status(200, "Content-Encoding", "gzip"), 0, nil, host + " sends " + shard + " compressed, although it was asked not to"},
		"an expired address":                 {1, status(403, "X", ""), 0, in(1e9), ""},
		"a refusal of the second host":       {99, status(403, "X", ""), 0, in(1e9, 2e9, 4e9), host + " refuses " + shard + " (HTTP 403): it needs a token (--token-file), or the signed URL has expired; gave up on " + shard + " after 4 tries"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, small())
			h.misbehave = once(tc.times, shard, tc.answer)
			clock := newClock()
			o := h.options(clock)
			o.Parallel = 1
			_, err := Fetch(t.Context(), o)
			want := strings.ReplaceAll(tc.wantError, host, strings.TrimPrefix(h.cdn.URL, "http://"))
			if (err == nil) != (want == "") || err != nil && err.Error() != "pull: "+want {
				t.Fatalf("got  %v\nwant %s", err, want)
			}
			if tc.wantSleeps != nil {
				if diff := cmp.Diff(tc.wantSleeps, clock.sleeps); diff != "" {
					t.Errorf("pauses (-want,+got):\n%s", diff)
				}
			}
			if err != nil {
				return
			}
			if served := h.servedBytes(); tc.wantExtra == 0 && served != size(h.files) {
				t.Errorf("%d bytes were served, want each of the %d once", served, size(h.files))
			}
			wantTree(t, o.To, h.files, standardNames...)
		})
	}
}

// TestStalled lets the server fall silent in the middle of a body.
func TestStalled(t *testing.T) {
	h := newHub(t, small())
	silent := make(chan struct{})
	h.misbehave = once(1, shard, func(w http.ResponseWriter, r *http.Request) {
		partial("bytes 0-999/9500", "1000", "0,1,2")(w, r)
		w.(http.Flusher).Flush()
		close(silent)
		<-r.Context().Done()
	})
	clock := newClock()
	o := h.options(clock)
	retried := make(chan struct{})
	var message string
	o.Parallel = 1
	o.Report = func(e Event) {
		if e.Event == "retry" && message == "" {
			message = e.Message
			close(retried)
		}
	}
	go func() {
		<-silent
		for {
			select {
			case <-retried:
				return
			default:
			}
			clock.advance(31 * time.Second)
			select {
			case clock.beats <- clock.Now():
			case <-retried:
				return
			}
		}
	}()
	if _, err := Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimPrefix(h.cdn.URL, "http://") + " sends nothing; trying again in 1s"; message != want {
		t.Errorf("the retry says %q, want %q", message, want)
	}
	wantTree(t, o.To, h.files, standardNames...)
}

// TestAddressExpires refuses every address of the second host after its first use.
func TestAddressExpires(t *testing.T) {
	h := newHub(t, small())
	uses := 0
	h.misbehave = func(w http.ResponseWriter, _ *http.Request, name string) bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if name != shard {
			return false
		}
		if uses++; uses%2 == 0 {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	}
	o := h.options(newClock())
	o.Parallel = 1
	if _, err := Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantTree(t, o.To, h.files, standardNames...)
}

// TestWrongBytes expects the file gone and the sentence to name it, what was expected and what came.
func TestWrongBytes(t *testing.T) {
	cases := map[string]struct{ file, want string }{
		"a large file": {shard, shard + " is not what was announced: expected sha256 " + sha(text(9499)+"!") + ", found " + sha(text(9500)) + "; it was removed"},
		"a small file": {"LICENSE", "LICENSE is not what was announced: expected git blob " + gitOID("Apache-1.0") + ", found " + gitOID("Apache-2.0") + "; it was removed"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			files := small()
			b := files[tc.file]
			b.lie = map[string]string{shard: text(9499) + "!", "LICENSE": "Apache-1.0"}[tc.file]
			files[tc.file] = b
			h := newHub(t, files)
			o := h.options(newClock())
			if _, err := Fetch(t.Context(), o); err == nil || err.Error() != "pull: "+tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
			for left := range tree(t, o.To) {
				if strings.HasPrefix(left, tc.file) || left == ManifestName {
					t.Errorf("%s is left", left)
				}
			}
		})
	}
}

func TestHubRefuses(t *testing.T) {
	refuse := func(code int, errorCode, at string) func(*hub) {
		return func(h *hub) {
			h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, at) {
					return false
				}
				w.Header().Set("X-Error-Code", errorCode)
				w.WriteHeader(code)
				return true
			}
		}
	}
	body := func(text string) func(*hub) {
		return func(h *hub) {
			h.refuse = func(w http.ResponseWriter, _ *http.Request) bool { _, _ = io.WriteString(w, text); return true }
		}
	}
	cases := map[string]struct {
		change func(*hub)
		token  Token
		want   string // HOST stands for the server
	}{
		"gated, nobody":      {refuse(401, "GatedRepo", "/resolve/"), "", "openai/tiny may not be read (HTTP 401): it may be gated; accept its licence at http://HOST/openai/tiny and set HF_TOKEN (or --token-file) to a token of that account"},
		"gated, not on list": {refuse(403, "GatedRepo", "/resolve/"), secret, "openai/tiny may not be read (HTTP 403): it may be gated; accept its licence at http://HOST/openai/tiny and set HF_TOKEN (or --token-file) to a token of that account"},
		"private or unknown": {refuse(401, "RepoNotFound", "/api/"), "", "HOST has no repository openai/tiny, or it is private (HTTP 401): check the name, or set HF_TOKEN (or --token-file) to a token that may read it"},
		"unknown":            {refuse(404, "RepoNotFound", "/api/"), secret, "HOST has no repository openai/tiny, or it is private (HTTP 404): check the name, or set HF_TOKEN (or --token-file) to a token that may read it"},
		"a bad token":        {refuse(401, "", "/api/"), secret, "HOST does not accept the token (HTTP 401): it is wrong or has expired"},
		"no such revision":   {refuse(404, "RevisionNotFound", "/revision/"), "", "openai/tiny has no such revision (HTTP 404): revision main"},
		"no such file":       {refuse(404, "EntryNotFound", "/resolve/"), "", "openai/tiny has no LICENSE (HTTP 404)"},
		"no Hub at all":      {refuse(404, "", "/api/"), "", "HOST has no revision main of openai/tiny (HTTP 404)"},
		"a teapot":           {refuse(418, "", "/api/"), "", "HOST answers HTTP 418 for revision main"},
		"a login page":       {body("<html>"), "", "HOST is no Hugging Face endpoint: the answer about a revision is no JSON object: invalid character '<' looking for beginning of value"},
		"no commit":          {body(`{"sha":"main"}`), "", "HOST is no Hugging Face endpoint: the answer about a revision has no commit (sha) of 40 hex digits"},
		"an endless page":    {body(strings.Repeat(" ", maxPage+1)), "", "HOST sends more than 16777216 bytes for revision main"},
		"redirects in a circle": {func(h *hub) {
			h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, r.URL.Path, http.StatusFound)
				return true
			}
		}, "", "redirect refused: HOST leads through more than 10"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, small())
			tc.change(h)
			o := h.options(newClock())
			o.Token, o.Parallel = tc.token, 1
			_, err := Fetch(t.Context(), o)
			want := strings.ReplaceAll(tc.want, "HOST", strings.TrimPrefix(h.api.URL, "http://"))
			if err == nil || err.Error() != "pull: "+want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// TestHostileNames lists names that lead out of the folder, or into trouble, and finds nothing written.
func TestHostileNames(t *testing.T) {
	names := []string{
		"../x", "a/../../x", "/etc/x", `a\b`, "C:x", "", "a//b", "./a", "a/.", "nul", "a/CON.txt", "com1", "lpt9.bin", "a.", "a ", "a\x00b", "a\nb", "\x1b[2J",
		"a\xffb", ManifestName, "x" + partSuffix, "x" + stateSuffix, strings.Repeat("n", 231), strings.Repeat("n/", 520) + "n",
	}
	for _, name := range names {
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			if _, err := choose([]remote{{path: "config.json"}, {path: name}}, []string{"*"}, nil); err == nil || !strings.HasPrefix(err.Error(), "file name ") {
				t.Errorf("got %v", err)
			}
		})
	}
	for name, files := range map[string][]string{"twice": {"a", "a"}, "twice on some disks": {"Readme", "README"}, "a file and a folder": {"a", "a/b"}, "a folder and a file": {"a/b", "a"}} {
		if _, err := choose([]remote{{path: files[0]}, {path: files[1]}}, []string{"*"}, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	h := newHub(t, map[string]blob{"../outside": {data: "x"}})
	o := h.options(newClock())
	o.Include = []string{"*"}
	if _, err := Fetch(t.Context(), o); err == nil || !strings.Contains(err.Error(), `file name "../outside" must be relative`) {
		t.Errorf("got %v", err)
	}
	if got := tree(t, filepath.Dir(o.To)); len(got) != 0 {
		t.Errorf("written: %v", got)
	}
}

// TestLinksInTarget finds links where files should go, and leaves what they point at alone.
func TestLinksInTarget(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, link := range map[string]string{"a file": "config.json", "its partial file": "config.json" + partSuffix, "its state": "config.json" + stateSuffix, "a folder": "original"} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, small())
			o := h.options(newClock())
			to := outside
			if link == "original" {
				to, o.Include = filepath.Dir(outside), []string{"original/*"}
			}
			if err := errors.Join(os.MkdirAll(o.To, 0o755), os.Symlink(to, filepath.Join(o.To, link))); err != nil {
				t.Fatal(err)
			}
			_, err := Fetch(t.Context(), o)
			if name == "its state" {
				if err != nil {
					t.Errorf("a link in place of the state is no reason to fail: %v", err)
				}
			} else if err == nil || !strings.Contains(err.Error(), link+" in "+o.To+" is no ") {
				t.Errorf("got %v", err)
			}
			if got, err := os.ReadFile(outside); err != nil || string(got) != "mine" {
				t.Errorf("the file outside is %q, %v", got, err)
			}
		})
	}
}

// TestProxy sends everything for a host that exists nowhere through the proxy.
func TestProxy(t *testing.T) {
	h := newHub(t, small())
	var proxied atomic.Int32
	through := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "hub.example:81" {
			proxied.Add(1)
			h.serveAPI(w, r)
		}
	}))
	defer through.Close()
	o := h.options(newClock())
	o.Endpoint = "http://hub.example:81"
	o.Proxy = proxy(func(name string) string {
		return map[string]string{"http_proxy": through.URL, "NO_PROXY": "127.0.0.1"}[name]
	})
	if _, err := Fetch(t.Context(), o); err != nil || proxied.Load() == 0 {
		t.Errorf("%d requests went through the proxy, %v", proxied.Load(), err)
	}
	wantTree(t, o.To, h.files, standardNames...)
}

// TestUntrusted meets a server whose certificate nobody signed: it is not asked twice.
func TestUntrusted(t *testing.T) {
	h := newHub(t, small())
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	clock := newClock()
	o := h.options(clock)
	o.Endpoint = server.URL
	_, err := Fetch(t.Context(), o)
	if err == nil || !strings.HasPrefix(err.Error(), "pull: cannot trust 127.0.0.1:") || !strings.Contains(err.Error(), "SSL_CERT_FILE") || len(clock.sleeps) > 0 {
		t.Errorf("got %v after %d pauses", err, len(clock.sleeps))
	}
}

func TestNetFailure(t *testing.T) {
	stalled, cancel := context.WithCancelCause(t.Context())
	cancel(errStalled)
	wrap := func(err error) error {
		return &url.Error{Op: "Get", URL: "https://hub/x?signature=hush", Err: err}
	}
	cases := map[string]struct {
		ctx       context.Context
		err       error
		reached   bool
		want      string
		wantAgain bool
	}{
		"no such host":             {t.Context(), &net.OpError{Op: "dial", Err: &net.DNSError{Name: "hub.invalid", IsNotFound: true}}, false, "there is no host hub.invalid (DNS): check the name, and the proxy if one is needed", false},
		"a resolver that failed":   {t.Context(), &net.DNSError{Name: "hub", Err: "server misbehaving"}, false, "cannot look up hub (DNS): server misbehaving", true},
		"a host gone for a moment": {t.Context(), &net.DNSError{Name: "hub", Err: "no such host", IsNotFound: true}, true, "cannot look up hub (DNS): no such host", true},
		"no proxy":                 {t.Context(), &net.OpError{Op: "proxyconnect", Err: errors.New("connection refused")}, false, "the proxy does not answer: connection refused", true},
		"an unknown authority":     {t.Context(), &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, false, "cannot trust hub (TLS): tls: failed to verify certificate: x509: certificate signed by unknown authority; where a proxy signs with an authority of its own, name that in SSL_CERT_FILE", false},
		"the end":                  {t.Context(), io.ErrUnexpectedEOF, true, "hub broke off", true},
		"silence":                  {stalled, context.Canceled, true, "hub sends nothing", true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := netFailure(tc.ctx, wrap(tc.err), "hub", tc.reached)
			if err.Error() != tc.want || isPassing(err) != tc.wantAgain {
				t.Errorf("got  %v (again: %v)\nwant %s", err, isPassing(err), tc.want)
			}
		})
	}
}

func TestDiskFailure(t *testing.T) {
	for cause, want := range map[error]string{
		syscall.ENOSPC: "no space is left on the disk for config.json",
		syscall.EDQUOT: "no space is left on the disk for config.json",
		syscall.EIO:    "write config.json: write x: input/output error",
	} {
		if got := diskFailure("config.json", &os.PathError{Op: "write", Path: "x", Err: cause}); got.Error() != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

func TestRedirects(t *testing.T) {
	request := func(address string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if err := checkRedirect(request("http://b/x"), []*http.Request{request("https://a/x")}); !errors.Is(err, errRedirect) {
		t.Errorf("from https to http: %v", err)
	}
	if err := checkRedirect(request("https://b/x"), []*http.Request{request("https://a/x")}); err != nil {
		t.Errorf("to another host: %v", err)
	}
	for address, want := range map[string]bool{
		"https://hub.example/a": true, "https://HUB.example:443/a": true, "http://hub.example/a": false,
		"https://cdn.hub.example/a": false, "https://hub.example:444/a": false, "https://hub.example.evil/a": false,
	} {
		if u, err := url.Parse(address); err != nil || sameOrigin(u, "https://hub.example") != want {
			t.Errorf("%s is the same origin: %v, want %v", address, !want, want)
		}
	}
}

func TestTokenIsNeverPrinted(t *testing.T) {
	var b bytes.Buffer
	o := Options{Token: secret}
	fmt.Fprintf(&b, "%v %+v %#v %s %q", o, o, o, o.Token, o.Token)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("options", "token", o.Token)
	if err := json.NewEncoder(&b).Encode(o.Token); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), secret) {
		t.Errorf("printed: %s", b.String())
	}
}
