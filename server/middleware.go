package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gptoss/gptoss-operator/server/access"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// note is what a request's handlers tell the access log. It belongs to the request's goroutine.
type note struct {
	requestID    string
	tenant       string // whose key it is; not for the log
	identity     *access.Identity
	client       netip.Addr // behind trusted proxies; invalid where it is not known
	status       int        // overrides what was sent, where nothing could be sent or too much was
	completionID string
	usage        openai.Usage
	finish       openai.FinishReason
}

type noteKey struct{}

// noteOf returns a request's note; a request that did not come through observe has an empty one.
func noteOf(r *http.Request) *note {
	if n, ok := r.Context().Value(noteKey{}).(*note); ok {
		return n
	}
	return &note{}
}

// observe gives every request an id and a line in the access log.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		n := &note{requestID: r.Header.Get("X-Request-Id")}
		if !validRequestID(n.requestID) {
			n.requestID = s.newID("req_")
		}
		w.Header().Set("X-Request-Id", n.requestID)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		rec := &recorder{ResponseWriter: w, leaving: &s.leaving}
		defer func() { s.logAccess(r, n, rec, time.Since(start)) }()
		next.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), noteKey{}, n)))
	})
}

// logAccess writes one line. Probes and scrapes come every few seconds, so they are logged at debug level. The query is
// left out: some clients put keys there.
func (s *Server) logAccess(r *http.Request, n *note, rec *recorder, took time.Duration) {
	level := slog.LevelInfo
	if r.URL.Path == "/v1/health" || r.URL.Path == "/v1/metrics" {
		level = slog.LevelDebug
	}
	status := rec.status
	if n.status != 0 {
		status = n.status
	}
	attrs := []slog.Attr{
		slog.String("request_id", n.requestID), slog.String("method", clip(r.Method, 32)), slog.String("path", clip(r.URL.Path, 256)),
		slog.Int("status", status), slog.Int64("bytes", rec.bytes), slog.Float64("duration_ms", float64(took.Microseconds())/1000),
		slog.String("remote", s.clientAddress(r)),
	}
	if n.completionID != "" {
		attrs = append(attrs, slog.String("completion_id", n.completionID), slog.String("finish_reason", string(n.finish)),
			slog.Int("prompt_tokens", n.usage.PromptTokens), slog.Int("completion_tokens", n.usage.CompletionTokens))
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
}

// recoverPanics turns a panic into a 500, or into a torn connection where an answer has begun; the process lives.
func (s *Server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			noteOf(r).status = http.StatusInternalServerError
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			s.metrics.panics.Inc()
			s.log.Error("panic in a handler", "request_id", noteOf(r).requestID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if rec, ok := w.(*recorder); ok && rec.status != 0 {
				panic(http.ErrAbortHandler)
			}
			writeJSON(w, http.StatusInternalServerError, openai.ErrorBody{Error: internalError()})
		}()
		next.ServeHTTP(w, r)
	})
}

// recorder remembers what was sent. Once the server is leaving it has every connection closed after its answer, so that
// the client's next request goes elsewhere.
type recorder struct {
	http.ResponseWriter
	leaving *atomic.Bool
	status  int // 0 until the header is sent
	bytes   int64
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
		if r.leaving.Load() {
			r.Header().Set("Connection", "close")
		}
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController find Flush and the deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// validRequestID accepts ids that are safe in a header, in a log line and in a shell.
func validRequestID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
