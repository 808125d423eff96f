package pull

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// size is what a plain pull of small transfers.
func size(files map[string]blob) (n int64) {
	for _, name := range standardNames {
		n += int64(len(files[name].data))
	}
	return n
}

func TestFetchRepository(t *testing.T) {
	cases := map[string]struct {
		change func(o *Options, h *hub)
		want   []string
	}{
		"the model's own files":     {func(*Options, *hub) {}, standardNames},
		"a list over several pages": {func(_ *Options, h *hub) { h.perPage = 2 }, standardNames},
		"one connection":            {func(o *Options, _ *hub) { o.Parallel = 1 }, standardNames},
		"a commit":                  {func(o *Options, _ *hub) { o.Source += "@" + commit }, standardNames},
		"a revision with slashes":   {func(o *Options, _ *hub) { o.Revision = "refs/pr/1" }, standardNames},
		"another layout":            {func(o *Options, _ *hub) { o.Include = []string{"original/*"} }, []string{"original/model.safetensors"}},
		"without a file":            {func(o *Options, _ *hub) { o.Exclude = []string{"LICENSE", "*.index.json"} }, []string{"config.json", shard, "tokenizer.json"}},
		"everything":                {func(o *Options, _ *hub) { o.Include = []string{"*"} }, slices.Collect(maps.Keys(small()))},
		"by the page's address":     {func(o *Options, h *hub) { o.Source = h.api.URL + "/openai/tiny/tree/main" }, standardNames},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, small())
			o := h.options(newClock())
			tc.change(&o, h)
			result, err := Fetch(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			wantTree(t, o.To, h.files, tc.want...)
			want := slices.Sorted(slices.Values(tc.want))
			if diff := cmp.Diff(want, result.Files); diff != "" || result.Commit != commit || result.Bytes != h.servedBytes() || result.Downloaded != result.Bytes {
				t.Errorf("result %+v; files (-want,+got):\n%s", result, diff)
			}
			if !h.tokens["api"] || h.tokens["cdn"] {
				t.Errorf("the token arrived at %v, want the api alone", h.tokens)
			}
			if _, err := Fetch(t.Context(), o); err != nil || h.servedBytes() != 0 {
				t.Errorf("a second time: %v, and bytes were transferred again", err)
			}
		})
	}
}

// TestParallelRanges holds back four answers until all four requests are there; one by one they would wait for ever.
func TestParallelRanges(t *testing.T) {
	h := newHub(t, small())
	var mu sync.Mutex
	waiting, all := 0, make(chan struct{})
	h.misbehave = func(w http.ResponseWriter, r *http.Request, name string) bool {
		var from, to int
		if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); name != shard || n != 2 {
			return false
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/9500", from, to))
		w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
		w.WriteHeader(http.StatusPartialContent)
		w.(http.Flusher).Flush()
		mu.Lock()
		if waiting++; waiting == 4 {
			close(all)
		}
		mu.Unlock()
		select {
		case <-all:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, h.files[name].data[from:to+1])
		return true
	}
	o := h.options(newClock())
	if _, err := Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantTree(t, o.To, h.files, standardNames...)
}

// TestPushInBetween moves the branch right after the revision was resolved: nothing of the new commit may come.
func TestPushInBetween(t *testing.T) {
	h := newHub(t, small())
	h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/revision/main") {
			_, _ = io.WriteString(w, `{"sha":"`+commit+`"}`)
			return true
		}
		if !strings.Contains(r.URL.Path, commit) {
			t.Errorf("%s does not name the commit", r.URL.Path)
		}
		return false
	}
	if _, err := Fetch(t.Context(), h.options(newClock())); err != nil {
		t.Fatal(err)
	}
}

