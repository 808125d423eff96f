package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var quiet = slog.New(slog.DiscardHandler)

func record(n int) Record {
	return Record{Time: time.Unix(1e9, 0).UTC(), Kind: KindRequest, Status: n}
}

// statuses reads the records of a file or buffer.
func statuses(t *testing.T, text string) (out []int) {
	t.Helper()
	for line := range strings.Lines(text) {
		var r Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		out = append(out, r.Status)
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRecordsReachStdout(t *testing.T) {
	var out bytes.Buffer
	l, err := Open(Config{To: Stdout, Stdout: &out, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	l.Record(Record{
		Time: time.Unix(1e9, 0).UTC(), Kind: KindAuthenticationFailed, RequestID: "req_1", From: "10.0.0.1", Method: "POST",
		Path: "/v1/chat/completions", Status: 401, Outcome: "invalid", DurationMS: 0.5,
	})
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	l.Record(record(1)) // after the end: neither written nor a panic
	if err := l.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	want := `{"time":"2001-09-09T01:46:40Z","kind":"authentication_failed","request_id":"req_1","from":"10.0.0.1","method":"POST",` +
		`"path":"/v1/chat/completions","outcome":"invalid","status":401,"duration_ms":0.5}` + "\n"
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
}

func TestFileRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	line, err := json.Marshal(record(100))
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []int{100, 105} { // the second goes on where the first ended
		l, err := Open(Config{To: path, MaxBytes: int64(2*len(line) + 3), Files: 2, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 5 {
			l.Record(record(from + n))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	got := map[string][]int{}
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		got[strings.TrimPrefix(f, path)] = statuses(t, read(t, f))
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", f, info.Mode(), err)
		}
	}
	if diff := cmp.Diff(map[string][]int{"": {108, 109}, ".1": {106, 107}, ".2": {104, 105}}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestOpenFails(t *testing.T) {
	for name, c := range map[string]Config{
		"no such directory": {To: "/none/audit.log"},
		"a directory":       {To: t.TempDir()},
		"no stdout":         {To: Stdout},
	} {
		if _, err := Open(c); err == nil || !strings.HasPrefix(err.Error(), "audit log: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// disk is a writer that fails while it is full.
type disk struct {
	bytes.Buffer
	full chan bool // says so for one write each
}

func (d *disk) Write(p []byte) (int, error) {
	if <-d.full {
		return 0, errors.New("no space left on device")
	}
	return d.Buffer.Write(p)
}

// TestFullDisk expects that nobody waits for a full disk, that what fits the queue is written in the end, in order, and that
// the rest is counted.
func TestFullDisk(t *testing.T) {
	d := &disk{full: make(chan bool)}
	var dropped atomic.Int64
	retries := make(chan time.Time)
	l, err := Open(Config{
		To: Stdout, Stdout: d, Logger: quiet, Dropped: func() { dropped.Add(1) },
		After: func(time.Duration) <-chan time.Time { return retries },
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Record(record(0))
	d.full <- true // the writer has the first record now, and nowhere to put it
	retries <- time.Time{}
	if !l.Failing() {
		t.Error("a full disk is not told")
	}
	const more = 3
	for n := range queueRecords + more {
		l.Record(record(n + 1))
	}
	if got := dropped.Load(); got != more {
		t.Errorf("%d records were dropped, want %d", got, more)
	}
	go func() {
		for range queueRecords + 1 {
			d.full <- false
		}
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	got := statuses(t, d.String())
	if len(got) != queueRecords+1 || got[0] != 0 || got[len(got)-1] != queueRecords || l.Failing() {
		t.Errorf("%d records from %d to %d, failing %v", len(got), got[0], got[len(got)-1], l.Failing())
	}
}

// TestEndWithFullDisk must not wait for the disk.
func TestEndWithFullDisk(t *testing.T) {
	d := &disk{full: make(chan bool)}
	var dropped atomic.Int64
	l, err := Open(Config{
		To: Stdout, Stdout: d, Logger: quiet, Dropped: func() { dropped.Add(1) },
		After: func(time.Duration) <-chan time.Time { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Record(record(1))
	l.Record(record(2))
	go func() {
		for range 2 {
			d.full <- true
		}
	}()
	if err := l.Close(); err != nil || dropped.Load() != 2 {
		t.Errorf("%d records dropped, %v", dropped.Load(), err)
	}
}

// TestHugeRecordsAreBounded counts bytes, not only records.
func TestHugeRecordsAreBounded(t *testing.T) {
	d := &disk{full: make(chan bool)}
	var dropped atomic.Int64
	l, err := Open(Config{To: Stdout, Stdout: d, Logger: quiet, Dropped: func() { dropped.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	content := strings.Repeat("x", MaxContent)
	const sent = 2 * queueBytes / MaxContent
	for range sent {
		l.Record(Record{Request: content})
	}
	written := sent - dropped.Load()
	if written*MaxContent > queueBytes || written < 2 {
		t.Errorf("%d records of %d bytes wait", written, MaxContent)
	}
	go func() {
		for range written {
			d.full <- false
		}
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestNobodyAskedForALog(t *testing.T) {
	var l *Log
	l.Record(record(1))
	if l.Failing() || l.Close() != nil {
		t.Error("a log that is not there fails")
	}
}

func TestBody(t *testing.T) {
	var b Body
	for _, part := range []string{"é", strings.Repeat("a", MaxContent-3), "é", "b"} {
		if n, err := io.WriteString(&b, part); n != len(part) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
	}
	if got := b.String(); !b.Clipped || !strings.HasPrefix(got, "éa") || !strings.HasSuffix(got, "a\uFFFD") {
		t.Errorf("clipped %v, it ends in %q", b.Clipped, got[len(got)-8:])
	}
}
