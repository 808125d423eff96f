package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gptoss/gptoss-operator/server/access"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// note is what a request's handlers tell the logs. It belongs to the request's goroutine.
type note struct {
	requestID    string
	identity     *access.Identity // nil before it is known
	client       netip.Addr       // behind trusted proxies; invalid where it is not known
	model        string           // that was asked for, where it is known
	status       int              // overrides what was sent, where nothing could be sent or too much was
	completionID string
	usage        openai.Usage
	finish       openai.FinishReason
	begun        sequences
}

type noteKey struct{}

// tenant is whose request it is; not for the log. Requests without a key share the empty one.
func (n *note) tenant() string {
	if n.identity == nil {
		return ""
	}
	return n.identity.Tenant
}

// name is whose request it is, in words that may be shown; empty where that is not known.
func (n *note) name() string {
	if n.identity == nil {
		return ""
	}
	return n.identity.Name
}

// from is the client's address behind trusted proxies, empty where it is not known.
func (n *note) from() string {
	if !n.client.IsValid() {
		return ""
	}
	return n.client.String()
}

// auth is how that was proved.
func (n *note) auth() string {
	if n.identity == nil {
		return ""
	}
	return n.identity.Source
}

// noteOf returns a request's note; a request that did not come through observe has an empty one.
func noteOf(r *http.Request) *note {
	if n, ok := r.Context().Value(noteKey{}).(*note); ok {
		return n
	}
	return &note{}
}

// observe gives every request an id, and books it when it has ended.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := &note{requestID: r.Header.Get("X-Request-Id")}
		if !validRequestID(n.requestID) {
			n.requestID = s.newID("req_")
		}
		w.Header().Set("X-Request-Id", n.requestID)
		e := &exchange{note: n, request: r, recorder: recorder{ResponseWriter: w, leaving: &s.leaving}, start: time.Now(), probe: isProbe(r.URL.Path) || s.isAsset(r.URL.Path)}
		if !e.probe {
			e.span = s.tracer.Start(r, routeOf(r.URL.Path))
			if s.audit != nil && s.options.AuditContent {
				e.recorder.copy = &e.response
				r.Body = &tee{r.Body, &e.sent}
			}
		}
		defer s.book(e)
		next.ServeHTTP(&e.recorder, r.WithContext(context.WithValue(r.Context(), noteKey{}, n)))
	})
}

// routeOf is a path that there are few of, for the names of spans.
func routeOf(path string) string {
	for _, route := range []string{"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/models", "/v1/stream-tickets", "/completions", "/generate_stream", "/generate", "/tokenize", "/detokenize", "/info"} {
		if path == route || strings.HasPrefix(path, route+"/") {
			return route
		}
	}
	return "other"
}

// tee gives somebody else what is read of a body.
type tee struct {
	io.ReadCloser
	to io.Writer
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	_, _ = t.to.Write(p[:n]) // an audit.Body, which takes everything
	return n, err
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
			s.metrics.Panics.Inc()
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
	copy    io.Writer // gets what is sent; nil for nobody
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
	if r.copy != nil {
		_, _ = r.copy.Write(p[:n]) // an audit.Body, which takes everything
	}
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
