package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/page"
	"github.com/gptoss/gptoss-operator/server/sse"
)

// handler is an http.HandlerFunc that leaves failing to its caller. It must not return an error after its first byte.
type handler func(w http.ResponseWriter, r *http.Request) error

// errClientGone ends a request whose client no longer listens.
var errClientGone = errors.New("the client is gone")

// statusClientGone stands in logs and metrics for a request that ended because its client left; it is never sent.
const statusClientGone = 499

// writeTimeout is how long a client may refuse to read before it is dropped.
const writeTimeout = sse.WriteTimeout

// routes lays the API out. Health and metrics are open: probes and Prometheus have no key. So is the page: what it asks
// of the API needs one.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, methods map[string]handler) {
		mux.Handle(path, s.catch(byMethod(methods)))
	}
	handle("/v1/health", map[string]handler{http.MethodGet: s.health})
	handle("/v1/metrics", map[string]handler{http.MethodGet: s.metrics.serve})
	handle("/v1/models", map[string]handler{http.MethodGet: s.guard(s.models)})
	handle("/v1/models/{id...}", map[string]handler{http.MethodGet: s.guard(s.oneModel)})
	handle("/v1/chat/completions", map[string]handler{
		http.MethodPost: s.guard(s.booked(s.chat)), http.MethodGet: s.forEventSource(s.guard(s.booked(s.chatEvents))),
	})
	handle("/v1/chat/completions/render", map[string]handler{http.MethodPost: s.guard(s.renderChat)})
	handle("/v1/stream-tickets", map[string]handler{http.MethodPost: s.guard(s.issueTicket)})
	for _, path := range []string{"/v1/completions", "/completions"} { // the second as TGI has it
		handle(path, map[string]handler{http.MethodPost: s.guard(s.booked(s.text))})
	}
	handle("/generate", map[string]handler{http.MethodPost: s.asTGI(s.guard(s.booked(s.generate(false))))})
	handle("/generate_stream", map[string]handler{http.MethodPost: s.asTGI(s.guard(s.booked(s.generate(true))))})
	handle("/info", map[string]handler{http.MethodGet: s.asTGI(s.guard(s.info))})
	handle("/tokenize", map[string]handler{http.MethodPost: s.guard(s.tokenize)})
	handle("/detokenize", map[string]handler{http.MethodPost: s.guard(s.detokenize)})
	if s.options.Page {
		serve := map[string]handler{http.MethodGet: plain(page.Handler(s.catch(notFound)))}
		handle("/{$}", serve)
		handle("/assets/", serve)
	}
	handle("/v1/", map[string]handler{"": s.authenticated(notFound)})
	handle("/", map[string]handler{"": notFound})
	return mux
}

// plain makes a handler of one that answers failures itself.
func plain(h http.Handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// guard lets a request through that has a key and comes while the server serves. On the way down that is until the grace
// period is over.
func (s *Server) guard(next handler) handler {
	return s.authenticated(func(w http.ResponseWriter, r *http.Request) error {
		if errors.Is(context.Cause(r.Context()), errShutdown) {
			return errShutdown
		}
		if s.model.Load() == nil {
			return unavailable(openai.CodeModelNotLoaded, "The model is not loaded yet; try again in a moment.")
		}
		return next(w, r)
	})
}

// byMethod picks the handler of a method; the key "" takes any.
func byMethod(methods map[string]handler) handler {
	var allowed []string
	for m := range methods {
		allowed = append(allowed, m)
		if m == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	return func(w http.ResponseWriter, r *http.Request) error {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		h := methods[method]
		if h == nil {
			h = methods[""]
		}
		if h == nil {
			w.Header().Set("Allow", allow)
			return openai.NewError(http.StatusMethodNotAllowed, openai.TypeInvalidRequest, openai.CodeMethodNotAllowed, "",
				fmt.Sprintf("Method %s is not allowed here; use %s.", clip(r.Method, 32), allow))
		}
		return h(w, r)
	}
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	return openai.NewError(http.StatusNotFound, openai.TypeNotFound, openai.CodeNotFound, "",
		fmt.Sprintf("Unknown path: %s", clip(r.URL.Path, 128)))
}

// catch turns a handler's error into the error body.
func (s *Server) catch(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		if errors.Is(err, errClientGone) {
			noteOf(r).status = statusClientGone
			return
		}
		e := s.explain(noteOf(r).requestID, err)
		if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", strconv.Itoa(s.retryAfter()))
		}
		writeJSON(w, e.Status, openai.ErrorBody{Error: e})
	})
}

// explain decides what the client sees of an error; details of our own failures go to the log only.
func (s *Server) explain(requestID string, err error) *openai.Error {
	if e, ok := errors.AsType[*openai.Error](err); ok {
		return e
	}
	if errors.Is(err, errShutdown) {
		return unavailable(openai.CodeShuttingDown, "The server is shutting down; send the request again.")
	}
	s.log.Error("request failed", "request_id", requestID, "error", err.Error())
	return internalError()
}

func internalError() *openai.Error {
	return openai.NewError(http.StatusInternalServerError, openai.TypeServer, openai.CodeInternal, "",
		"The server failed to answer; the log has the details under the X-Request-Id of this answer.")
}

func unavailable(code, message string) *openai.Error {
	return openai.NewError(http.StatusServiceUnavailable, openai.TypeUnavailable, code, "", message)
}

// retryAfter is an honest guess, in seconds, of when a place in the queue is free: when a request has finished, which
// takes as long as the recent ones took.
func (s *Server) retryAfter() int {
	return min(max(int(s.metrics.recent.mean().Seconds()+0.5), 1), 60)
}

// writeJSON sends an answer as a whole.
func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil { // the wire types hold nothing that cannot be encoded
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(data)+1))
	// Not every ResponseWriter knows deadlines; the error says only that.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.WriteHeader(status)
	// A client that is gone needs no answer, and net/http ends the connection itself.
	_, _ = w.Write(append(data, '\n'))
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
