package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/gptoss/gptoss-operator/server/answer"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/openapi"
	"github.com/gptoss/gptoss-operator/server/prompt"
	"github.com/gptoss/gptoss-operator/server/responses"
)

// newResponses makes the Responses API, which runs its requests as chat requests.
func (s *Server) newResponses() *responses.API {
	o := s.options
	return responses.New(responses.Config{
		Model:      responder{s},
		Bounds:     responses.Bounds{Count: o.ResponseStoreCount, Bytes: o.ResponseStoreBytes, Age: o.ResponseStoreAge},
		Background: o.MaxBackgroundResponses,
		Now:        s.now, NewID: s.newID, Body: s.readBody,
		Tenant: func(r *http.Request) string { return noteOf(r).tenant },
		Ended:  noteResponse,
		Panicked: func(ctx context.Context, value any, stack []byte) {
			s.metrics.panics.Inc()
			s.log.Error("panic in a response", "request_id", requestID(ctx), "panic", fmt.Sprint(value), "stack", string(stack))
		},
	})
}

// routeResponses lays the Responses API out.
func (s *Server) routeResponses(handle func(path string, methods map[string]handler)) {
	a := s.responses
	handle("/v1/responses", map[string]handler{http.MethodPost: s.guard(s.refusalsBooked(a.Create))})
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
			s.metrics.requests.WithLabelValues(outcome(statusOf(err))).Inc()
		}
		return err
	}
}

// responder runs the chat requests of the Responses API.
type responder struct{ *Server }

// Settings tells what a request is run with.
func (s responder) Settings(r *openai.ChatRequest) responses.Settings {
	m := s.model.Load()
	e := s.engineRequest(&r.Sampling, m, nil)
	return responses.Settings{
		Model: s.options.ModelName(), Temperature: e.Sampling.Temperature, TopP: e.Sampling.TopP,
		Effort: prompt.Effort(r, s.options.ReasoningLevel), ContextLength: m.ContextLength,
	}
}

// Count renders the prompt.
func (s responder) Count(r *openai.ChatRequest) (tokens int, err error) {
	if err := s.CheckModel(r.Model); err != nil {
		return 0, err
	}
	ids, _, err := s.render(s.model.Load(), r)
	return len(ids), err
}

// Complete runs a request and books how it ended.
func (s responder) Complete(ctx context.Context, c responses.Call) (finish openai.FinishReason, usage openai.Usage, err error) {
	start := s.now()
	if ran, ok := ctx.Value(runKey{}).(*atomic.Bool); ok {
		ran.Store(true)
	}
	ended := outcomeError // stays so when a panic passes
	defer func() {
		if ended == outcomeSuccess {
			s.metrics.succeeded(s.now().Sub(start))
		} else {
			s.metrics.requests.WithLabelValues(ended).Inc()
		}
		s.metrics.prompt.Add(float64(usage.PromptTokens))
		s.metrics.completion.Add(float64(usage.CompletionTokens))
	}()
	finish, usage, err = s.respond(ctx, c)
	if err == nil {
		ended = outcome(http.StatusOK)
		return finish, usage, nil
	}
	ended = outcome(statusOf(err))
	if !errors.Is(err, errClientGone) {
		err = s.explain(requestID(ctx), err)
	}
	return finish, usage, err
}

func (s responder) respond(ctx context.Context, c responses.Call) (openai.FinishReason, openai.Usage, error) {
	if err := s.CheckModel(c.Request.Model); err != nil {
		return "", openai.Usage{}, err
	}
	s.metrics.ignore(c.Request.Ignored)
	j, err := s.chatJob(c.Tenant, c.Request)
	if err != nil {
		return "", openai.Usage{}, err
	}
	only := j.choices[0]
	j.id, only.request.ID = c.ID, c.ID
	only.reader.Separate = true
	defer s.accept(j)()
	if err := j.begin(ctx); err != nil {
		return "", openai.Usage{}, err
	}
	c.Accepted()
	err = j.run(ctx, sink{
		piece: func(_ int, p answer.Piece) error {
			piece := responses.Piece{Delta: p.Delta, Message: p.Message}
			if len(p.Tokens) > 0 {
				piece.Tokens = answer.Logprobs(j.model.Vocabulary, p.Tokens).Content
			}
			return c.Emit(piece)
		},
		finished: func(*choice) error { return nil },
	})
	return j.finish(), j.usage(), err
}
