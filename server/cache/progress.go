package cache

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gptoss/gptoss-operator/server/options"
	"github.com/gptoss/gptoss-operator/server/pull"
)

// logEvery is the time between two lines about progress in the log.
const logEvery = 10 * time.Second

// tracker knows how far the work is, and tells who asks.
type tracker struct {
	now func() time.Time
	log *slog.Logger

	mu     sync.Mutex
	at     options.CacheProgress
	begun  time.Time // of the phase
	logged time.Time
}

// begin starts a phase.
func (t *tracker) begin(phase string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at, t.begun = options.CacheProgress{Phase: phase}, t.now()
}

// download hears of the download.
func (t *tracker) download(e pull.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	moved := e.BytesDone > t.at.Bytes
	t.at.Bytes, t.at.TotalBytes, t.at.SecondsLeft = e.BytesDone, e.BytesTotal, e.SecondsLeft
	switch {
	case e.Event == "retry":
		t.at.Trouble = e.Message
		t.log.Warn("trying again", "about", e.File, "error", e.Message)
	case moved:
		t.at.Trouble = ""
	}
	t.tell()
}

// packed hears of every piece of packing.
func (t *tracker) packed(done, total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at.Bytes, t.at.TotalBytes = done, total
	if passed := t.now().Sub(t.begun).Seconds(); passed > 1 && done > 0 {
		left := int64(passed / float64(done) * float64(total-done))
		t.at.SecondsLeft = &left
	}
	t.tell()
}

// tell writes a line into the log, now and then.
func (t *tracker) tell() {
	if now := t.now(); now.Sub(t.logged) >= logEvery {
		t.logged = now
		t.log.Info("progress", "phase", t.at.Phase, "bytes", t.at.Bytes, "total_bytes", t.at.TotalBytes, "seconds_left", t.at.SecondsLeft)
	}
}

// ServeHTTP answers how far it is.
func (t *tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != options.CacheProgressPath || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
		http.NotFound(w, r)
		return
	}
	t.mu.Lock()
	text, err := json.Marshal(t.at)
	t.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // who asked is gone
}
