package pull

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The variables that make the test program what TestKill kills.
const (
	endpointVariable = "PULL_TEST_ENDPOINT"
	toVariable       = "PULL_TEST_TO"
)

// restless is a clock by which states are saved all the time.
type restless struct{ wallClock }

func (c restless) Tick(d time.Duration) (<-chan time.Time, func()) {
	if d != saveEvery {
		return c.wallClock.Tick(d)
	}
	ticks, end := make(chan time.Time), make(chan struct{})
	go func() {
		for {
			select {
			case ticks <- time.Now():
			case <-end:
				return
			}
		}
	}()
	return ticks, func() { close(end) }
}

// TestChild pulls openai/tiny.
func TestChild(t *testing.T) {
	if os.Getenv(endpointVariable) == "" {
		t.Skip("only as a child of TestKill")
	}
	o := Options{Source: "openai/tiny", Endpoint: os.Getenv(endpointVariable), To: os.Getenv(toVariable), Parallel: 2, clock: restless{}, pieceSize: 1000}
	if _, err := Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// killer is a hub that sends files in morsels, and says when it has sent so many bytes of them.
type killer struct {
	*hub
	mu      sync.Mutex
	left    int64
	reached chan struct{}
}

// newKiller offers files under a commit. Every process that is to be killed has a hub of its own, for the connections of
// the one before may go on for a moment.
func newKiller(t *testing.T, v version, bytes int64) *killer {
	k := &killer{hub: newHub(t, v.files), left: bytes, reached: make(chan struct{})}
	k.hub.mu.Lock() // the server runs, and who asks it is another process
	defer k.hub.mu.Unlock()
	k.head = v.commit
	k.misbehave = func(w http.ResponseWriter, r *http.Request, name string) bool {
		http.ServeContent(&morsels{w, k}, r, "", time.Time{}, strings.NewReader(v.files[name].data))
		return true
	}
	if bytes <= 0 {
		close(k.reached)
	}
	return k
}

func (k *killer) sent(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.left
	if k.left -= int64(n); before > 0 && k.left <= 0 {
		close(k.reached)
	}
}

type morsels struct {
	http.ResponseWriter
	killer *killer
}

func (m *morsels) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		var some int
		some, err = m.ResponseWriter.Write(p[:min(len(p), 100)])
		m.ResponseWriter.(http.Flusher).Flush()
		n, p = n+some, p[some:]
		m.killer.sent(some)
	}
	return n, err
}

// version is what a hub has at a commit.
type version struct {
	commit string
	files  map[string]blob
}

// TestKill ends a process, as kill -9 does, at moments of the whole way while it brings a folder from one commit to the
// other and back: a file under its name is whole, a folder that passes for complete is, and the next run fetches what is
// missing only.
func TestKill(t *testing.T) {
	second := small()
	second["tokenizer.json"] = blob{data: text(900)[200:], lfs: true}
	second[shard] = blob{data: text(9600)[100:], lfs: true}
	versions := []version{{commit, small()}, {strings.Repeat("ab", 20), second}}
	to := filepath.Join(t.TempDir(), "tiny")
	random := rand.New(rand.NewPCG(5, 6))
	killed := 0
	for turn, tries := 0, 0; turn < 4; tries++ {
		v := versions[turn%2]
		missing := size(v.files) - kept(t, to, v.files)
		most, wait := 1+random.Int64N(missing+1), time.Duration(0)
		if tries%3 == 0 { // when all is there and files get their names, which takes some milliseconds
			most, wait = missing, time.Duration(random.Int64N(int64(15*time.Millisecond)))
		}
		hub := newKiller(t, v, most)
		ended := endsBeforeKilled(t, hub, to, wait)
		if served := hub.servedBytes(); served > missing {
			t.Errorf("%d bytes were served, want at most the missing %d", served, missing)
		}
		if complete := wantWhole(t, to, versions); ended && complete != v.commit {
			t.Fatalf("after a run that came to its end the folder holds commit %q, want %s", complete, v.commit)
		}
		if ended {
			turn++
		} else {
			killed++
		}
	}
	if killed < 4 {
		t.Errorf("only %d processes were killed in four turns", killed)
	}
	wantTree(t, to, second, standardNames...)
}

// kept counts the bytes that a run need not fetch again.
func kept(t *testing.T, to string, files map[string]blob) (n int64) {
	t.Helper()
	for _, name := range standardNames {
		b := files[name]
		if data, err := os.ReadFile(filepath.Join(to, name)); err == nil && string(data) == b.data {
			n += int64(len(data))
			continue
		}
		data, err := os.ReadFile(filepath.Join(to, name+stateSuffix))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		s, err := decodeState(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s.Identity == "sha256:"+sha(b.data) || s.Identity == "git:"+gitOID(b.data) {
			n += s.total()
		}
	}
	return n
}

// endsBeforeKilled runs a child until the hub has sent its bytes, and for some time more, and reports whether it came to
// its end by then.
func endsBeforeKilled(t *testing.T, hub *killer, to string, wait time.Duration) bool {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	child.Env = append(os.Environ(), endpointVariable+"="+hub.api.URL, toVariable+"="+to)
	var output bytes.Buffer
	child.Stdout, child.Stderr = &output, &output
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	select {
	case err := <-ended:
		ended <- err
	case <-hub.reached:
		select {
		case err := <-ended:
			ended <- err
		case <-time.After(wait):
		}
	}
	_ = child.Process.Kill() // it may have ended
	err := <-ended
	if child.ProcessState.Exited() && err != nil {
		t.Fatalf("%v: %s", err, output.String())
	}
	return err == nil
}

// wantWhole checks that every file under its name is that of a version, and returns the commit that the folder passes for,
// if it does.
func wantWhole(t *testing.T, to string, versions []version) (complete string) {
	t.Helper()
	is := func(v version, name string) bool {
		data, err := os.ReadFile(filepath.Join(to, name))
		return err == nil && string(data) == v.files[name].data
	}
	for _, name := range standardNames {
		_, err := os.Lstat(filepath.Join(to, name))
		if err == nil && !is(versions[0], name) && !is(versions[1], name) {
			t.Errorf("%s is half-written", name)
		}
	}
	result, err := Fetch(t.Context(), Options{Source: "openai/tiny", To: to, Offline: true})
	if err != nil {
		return ""
	}
	for _, v := range versions {
		for _, name := range standardNames {
			if v.commit == result.Commit && !is(v, name) {
				t.Errorf("the folder passes for commit %s, but %s is another", v.commit, name)
			}
		}
	}
	return result.Commit
}
