package pull

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	commit = "0123456789012345678901234567890123456789"
	secret = "hf_very-secret"
)

// hub is a Hugging-Face-like server with one repository, openai/tiny. Large files come from a second host, as there.
type hub struct {
	t        *testing.T
	api, cdn *httptest.Server
	// misbehave is asked before a file's bytes are sent; it returns true when it has answered itself.
	misbehave func(w http.ResponseWriter, r *http.Request, name string) bool
	// refuse answers requests to the API and for redirects.
	refuse func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	head     string // commit of main
	files    map[string]blob
	served   map[string]int64 // bytes of file bodies
	requests []string         // paths, in order
	tokens   map[string]bool  // where Authorization arrived: api, cdn
	perPage  int
}

type blob struct {
	data string
	lfs  bool
	lie  string // another content, whose checksum is announced
}

func newHub(t *testing.T, files map[string]blob) *hub {
	h := &hub{t: t, head: commit, files: files, served: map[string]int64{}, tokens: map[string]bool{}, perPage: 1000}
	h.api, h.cdn = httptest.NewServer(http.HandlerFunc(h.serveAPI)), httptest.NewServer(http.HandlerFunc(h.serveCDN))
	t.Cleanup(func() {
		h.api.CloseClientConnections()
		h.cdn.CloseClientConnections()
		h.api.Close()
		h.cdn.Close()
	})
	return h
}

// note records a request under the server's lock.
func (h *hub) note(r *http.Request, server string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, server+" "+r.URL.Path)
	if r.Header.Get("Authorization") != "" {
		h.tokens[server] = true
	}
}

func (h *hub) serveAPI(w http.ResponseWriter, r *http.Request) {
	h.note(r, "api")
	if h.refuse != nil && h.refuse(w, r) {
		return
	}
	path := r.URL.EscapedPath()
	h.mu.Lock()
	head := h.head
	h.mu.Unlock()
	if name, ok := strings.CutPrefix(path, "/openai/tiny/resolve/"+head+"/"); ok {
		if h.files[name].lfs {
			http.Redirect(w, r, h.cdn.URL+"/"+name+"?signature=hush", http.StatusFound)
			return
		}
		h.send(w, r, name)
		return
	}
	switch path {
	case "/api/models/openai/tiny/revision/main", "/api/models/openai/tiny/revision/refs%2Fpr%2F1":
		fmt.Fprintf(w, `{"id":"openai/tiny","sha":%q}`, head)
	case "/api/models/openai/tiny/tree/" + head:
		h.list(w, r)
	default:
		w.Header().Set("X-Error-Code", "EntryNotFound")
		http.Error(w, "no such thing", http.StatusNotFound)
	}
}

func (h *hub) list(w http.ResponseWriter, r *http.Request) {
	var entries []map[string]any
	for name, b := range h.files {
		content := b.data
		if b.lie != "" {
			content = b.lie
		}
		e := map[string]any{"type": "file", "path": name, "size": len(b.data), "oid": gitOID(content)}
		if b.lfs {
			e["lfs"] = map[string]any{"oid": sha(content), "size": len(b.data), "pointerSize": 134}
		}
		entries = append(entries, e)
	}
	entries = append(entries, map[string]any{"type": "directory", "path": "original", "size": 0, "oid": commit})
	slices.SortFunc(entries, func(a, b map[string]any) int { return strings.Compare(a["path"].(string), b["path"].(string)) })
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	to := min(len(entries), from+h.perPage)
	if to < len(entries) { // the host is the original's, as mirrors pass it on
		w.Header().Set("Link", fmt.Sprintf(`<https://huggingface.co%s?recursive=true&cursor=%d>; rel="next"`, r.URL.Path, to))
	}
	if err := json.NewEncoder(w).Encode(entries[from:to]); err != nil {
		h.t.Error(err)
	}
}

func (h *hub) serveCDN(w http.ResponseWriter, r *http.Request) {
	h.note(r, "cdn")
	h.send(w, r, strings.TrimPrefix(r.URL.Path, "/"))
}

