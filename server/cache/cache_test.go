package cache

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/server/options"
	"github.com/gptoss/gptoss-operator/server/pack"
	"github.com/gptoss/gptoss-operator/server/pull"
)

const (
	folder = "model-0123456789"
	head   = "0123456789012345678901234567890123456789"
	token  = "hf_very-secret"
)

// hub serves the demo model as a repository acme/tiny, and files by their name; gate is waited for before the weights.
type hub struct {
	*httptest.Server
	files  map[string][]byte
	gate   chan struct{}
	tokens atomic.Int32
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{files: map[string][]byte{}}
	for _, name := range []string{"config.json", "generation_config.json", "tokenizer.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join("../../engine/demo/files", name))
		if err != nil {
			t.Fatal(err)
		}
		h.files[name] = data
	}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "Bearer "+token {
		h.tokens.Add(1)
	}
	if r.URL.Path == "/gated.gguf" || strings.HasPrefix(r.URL.Path, "/api/models/acme/gated/") {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	name := filepath.Base(r.URL.Path)
	switch r.URL.Path {
	case "/api/models/acme/tiny/revision/main":
		fmt.Fprintf(w, `{"sha":%q}`, head)
		return
	case "/api/models/acme/tiny/tree/" + head:
		var entries []map[string]any
		for name, data := range h.files {
			sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(data), data))
			entries = append(entries, map[string]any{"type": "file", "path": name, "size": len(data), "oid": hex.EncodeToString(sum[:])})
		}
		_ = json.NewEncoder(w).Encode(entries)
		return
	}
	data, ok := h.files[name]
	if !ok {
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if name == "model.safetensors" && h.gate != nil {
		<-h.gate
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// start runs the command for a fresh volume, and returns the status, what it leaves for the kubelet, and the volume.
func start(t *testing.T, c options.Cache, stdout io.Writer) (status int, reason string) {
	t.Helper()
	c.TerminationLog = filepath.Join(t.TempDir(), "reason")
	var stderr bytes.Buffer
	getenv := func(name string) string { return map[string]string{options.CacheTokenVariable: token + "\n"}[name] }
	status = Run(t.Context(), c.Args(), getenv, stdout, &stderr)
	text, err := os.ReadFile(c.TerminationLog)
	if (status == 0) != (err != nil) {
		t.Errorf("status %d, reason %q, %v", status, text, err)
	}
	if strings.Contains(stderr.String()+string(text), token) {
		t.Error("the token is shown")
	}
	return status, strings.TrimSpace(string(text))
}

// contents lists the files below a folder.
func contents(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestARepositoryBecomesAPackedFile(t *testing.T) {
	h, root := newHub(t), t.TempDir()
	for _, name := range []string{"model-aaaaaaaaaa/a.gptoss", "model-bbbbbbbbbb/b.gptoss", "lost+found/x", "mine/y"} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := options.Cache{Source: "acme/tiny", Endpoint: h.URL, Root: root, Folder: folder, File: "tiny.gptoss", Keep: []string{"model-bbbbbbbbbb"}}
	if status, reason := start(t, c, io.Discard); status != 0 {
		t.Fatal(status, reason)
	}
	want := []string{"lost+found/x", "mine/y", folder + "/tiny.gptoss", "model-bbbbbbbbbb/b.gptoss"}
	if diff := cmp.Diff(want, contents(t, root)); diff != "" {
		t.Errorf("in the volume (-want +got):\n%s", diff)
	}
	if err := pack.Check(filepath.Join(root, folder, "tiny.gptoss")); err != nil {
		t.Error(err)
	}
	if h.tokens.Load() == 0 {
		t.Error("the hub got no token")
	}
	h.Close()
	if status, reason := start(t, c, io.Discard); status != 0 {
		t.Errorf("what is complete takes a network: %d, %s", status, reason)
	}
	if status, reason := start(t, options.Cache{Root: root, Keep: []string{folder}}, io.Discard); status != 0 {
		t.Error(status, reason)
	}
	if diff := cmp.Diff([]string{"lost+found/x", "mine/y", folder + "/tiny.gptoss"}, contents(t, root)); diff != "" {
		t.Errorf("after cleaning (-want +got):\n%s", diff)
	}
}

func TestFilesStayAsTheyCame(t *testing.T) {
	h, root := newHub(t), t.TempDir()
	c := options.Cache{Source: "acme/tiny", Endpoint: h.URL, Root: root, Folder: folder}
	if status, reason := start(t, c, io.Discard); status != 0 {
		t.Fatal(status, reason)
	}
	want := []string{pull.ManifestName, "config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
	if diff := cmp.Diff(want, contents(t, filepath.Join(root, folder, "files"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	h.Close()
	if status, reason := start(t, c, io.Discard); status != 0 {
		t.Errorf("what is complete takes a network: %d, %s", status, reason)
	}
}

func TestAPackedFileIsTakenAsItIs(t *testing.T) {
	h, root := newHub(t), t.TempDir()
	made := filepath.Join(t.TempDir(), "x")
	if err := pack.Write(t.Context(), "../../engine/demo/files", made, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	h.files["tiny.gptoss"] = data
	sum := sha256.Sum256(data)
	c := options.Cache{Source: h.URL + "/a/tiny.gptoss", SHA256: hex.EncodeToString(sum[:]), Root: root, Folder: folder, File: "tiny.gptoss"}
	if status, reason := start(t, c, io.Discard); status != 0 {
		t.Fatal(status, reason)
	}
	got, err := os.ReadFile(filepath.Join(root, folder, "tiny.gptoss"))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("another file came: %v", err)
	}
	if h.tokens.Load() == 0 {
		t.Error("the server of the URL got no token")
	}
}

func TestExitStatusAndReason(t *testing.T) {
	h := newHub(t)
	h.files["noise.gguf"] = []byte("GGUFx")
	secure := httptest.NewTLSServer(h)
	t.Cleanup(secure.Close)
	wrong := strings.Repeat("0", 64)
	for name, tc := range map[string]struct {
		source, endpoint, sha256 string
		status                   int
		reason                   string
	}{
		"a gated repository":     {"acme/gated", h.URL, "", options.CacheRefused, "tokenSecretRef"},
		"a gated file":           {h.URL + "/gated.gguf", "", "", options.CacheRefused, "secretRef"},
		"no such repository":     {"acme/none", h.URL, "", options.CacheNotFound, "has no repository acme/none"},
		"no such file":           {h.URL + "/none.gguf", "", "", options.CacheNotFound, "has no none.gguf"},
		"another checksum":       {h.URL + "/noise.gguf", "", wrong, options.CacheMismatch, "expected sha256 " + wrong},
		"no model":               {h.URL + "/noise.gguf", "", "", options.CacheUnusable, "noise.gguf"},
		"nobody to be trusted":   {"acme/tiny", secure.URL, "", options.CacheFailed, "cannot trust"},
		"a wrong repository":     {"a/b/c", h.URL, "", options.CacheUsage, "must be a repository"},
		"a checksum of no use  ": {"acme/tiny", h.URL, "x", options.CacheUsage, "--sha256"},
	} {
		t.Run(name, func(t *testing.T) {
			c := options.Cache{Source: tc.source, Endpoint: tc.endpoint, SHA256: tc.sha256, Root: t.TempDir(), Folder: folder, File: "m.gptoss"}
			status, reason := start(t, c, io.Discard)
			if status != tc.status || !strings.Contains(reason, tc.reason) {
				t.Errorf("status %d, %s; want %d with %q", status, reason, tc.status, tc.reason)
			}
		})
	}
	var out bytes.Buffer
	if status := Run(t.Context(), []string{"--root=/"}, os.Getenv, &out, &out); status != options.CacheUsage {
		t.Errorf("wrong flags: status %d", status)
	}
	if status := Run(t.Context(), []string{"--help"}, os.Getenv, &out, &out); status != 0 || !strings.Contains(out.String(), "--termination-log PATH") {
		t.Errorf("--help: status %d, %s", status, out.String())
	}
}

// TestProgress asks over HTTP while the weights are held back.
func TestProgress(t *testing.T) {
	h := newHub(t)
	h.gate = make(chan struct{})
	out, in := io.Pipe()
	ended := make(chan int, 1)
	c := options.Cache{Source: "acme/tiny", Endpoint: h.URL, Root: t.TempDir(), Folder: folder, File: "m.gptoss", ProgressAddress: "127.0.0.1:0"}
	go func() {
		status, reason := start(t, c, in)
		if status != 0 {
			t.Error(reason)
		}
		_ = in.Close()
		ended <- status
	}()
	lines := json.NewDecoder(out)
	var line struct{ Address, Path string }
	for line.Address == "" {
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, io.MultiReader(lines.Buffered(), out)) }()
	var got options.CacheProgress
	for got.TotalBytes == 0 { // it reports about once a second
		got = ask(t, "http://"+line.Address+line.Path)
	}
	if got.Phase != options.CacheDownloading || got.Bytes > got.TotalBytes || got.TotalBytes < int64(len(h.files["model.safetensors"])) {
		t.Errorf("progress %+v", got)
	}
	close(h.gate)
	if status := <-ended; status != 0 {
		t.Errorf("status %d", status)
	}
}

func ask(t *testing.T, url string) (p options.CacheProgress) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTracker(t *testing.T) {
	now := time.Unix(0, 0)
	var out bytes.Buffer
	w := &work{}
	w.tracker = &tracker{now: func() time.Time { return now }, log: slog.New(slog.NewJSONHandler(&out, nil))}
	tr := w.tracker
	left := int64(9)
	tr.begin(options.CacheDownloading)
	tr.download(pull.Event{Event: "progress", BytesDone: 10, BytesTotal: 100, SecondsLeft: &left})
	tr.download(pull.Event{Event: "retry", BytesDone: 10, BytesTotal: 100, Message: "it broke off"})
	tr.download(pull.Event{Event: "progress", BytesDone: 10, BytesTotal: 100})
	if diff := cmp.Diff(options.CacheProgress{Phase: "Downloading", Bytes: 10, TotalBytes: 100, Trouble: "it broke off"}, tr.at); diff != "" {
		t.Errorf("trouble lasts until bytes come (-want +got):\n%s", diff)
	}
	tr.download(pull.Event{Event: "progress", BytesDone: 11, BytesTotal: 100})
	if tr.at.Trouble != "" {
		t.Errorf("trouble %q although bytes come", tr.at.Trouble)
	}
	tr.begin(options.CachePacking)
	now = now.Add(20 * time.Second)
	tr.packed(25, 100)
	if tr.at.Phase != "Packing" || *tr.at.SecondsLeft != 60 {
		t.Errorf("a quarter in 20 s: %+v, %d s left", tr.at, *tr.at.SecondsLeft)
	}
	if n := strings.Count(out.String(), `"msg":"progress"`); n != 2 {
		t.Errorf("%d lines about progress, want one for each phase:\n%s", n, out.String())
	}
	for path, want := range map[string]int{"/progress": 200, "/": 404} {
		answer := httptest.NewRecorder()
		tr.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		if answer.Code != want {
			t.Errorf("GET %s: %d", path, answer.Code)
		}
	}
}
