package sse

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// ErrGone says that nobody reads any more: the client left, or read nothing for WriteTimeout.
var ErrGone = errors.New("sse: the client is gone")

const (
	// WriteTimeout is how long a client may refuse to read before it is dropped.
	WriteTimeout = time.Minute
	// AliveInterval is how long a stream may be silent, as while its request waits for its turn: a quarter of the time after
	// which the usual proxies give up (Nginx 60 s, AWS 60 s).
	AliveInterval = 15 * time.Second
)

// Writer writes events and flushes each.
type Writer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	quiet   *time.Timer
	id      string
}

// Begin sends the header of a stream. The caller stops the writer at the end.
func Begin(w http.ResponseWriter) *Writer {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // or Nginx holds the events back
	w.WriteHeader(http.StatusOK)
	return &Writer{w: w, control: http.NewResponseController(w), quiet: time.NewTimer(AliveInterval)}
}

// Stop ends the clock of Quiet.
func (e *Writer) Stop() { e.quiet.Stop() }

// Quiet delivers when nothing was written for AliveInterval.
func (e *Writer) Quiet() <-chan time.Time { return e.quiet.C }

// Identify gives the next event an id, which a browser's EventSource repeats when it connects again.
func (e *Writer) Identify(id string) { e.id = id }

// Send writes v as one event.
func (e *Writer) Send(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return e.event(data)
}

// Done writes the event that ends a stream of OpenAI's.
func (e *Writer) Done() error { return e.event([]byte("[DONE]")) }

// Comment writes a line that clients skip and proxies take for life.
func (e *Writer) Comment() error { return e.write([]byte(": keep-alive\n\n")) }

func (e *Writer) event(data []byte) error {
	event := make([]byte, 0, len("id: \ndata: \n\n")+len(e.id)+len(data))
	if e.id != "" {
		event = append(append(append(event, "id: "...), e.id...), '\n')
		e.id = ""
	}
	event = append(append(append(event, "data: "...), data...), "\n\n"...)
	return e.write(event)
}

// write fails only with ErrGone.
func (e *Writer) write(event []byte) error {
	e.quiet.Reset(AliveInterval)
	// Not every ResponseWriter knows deadlines; the error says only that.
	_ = e.control.SetWriteDeadline(time.Now().Add(WriteTimeout))
	if _, err := e.w.Write(event); err != nil {
		return ErrGone
	}
	if err := e.control.Flush(); err != nil {
		return ErrGone
	}
	return nil
}