func (h *hub) send(w http.ResponseWriter, r *http.Request, name string) {
	counted := &counter{ResponseWriter: w, hub: h, name: name}
	h.mu.Lock()
	misbehave := h.misbehave
	h.mu.Unlock()
	if misbehave != nil && misbehave(counted, r, name) {
		return
	}
	b, ok := h.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(counted, r, "", time.Time{}, strings.NewReader(b.data))
}

// counter counts the bytes of bodies.
type counter struct {
	http.ResponseWriter
	hub  *hub
	name string
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.hub.mu.Lock()
	c.hub.served[c.name] += int64(n)
	c.hub.mu.Unlock()
	return n, err
}

func (c *counter) Flush() { c.ResponseWriter.(http.Flusher).Flush() }

func (h *hub) servedBytes() (n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range h.served {
		n += v
	}
	clear(h.served)
	return n
}

func (h *hub) count(prefix string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

// once makes misbehave answer the first n requests for a name with answer.
func once(n int, name string, answer func(w http.ResponseWriter, r *http.Request)) func(http.ResponseWriter, *http.Request, string) bool {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request, got string) bool {
		mu.Lock()
		mine := got == name && n > 0
		if mine {
			n--
		}
		mu.Unlock()
		if mine {
			answer(w, r)
		}
		return mine
	}
}

// testClock stands still: waiting is noted and moves it, and its ticks are sent by the test.
type testClock struct {
	mu     sync.Mutex
	now    time.Time
	sleeps []time.Duration
	beats  chan time.Time
	saves  chan time.Time
}

func newClock() *testClock {
	return &testClock{now: time.Unix(1_800_000_000, 0), beats: make(chan time.Time), saves: make(chan time.Time)}
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *testClock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sleeps = append(c.sleeps, d)
	c.now = c.now.Add(d)
	return context.Cause(ctx)
}

func (c *testClock) Tick(d time.Duration) (<-chan time.Time, func()) {
	if d == heartbeat {
		return c.beats, func() {}
	}
	return c.saves, func() {}
}

// options are for openai/tiny into a fresh folder, with pieces of 1000 bytes.
func (h *hub) options(clock *testClock) Options {
	return Options{
		Source: "openai/tiny", Endpoint: h.api.URL, To: filepath.Join(h.t.TempDir(), "tiny"), Retries: 3, Token: secret,
		clock: clock, jitter: func() float64 { return 1 }, pieceSize: 1000,
		freeBytes: func(string) (int64, bool) { return 1 << 40, true },
	}
}

// small is a repository as the real one is laid out.
func small() map[string]blob {
	return map[string]blob{
		"config.json":                      {data: `{"model_type":"gpt_oss"}`},
		"tokenizer.json":                   {data: text(700), lfs: true},
		"model.safetensors.index.json":     {data: "{}"},
		"model-00000-of-00001.safetensors": {data: text(9500), lfs: true},
		"LICENSE":                          {data: "Apache-2.0"},
		"README.md":                        {data: "read me"},
		"original/model.safetensors":       {data: text(50), lfs: true},
		"metal/model.bin":                  {data: text(60), lfs: true},
	}
}

const shard = "model-00000-of-00001.safetensors"

// text makes n bytes in which every place is different.
func text(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,", i)
	}
	return b.String()[:n]
}

func sha(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func gitOID(s string) string {
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(s), s))
	return hex.EncodeToString(sum[:])
}

// tree reads all files below dir.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// wantTree compares all but the manifest.
func wantTree(t *testing.T, dir string, files map[string]blob, names ...string) {
	t.Helper()
	got := tree(t, dir)
	if _, ok := got[ManifestName]; !ok {
		t.Errorf("there is no manifest in %s", dir)
	}
	delete(got, ManifestName)
	for _, name := range names {
		if got[name] != files[name].data {
			t.Errorf("%s has %d bytes, which are not those of the server", name, len(got[name]))
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s lies about", name)
	}
}

// standardNames is what a plain pull of small fetches.
var standardNames = []string{"LICENSE", "config.json", shard, "model.safetensors.index.json", "tokenizer.json"}