// TestInterrupted ends a pull in the middle and expects the next to transfer exactly the rest.
func TestInterrupted(t *testing.T) {
	h := newHub(t, small())
	ctx, cancel := context.WithCancel(t.Context())
	half := make(chan struct{})
	h.misbehave = once(1, shard, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-999/9500")
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, h.files[shard].data[:300])
		w.(http.Flusher).Flush()
		close(half)
		<-r.Context().Done()
	})
	clock := newClock()
	o := h.options(clock)
	o.Parallel = 1
	reached := make(chan int64, 100)
	o.Report = func(e Event) { reached <- e.BytesDone }
	go func() {
		<-half
		for done := int64(0); done < size(h.files)-9200; done = <-reached {
			clock.beats <- clock.Now()
		}
		cancel()
	}()
	result, err := Fetch(ctx, o)
	if err == nil || err.Error() != "pull: interrupted" || result.Kept != size(h.files)-9200 {
		t.Fatalf("got %v, %d bytes kept", err, result.Kept)
	}
	if _, err := os.Stat(filepath.Join(o.To, "config.json")); err == nil {
		t.Error("a file is in place although the others are missing")
	}
	h.servedBytes()
	if _, err := Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if served := h.servedBytes(); served != 9200 {
		t.Errorf("%d bytes were served, want the missing 9200", served)
	}
	wantTree(t, o.To, h.files, standardNames...)
}

// TestKilled goes on from what lies on the disk at an arbitrary moment: bytes beyond the saved state do not count.
func TestKilled(t *testing.T) {
	h := newHub(t, small())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h.misbehave = func(w http.ResponseWriter, r *http.Request, name string) bool {
		if name != shard || r.Header.Get("Range") != "bytes=1000-1999" {
			return false
		}
		w.Header().Set("Content-Range", "bytes 1000-1999/9500")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, h.files[shard].data[1000:1400])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}
	clock := newClock()
	o := h.options(clock)
	o.Parallel = 1
	reached := make(chan int64, 1)
	o.Report = func(e Event) { reached <- e.BytesDone }
	ended := make(chan error, 1)
	go func() {
		_, err := Fetch(ctx, o)
		ended <- err
	}()
	for done := int64(0); done < size(h.files)-9500+1400; done = <-reached {
		clock.beats <- clock.Now()
	}
	verified := func(name string) bool {
		state, err := os.ReadFile(filepath.Join(o.To, name+stateSuffix))
		return err == nil && bytes.Contains(state, []byte(`"sha256":"`))
	}
	for _, name := range standardNames {
		for name != shard && !verified(name) { // their states are still being written
			clock.beats <- clock.Now()
			<-reached
		}
	}
	clock.saves <- clock.Now()
	clock.saves <- clock.Now() // taken only when the first round of saving is over
	killed := filepath.Join(t.TempDir(), "killed")
	if err := os.CopyFS(killed, os.DirFS(o.To)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Fatal("the first run came to its end")
	}
	h.misbehave = nil
	h.servedBytes()
	again := h.options(newClock())
	again.To = killed
	if _, err := Fetch(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if served := h.servedBytes(); served != 9500-1400 {
		t.Errorf("%d bytes were served, want the missing %d", served, 9500-1400)
	}
	wantTree(t, killed, h.files, standardNames...)
}

// TestUpdate fetches what differs in a new commit, and nothing else.
func TestUpdate(t *testing.T) {
	h := newHub(t, small())
	o := h.options(newClock())
	if _, err := Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	h.servedBytes()
	h.mu.Lock()
	h.head = strings.Repeat("ab", 20)
	h.files["config.json"] = blob{data: `{"model_type":"gpt_oss","new":true}`}
	h.mu.Unlock()
	result, err := Fetch(t.Context(), o)
	if err != nil || result.Commit != h.head || h.servedBytes() != 35 {
		t.Errorf("result %+v, %v", result, err)
	}
	wantTree(t, o.To, h.files, standardNames...)
}

