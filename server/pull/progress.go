package pull

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gptoss/gptoss-operator/server/terminal"
)

const (
	// speedWindow is the time over which the speed is taken: long enough to be calm, short enough to follow the network.
	speedWindow = 15 * time.Second
	// logEvery and jsonEvery are the beats, of a second each, between two lines where nobody watches a live one.
	logEvery  = 5
	jsonEvery = 2
)

// Event is a report from [Fetch]: progress about once a second, and a notice when something is tried again.
type Event struct {
	// Event is progress, retry, done or error.
	Event string `json:"event"`
	// File is the file that was begun last, or that a retry is about.
	File string `json:"file,omitempty"`
	// BytesDone and BytesTotal cover all files of the request; BytesTotal is 0 where the server does not say.
	BytesDone  int64 `json:"bytes_done"`
	BytesTotal int64 `json:"bytes_total"`
	// BytesPerSecond is the speed over the last seconds.
	BytesPerSecond int64 `json:"bytes_per_second"`
	// SecondsLeft is null while unknown.
	SecondsLeft *int64 `json:"seconds_left"`
	// Message is the reason of a retry or an error.
	Message string `json:"message,omitempty"`
	// Result is there when Event is done.
	Result *Result `json:"result,omitempty"`
}

// meter counts bytes and knows how fast they come.
type meter struct {
	clock  clock
	report func(Event)

	mu         sync.Mutex
	file       string
	done       int64
	total      int64
	downloaded int64 // by this run
	samples    []sample
	reporting  sync.Mutex // one event after the other
}

type sample struct {
	at    time.Time
	bytes int64
}

func (m *meter) add(n int64) {
	m.mu.Lock()
	m.done += n
	m.mu.Unlock()
}

func (m *meter) moved(n int64) {
	m.mu.Lock()
	m.downloaded += n
	m.mu.Unlock()
}

func (m *meter) on(file string) {
	m.mu.Lock()
	m.file = file
	m.mu.Unlock()
}

// begin is the moment from which the speed is measured.
func (m *meter) begin() {
	m.mu.Lock()
	m.samples = []sample{{m.clock.Now(), m.downloaded}}
	m.mu.Unlock()
}

// event takes a sample and describes the moment.
func (m *meter) event() Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.Now()
	m.samples = append(m.samples, sample{now, m.downloaded})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= speedWindow {
		m.samples = m.samples[1:]
	}
	e := Event{Event: "progress", File: m.file, BytesDone: m.done, BytesTotal: m.total}
	if passed := now.Sub(m.samples[0].at); passed > 0 {
		e.BytesPerSecond = int64(float64(m.downloaded-m.samples[0].bytes) / passed.Seconds())
	}
	if e.BytesPerSecond > 0 && m.total > 0 {
		left := max(0, m.total-m.done+e.BytesPerSecond-1) / e.BytesPerSecond
		e.SecondsLeft = &left
	}
	return e
}

func (m *meter) tell(e Event) {
	m.reporting.Lock()
	defer m.reporting.Unlock()
	m.report(e)
}

func (m *meter) progress() { m.tell(m.event()) }

func (m *meter) retry(about string, err error) {
	e := m.event()
	e.Event, e.File, e.Message = "retry", about, err.Error()
	m.tell(e)
}

// printer shows events: on a terminal one live line, otherwise a line every few seconds, or JSON.
type printer struct {
	stdout, stderr    io.Writer
	json, quiet, live bool
	beats             int
	line              bool // a live line is on the screen
}

func (p *printer) event(e Event) {
	if p.quiet {
		return
	}
	if e.Event == "progress" {
		p.beats++
	}
	switch {
	case p.json:
		if e.Event != "progress" || p.beats%jsonEvery == 1 {
			p.writeJSON(e)
		}
	case e.Event != "progress":
		p.clear()
		terminal.Say(p.stderr, e.File+": "+e.Message+"\n")
	case p.live:
		terminal.Say(p.stderr, "\r"+e.text()+"\x1b[K")
		p.line = true
	case p.beats%logEvery == 1:
		terminal.Say(p.stderr, e.text()+"\n")
	}
}

func (p *printer) writeJSON(e Event) {
	line, err := json.Marshal(e)
	if err != nil {
		return // an Event holds nothing that JSON does not know
	}
	terminal.Say(p.stdout, string(line)+"\n")
}

// clear takes the live line away.
func (p *printer) clear() {
	if p.line {
		terminal.Say(p.stderr, "\r\x1b[K")
		p.line = false
	}
}

func (p *printer) done(r Result) {
	p.clear()
	zero := int64(0)
	switch {
	case p.json:
		p.writeJSON(Event{Event: "done", BytesDone: r.Bytes, BytesTotal: r.Bytes, SecondsLeft: &zero, Result: &r})
	case !p.quiet:
		files := "files"
		if len(r.Files) == 1 {
			files = "file"
		}
		terminal.Say(p.stdout, fmt.Sprintf("%s is complete: %d %s, %s, %s of it downloaded now, all verified.\n",
			r.Dir, len(r.Files), files, terminal.Bytes(r.Bytes), terminal.Bytes(r.Downloaded)))
		if model := r.model(); model != "" {
			terminal.Say(p.stdout, "Serve it with: gptoss-server --model="+model+"\n")
		}
	}
}

// model is what --model takes, empty where the request was not for a whole model.
func (r Result) model() string {
	for _, f := range r.Files {
		switch {
		case len(r.Files) == 1 && path.Ext(f) == ".gguf":
			return filepath.Join(r.Dir, filepath.FromSlash(f))
		case path.Ext(f) == ".gguf", path.Base(f) == "config.json":
			return r.Dir
		}
	}
	return ""
}

func (p *printer) failed(err error) {
	p.clear()
	if p.json {
		p.writeJSON(Event{Event: "error", Message: err.Error()})
	}
}

// text is progress in less than 80 columns.
func (e Event) text() string {
	if e.BytesDone == 0 && e.BytesTotal == 0 {
		return "asking the server"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s", terminal.Bytes(e.BytesDone))
	if e.BytesTotal > 0 {
		fmt.Fprintf(&b, " of %s, %d %%", terminal.Bytes(e.BytesTotal), e.BytesDone*100/e.BytesTotal)
	}
	if e.BytesPerSecond > 0 {
		fmt.Fprintf(&b, ", %s/s", terminal.Bytes(e.BytesPerSecond))
	}
	if e.SecondsLeft != nil {
		fmt.Fprintf(&b, ", %s left", time.Duration(min(*e.SecondsLeft, 1<<30))*time.Second)
	}
	if e.File != "" {
		name := []rune(e.File)
		if len(name) > 28 {
			name = append([]rune("…"), name[len(name)-27:]...)
		}
		fmt.Fprintf(&b, "  %s", string(name))
	}
	return b.String()
}
