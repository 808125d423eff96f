package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/openapi"
	"github.com/gptoss/gptoss-operator/server/page"
	"github.com/gptoss/gptoss-operator/server/responses"
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

// routes lays the API out and returns the methods of each path beside it. What a path needs of who calls it is in scopes.
func (s *Server) routes() (mux *http.ServeMux, laid map[string][]string) {
	mux, laid = http.NewServeMux(), map[string][]string{}
	handle := func(path string, methods map[string]handler) {
		laid[path] = slices.Collect(maps.Keys(methods))
		mux.Handle(path, s.catch(byMethod(methods)))
	}
	for path, h := range s.probes() {
		handle(path, map[string]handler{http.MethodGet: h})
	}
	handle("/v1/models", map[string]handler{http.MethodGet: s.guard(s.models)})
	handle("/v1/models/{id...}", map[string]handler{http.MethodGet: s.guard(s.oneModel)})
	handle("/v1/chat/completions", map[string]handler{
		http.MethodPost: s.generating(s.chat), http.MethodGet: s.forEventSource(s.generating(s.chatEvents)),
	})
	handle("/v1/chat/completions/render", map[string]handler{http.MethodPost: s.guard(s.renderChat)})
	handle("/v1/stream-tickets", map[string]handler{http.MethodPost: s.guard(s.issueTicket)})
	for _, path := range []string{"/v1/completions", "/completions"} { // the second as TGI has it
		handle(path, map[string]handler{http.MethodPost: s.generating(s.text)})
	}
	handle("/generate", map[string]handler{http.MethodPost: s.asTGI(s.generating(s.generate(false)))})
	handle("/generate_stream", map[string]handler{http.MethodPost: s.asTGI(s.generating(s.generate(true)))})
	handle("/info", map[string]handler{http.MethodGet: s.asTGI(s.guard(s.info))})
	handle("/tokenize", map[string]handler{http.MethodPost: s.guard(s.tokenize)})
	handle("/detokenize", map[string]handler{http.MethodPost: s.guard(s.detokenize)})
	s.routeResponses(handle)
	handle("/openapi.json", map[string]handler{http.MethodGet: s.describeAPI})
	if s.options.Page {
		serve := map[string]handler{http.MethodGet: plain(page.Handler(s.catch(notFound)))}
		handle("/{$}", serve)
		handle("/assets/", serve)
	}
	handle("/v1/", map[string]handler{"": s.authenticated(notFound)})
	handle("/", map[string]handler{"": notFound})
	return mux, laid
}

// guard lets a request through that may come, fits into its limits and comes while the server serves.
func (s *Server) guard(next handler) handler { return s.served(s.limited(false, next)) }

// generating is guard for requests that make tokens, all of which are counted.
func (s *Server) generating(next handler) handler { return s.served(s.booked(s.limited(true, next))) }

// plain makes a handler of one that answers failures itself.
func plain(h http.Handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// served lets a request through that may come, and comes while the server serves. On the way down that is until the grace
// period is over.
func (s *Server) served(next handler) handler {
	return s.permitted(func(w http.ResponseWriter, r *http.Request) error {
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
		s.askAgain(w.Header(), e.Status)
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

// askAgain tells a client that there was no room for when to come again. A limit that knows has said so, or that it makes
// no sense.
func (s *Server) askAgain(h http.Header, status int) {
	if (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) && h.Get("Retry-After") == "" && h.Get("X-Should-Retry") == "" {
		h.Set("Retry-After", strconv.Itoa(s.retryAfter()))
	}
}

// retryAfter is an honest guess, in seconds, of when a place in the queue is free: when the next of those that run has
// finished. Each takes as long as the recent ones took, so that of n one finishes in every n-th part of that time.
func (s *Server) retryAfter() int {
	next := s.metrics.Recent.Mean().Seconds() / float64(max(s.stats().Running, 1))
	return min(max(int(math.Ceil(next)), 1), 60)
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

// newResponses makes the Responses API, which runs its requests as chat requests.
func (s *Server) newResponses() *responses.API {
	o := s.options
	return responses.New(responses.Config{
		Model:      responder{s},
		Bounds:     responses.Bounds{Count: o.ResponseStoreCount, Bytes: o.ResponseStoreBytes, Age: o.ResponseStoreAge},
		Background: o.MaxBackgroundResponses,
		Now:        s.now, NewID: s.newID, Body: s.readBody,
		Tenant: func(r *http.Request) string { return noteOf(r).tenant() },
		Ended:  noteResponse,
		Panicked: func(ctx context.Context, value any, stack []byte) {
			s.metrics.Panics.Inc()
			s.log.Error("panic in a response", "request_id", requestID(ctx), "panic", fmt.Sprint(value), "stack", string(stack))
		},
	})
}

// routeResponses lays the Responses API out.
func (s *Server) routeResponses(handle func(path string, methods map[string]handler)) {
	a := s.responses
	handle("/v1/responses", map[string]handler{http.MethodPost: s.served(s.refusalsBooked(s.limited(true, a.Create)))})
	handle("/v1/responses/input_tokens", map[string]handler{http.MethodPost: s.guard(a.CountInput)})
	handle("/v1/responses/{id}", map[string]handler{http.MethodGet: s.guard(a.Retrieve), http.MethodDelete: s.guard(a.Delete)})
	handle("/v1/responses/{id}/cancel", map[string]handler{http.MethodPost: s.guard(a.Cancel)})
	handle("/v1/responses/{id}/input_items", map[string]handler{http.MethodGet: s.guard(a.InputItems)})
}

// describeAPI answers GET /openapi.json.
func (s *Server) describeAPI(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, json.RawMessage(openapi.Document(s.version)))
	return nil
}

// noteResponse tells the access log what became of a request.
func noteResponse(r *http.Request, o responses.Outcome) {
	n := noteOf(r)
	n.completionID, n.usage, n.finish = o.ID, o.Usage, o.Finish
	switch {
	case errors.Is(o.Err, responses.ErrGone):
		n.status = statusClientGone
	case o.Err != nil:
		n.status = statusOf(o.Err)
	}
}

// requestID is the id of the request that a context comes from.
func requestID(ctx context.Context) string {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		return n.requestID
	}
	return ""
}

// runKey leads to whether a request got so far that it is booked where it runs.
type runKey struct{}

// refusalsBooked counts requests that are refused before they run. Those that run may do so for longer than they are
// waited for, so that Complete counts them.
func (s *Server) refusalsBooked(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ran := &atomic.Bool{}
		err := next(w, r.WithContext(context.WithValue(r.Context(), runKey{}, ran)))
		if err != nil && !ran.Load() {
			s.metrics.Requests.WithLabelValues(outcome(statusOf(err))).Inc()
		}
		return err
	}
}