// TestOtherSelection adds files of the same commit to a folder; both selections are then complete.
func TestOtherSelection(t *testing.T) {
	h := newHub(t, small())
	o := h.options(newClock())
	original := o
	original.Include = []string{"original/*"}
	for _, o := range []Options{o, original} {
		if _, err := Fetch(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range []Options{o, original} {
		o.Offline = true
		if _, err := Fetch(t.Context(), o); err != nil {
			t.Error(err)
		}
	}
}

// TestAdopt takes files that somebody else brought, if they are the right ones.
func TestAdopt(t *testing.T) {
	h := newHub(t, small())
	o := h.options(newClock())
	if err := os.MkdirAll(o.To, 0o755); err != nil {
		t.Fatal(err)
	}
	damaged := "X" + h.files["tokenizer.json"].data[1:]
	for name, data := range map[string]string{shard: h.files[shard].data, "config.json": h.files["config.json"].data, "tokenizer.json": damaged} {
		if err := os.WriteFile(filepath.Join(o.To, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if served := h.servedBytes(); served != 700+2+10 {
		t.Errorf("%d bytes were served, want those of the damaged and the missing files", served)
	}
	wantTree(t, o.To, h.files, standardNames...)
}

func TestOffline(t *testing.T) {
	write := func(t *testing.T, name, data string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		change func(t *testing.T, o *Options)
		want   string // TO stands for the folder
	}{
		"complete": {func(*testing.T, *Options) {}, ""},
		"copied, so that times differ": {func(t *testing.T, o *Options) {
			if err := os.Chtimes(filepath.Join(o.To, shard), time.Time{}, time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		}, ""},
		"by its commit": {func(_ *testing.T, o *Options) { o.Revision = commit }, ""},
		"a damaged file": {
			func(t *testing.T, o *Options) { write(t, filepath.Join(o.To, "config.json"), strings.Repeat("x", 24)) },
			"offline, and config.json is damaged: its sha256 is " + sha(strings.Repeat("x", 24)),
		},
		"a short file": {func(t *testing.T, o *Options) { write(t, filepath.Join(o.To, "config.json"), "{}") }, "offline, and config.json has 2 bytes, not 24"},
		"a missing file": {func(t *testing.T, o *Options) {
			if err := os.Remove(filepath.Join(o.To, "config.json")); err != nil {
				t.Fatal(err)
			}
		}, "offline, and config.json is missing in TO: openat config.json: no such file or directory"},
		"never completed": {func(t *testing.T, o *Options) {
			if err := os.Remove(filepath.Join(o.To, ManifestName)); err != nil {
				t.Fatal(err)
			}
		}, "offline, and TO holds no complete download"},
		"a broken manifest":  {func(t *testing.T, o *Options) { write(t, filepath.Join(o.To, ManifestName), "{") }, "offline: .gptoss-pull.json: unexpected end of JSON input"},
		"another revision":   {func(_ *testing.T, o *Options) { o.Revision = "v2" }, "offline, and TO holds revision main (commit " + commit + "), not v2"},
		"another repository": {func(_ *testing.T, o *Options) { o.Source = "openai/large" }, "offline, and TO holds openai/tiny, not openai/large"},
		"another selection":  {func(_ *testing.T, o *Options) { o.Include = []string{"*"} }, "offline, and TO was not filled with this --include and --exclude"},
		"nothing there":      {func(_ *testing.T, o *Options) { o.To += "/none" }, "offline, and TO is not there: open TO: no such file or directory"},
		"a link to another file": {func(t *testing.T, o *Options) {
			config := filepath.Join(o.To, "config.json")
			if err := errors.Join(os.Remove(config), os.Symlink(shard, config)); err != nil {
				t.Fatal(err)
			}
		}, "offline, and config.json in TO is no regular file; it is left alone"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, small())
			o := h.options(newClock())
			if _, err := Fetch(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			asked := h.count("")
			o.Offline = true
			tc.change(t, &o)
			result, err := Fetch(t.Context(), o)
			want := strings.ReplaceAll(tc.want, "TO", o.To)
			if (err == nil) != (tc.want == "") || err != nil && err.Error() != "pull: "+want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if err == nil && (result.Commit != commit || result.Bytes != size(h.files) || result.Downloaded != 0) {
				t.Errorf("result %+v", result)
			}
			if h.count("") != asked {
				t.Error("a request was sent")
			}
		})
	}
}

// TestNoSpace expects the sentence before the first byte.
func TestNoSpace(t *testing.T) {
	h := newHub(t, small())
	o := h.options(newClock())
	o.freeBytes = func(string) (int64, bool) { return 9000, true }
	_, err := Fetch(t.Context(), o)
	want := fmt.Sprintf("pull: %s has 9.0 kB of free space, but 10.2 kB more are needed", o.To)
	if err == nil || err.Error() != want || h.servedBytes() != 0 {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestOneAtATime(t *testing.T) {
	dir := t.TempDir()
	first, err := openTarget(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openTarget(dir); err == nil || err.Error() != "another pull is writing to "+dir {
		t.Errorf("the second gets %v", err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openTarget(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.close(); err != nil || len(tree(t, dir)) != 0 {
		t.Errorf("closing gives %v and leaves %v", err, tree(t, dir))
	}
}
