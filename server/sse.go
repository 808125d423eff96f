package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// answerStream sends an answer as server-sent events while it is made: a first chunk with the role, the deltas, a chunk
// with the reason of the end, one with the usage if it was asked for, and [DONE]. The first chunk leaves before the
// engine has begun, so that proxies in front see life while the request waits. The status is sent by then: a failure
// is an event too.
func (s *Server) answerStream(ctx context.Context, w http.ResponseWriter, r *http.Request, c *completion) {
	events := beginEvents(w)
	defer events.quiet.Stop()
	err := s.sendAnswer(ctx, events, c)
	if err == nil {
		return
	}
	n := noteOf(r)
	if errors.Is(err, errClientGone) {
		n.status = statusClientGone
		return
	}
	e := s.explain(n.requestID, err)
	n.status = e.Status
	if events.send(openai.ErrorBody{Error: e}) == nil {
		// Whether a broken stream's very last line arrives changes nothing any more.
		_ = events.done()
	}
}

func (s *Server) sendAnswer(ctx context.Context, events *eventWriter, c *completion) error {
	chunk := func(choices ...openai.ChunkChoice) openai.ChatChunk {
		k := openai.ChatChunk{ID: c.id, Object: "chat.completion.chunk", Created: c.created, Model: s.options.ModelName(), Choices: choices}
		if c.request.IncludeUsage {
			k.Usage = &openai.ChunkUsage{}
		}
		return k
	}
	empty := ""
	if err := events.send(chunk(openai.ChunkChoice{Delta: openai.Delta{Role: "assistant", Content: &empty}})); err != nil {
		return err
	}
	c.quiet, c.alive = events.quiet.C, events.comment
	finish, err := c.run(ctx, func(d openai.Delta, l *openai.Logprobs) error {
		return events.send(chunk(openai.ChunkChoice{Delta: d, Logprobs: l}))
	})
	if err != nil {
		return err
	}
	if err := events.send(chunk(openai.ChunkChoice{FinishReason: &finish})); err != nil {
		return err
	}
	if c.request.IncludeUsage {
		last := chunk([]openai.ChunkChoice{}...) // an empty list, where none would be null
		last.Usage.Usage = &c.usage
		if err := events.send(last); err != nil {
			return err
		}
	}
	return events.done()
}

// aliveInterval is how long a stream may be silent, as while its request waits for its turn: a quarter of the time after
// which the usual proxies give up (Nginx 60 s, AWS 60 s).
const aliveInterval = 15 * time.Second

// eventWriter writes server-sent events and flushes each. quiet fires when nothing was written for aliveInterval.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	quiet   *time.Timer
}

func beginEvents(w http.ResponseWriter) *eventWriter {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // or Nginx holds the events back
	w.WriteHeader(http.StatusOK)
	return &eventWriter{w: w, control: http.NewResponseController(w), quiet: time.NewTimer(aliveInterval)}
}

func (e *eventWriter) send(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return e.write("data: ", data)
}

func (e *eventWriter) done() error { return e.write("data: ", []byte("[DONE]")) }

// comment is a line that clients skip and proxies take for life.
func (e *eventWriter) comment() error { return e.write(": ", []byte("keep-alive")) }

// write fails only when nobody reads any more: the client left, or read nothing for writeTimeout.
func (e *eventWriter) write(field string, data []byte) error {
	e.quiet.Reset(aliveInterval)
	// Not every ResponseWriter knows deadlines; the error says only that.
	_ = e.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	event := make([]byte, 0, len(field)+len(data)+2)
	event = append(append(append(event, field...), data...), "\n\n"...)
	if _, err := e.w.Write(event); err != nil {
		return errClientGone
	}
	if err := e.control.Flush(); err != nil {
		return errClientGone
	}
	return nil
}
