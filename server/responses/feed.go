package responses

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// feed holds the events of a response, ready to be written, for those who follow it: the connection that began it, or
// whoever comes back to a background response.
type feed struct {
	mu sync.Mutex
	// events are those from number first on; earlier ones were read by the only reader.
	events [][]byte
	first  int
	bytes  int64
	ended  bool
	more   chan struct{} // closed when something was added, then replaced
	// once drops events that were read.
	once bool
}

func newFeed(once bool) *feed { return &feed{more: make(chan struct{}), once: once} }

// add appends the event that build makes with its number. The types of this package hold nothing that cannot be encoded.
func (f *feed) add(kind string, build func(head) any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, err := json.Marshal(build(head{kind, f.first + len(f.events)}))
	if err != nil {
		panic(err)
	}
	event := make([]byte, 0, len("event: \ndata: \n\n")+len(kind)+len(data))
	event = append(append(append(event, "event: "...), kind...), "\ndata: "...)
	event = append(append(event, data...), "\n\n"...)
	f.events = append(f.events, event)
	f.bytes += int64(cap(event))
	f.wake()
}

// end says that nothing follows.
func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	f.wake()
}

func (f *feed) wake() {
	close(f.more)
	f.more = make(chan struct{})
}

// from returns the events from a number on, whether they are the last, and what is closed when there are more.
func (f *feed) from(n int) (events [][]byte, ended bool, more <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n = min(max(n-f.first, 0), len(f.events))
	events = f.events[n:]
	if f.once {
		f.first += len(f.events)
		f.events = nil
	} else {
		events = slices.Clip(events)
	}
	return events, f.ended, f.more
}

// size is how many bytes the events take.
func (f *feed) size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bytes
}

// ErrGone says that nobody reads a stream any more.
var ErrGone = errors.New("responses: the client is gone")

const (
	// writeTimeout is how long a client may refuse to read before it is dropped.
	writeTimeout = time.Minute
	// aliveInterval is how long a stream may be silent, as while its request waits for its turn: a quarter of the time
	// after which the usual proxies give up.
	aliveInterval = 15 * time.Second
)

// follow writes the events from a number on as they come, until the last. It fails with ErrGone, or with the cause of
// ctx's end.
func (f *feed) follow(ctx context.Context, w http.ResponseWriter, n int) error {
	s := beginStream(w)
	quiet := time.NewTimer(aliveInterval)
	defer quiet.Stop()
	for {
		events, ended, more := f.from(n)
		for _, e := range events {
			if err := s.write(e); err != nil {
				return err
			}
		}
		n += len(events)
		if len(events) > 0 {
			if err := s.flush(); err != nil {
				return err
			}
			quiet.Reset(aliveInterval)
		}
		if ended {
			return nil
		}
		select {
		case <-more:
		case <-quiet.C:
			if err := s.comment(); err != nil {
				return err
			}
			quiet.Reset(aliveInterval)
		case <-ctx.Done():
			return s.interrupted(ctx, n)
		}
	}
}

// stream writes server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func beginStream(w http.ResponseWriter) *stream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // or Nginx holds the events back
	w.WriteHeader(http.StatusOK)
	return &stream{w, http.NewResponseController(w)}
}

func (s *stream) write(event []byte) error {
	// Not every ResponseWriter knows deadlines; the error says only that.
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := s.w.Write(event); err != nil {
		return ErrGone
	}
	return nil
}

func (s *stream) flush() error {
	if s.control.Flush() != nil {
		return ErrGone
	}
	return nil
}

// comment is a line that clients skip and proxies take for life.
func (s *stream) comment() error {
	if err := s.write([]byte(": keep-alive\n\n")); err != nil {
		return err
	}
	return s.flush()
}

// interrupted tells a client that is still there why its stream ends early: net/http gives a cause other than the client's
// leaving only while the server shuts down.
func (s *stream) interrupted(ctx context.Context, n int) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.Canceled) {
		return ErrGone
	}
	code := openai.CodeShuttingDown
	data, err := json.Marshal(errorEvent{head: head{"error", n}, Code: &code, Message: "The server is shutting down."})
	if err != nil {
		panic(err)
	}
	if s.write([]byte("event: error\ndata: "+string(data)+"\n\n")) == nil {
		// Whether a broken stream's very last line arrives changes nothing any more.
		_ = s.flush()
	}
	return cause
}

// endIfAny is end where there is a feed.
func (f *feed) endIfAny() {
	if f != nil {
		f.end()
	}
}
