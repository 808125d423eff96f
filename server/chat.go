package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// readTimeout is how long a request's body may take to arrive.
const readTimeout = time.Minute

// chat answers POST /v1/chat/completions and books how it ended.
func (s *Server) chat(w http.ResponseWriter, r *http.Request) error {
	start := s.now()
	n := noteOf(r)
	ended := outcomeError // stays so when a panic passes
	defer func() {
		if ended == outcomeSuccess {
			s.metrics.succeeded(s.now().Sub(start))
		} else {
			s.metrics.requests.WithLabelValues(ended).Inc()
		}
		s.metrics.prompt.Add(float64(n.usage.PromptTokens))
		s.metrics.completion.Add(float64(n.usage.CompletionTokens))
	}()
	err := s.complete(w, r, start)
	if err != nil {
		ended = outcome(statusOf(err))
	} else {
		ended = outcome(n.status)
	}
	return err
}

// statusOf is the status with which catch will answer an error.
func statusOf(err error) int {
	if e, ok := errors.AsType[*openai.Error](err); ok {
		return e.Status
	}
	switch {
	case errors.Is(err, errClientGone):
		return statusClientGone
	case errors.Is(err, errShutdown):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// complete reads the request, has it run and answers in the way that was asked for.
func (s *Server) complete(w http.ResponseWriter, r *http.Request, start time.Time) error {
	request, err := s.readChat(w, r)
	if err != nil {
		return err
	}
	s.active.Add(1)
	defer s.active.Add(-1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	n := noteOf(r)
	c, err := s.submit(ctx, n.tenant, request)
	if err != nil {
		return err
	}
	c.cancel = cancel
	c.firstToken = func() { s.metrics.firstToken.Observe(s.now().Sub(start).Seconds()) }
	n.completionID = c.id
	defer func() { n.usage, n.finish = c.usage, c.finish }()
	if request.Stream {
		s.answerStream(ctx, w, r, c)
		return nil
	}
	return s.answerWhole(ctx, w, c)
}

// submit renders the conversation and hands it to the engine.
func (s *Server) submit(ctx context.Context, tenant string, r *openai.ChatRequest) (*completion, error) {
	m := s.model.Load()
	if r.Logprobs && m.Vocabulary == nil {
		return nil, openai.Invalid(openai.CodeUnsupported, "logprobs", "Unsupported parameter: 'logprobs' is not available with this model.")
	}
	c := &completion{
		id: s.newID("chatcmpl-"), created: s.now().Unix(), request: r, names: newFunctionNames(r), newID: s.newID,
		stop: stopFilter{sequences: r.Stop}, last: map[harmony.Kind]int{},
	}
	effort := reasoningEffort(r, s.options.ReasoningLevel)
	prompt, err := m.Encoder.Render(conversation(r, effort, s.now(), c.names))
	if err != nil {
		return nil, fmt.Errorf("rendering the conversation: %w", err)
	}
	c.usage.PromptTokens = len(prompt)
	if len(prompt) >= m.ContextLength {
		return nil, tooLong(len(prompt), m.ContextLength)
	}
	c.parser = m.Encoder.NewParser(c.names.offered(r)...)
	c.aligner = c.newAligner(m.Vocabulary)
	e := s.engineRequest(r, m, prompt)
	e.ID, e.Tenant = c.id, tenant
	if err := s.reserve(ctx, len(prompt), min(e.MaxTokens, m.ContextLength-len(prompt))); err != nil {
		return nil, err
	}
	c.stream, err = m.Generator.Submit(ctx, e)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, engine.ErrQueueFull):
		return nil, openai.NewError(http.StatusTooManyRequests, openai.TypeRateLimit, openai.CodeQueueFull, "",
			"Too many requests are waiting; try again after the time in the Retry-After header.")
	case errors.Is(err, engine.ErrPromptTooLong):
		return nil, tooLong(len(prompt), m.ContextLength)
	case errors.Is(err, engine.ErrClosed), errors.Is(context.Cause(ctx), errShutdown):
		return nil, errShutdown
	case ctx.Err() != nil:
		return nil, errClientGone
	}
	return nil, fmt.Errorf("submitting the request: %w", err)
}

func tooLong(prompt, length int) error {
	return openai.Invalid(openai.CodeContextLengthExceeded, "messages",
		"This model's maximum context length is %d tokens, but the messages take %d, which leaves no room for an answer. Shorten them.", length, prompt)
}

// answerWhole collects the deltas and sends them as one message.
func (s *Server) answerWhole(ctx context.Context, w http.ResponseWriter, c *completion) error {
	var all collector
	finish, err := c.run(ctx, func(d openai.Delta, l *openai.Logprobs) error { all.add(d, l); return nil })
	if err != nil {
		return err
	}
	choice := openai.Choice{Message: all.message(), FinishReason: finish}
	if c.request.Logprobs {
		choice.Logprobs = &openai.Logprobs{Content: append([]openai.TokenLogprob{}, all.logprobs...)}
	}
	writeJSON(w, http.StatusOK, openai.ChatCompletion{
		ID: c.id, Object: "chat.completion", Created: c.created, Model: s.options.ModelName(),
		Choices: []openai.Choice{choice},
		Usage:   c.usage,
	})
	return nil
}

// readChat reads, decodes and checks the body.
func (s *Server) readChat(w http.ResponseWriter, r *http.Request) (*openai.ChatRequest, error) {
	control := http.NewResponseController(w)
	// Not every ResponseWriter knows deadlines; the error says only that. Left in place, the deadline would end the
	// watch for the client's leaving.
	_ = control.SetReadDeadline(time.Now().Add(readTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.options.MaxBodyBytes))
	_ = control.SetReadDeadline(time.Time{})
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, openai.Invalid(openai.CodeBodyTooLarge, "", "The request body is larger than the limit of %d bytes.", tooLarge.Limit)
	}
	if err != nil {
		return nil, errClientGone
	}
	request, err := openai.DecodeChatRequest(body)
	if err != nil {
		return nil, err
	}
	if !s.serves(request.Model) {
		return nil, openai.NewError(http.StatusNotFound, openai.TypeNotFound, openai.CodeModelNotFound, "model",
			fmt.Sprintf("The model %q does not exist; this server serves %q.", clip(request.Model, 128), s.options.ModelName()))
	}
	return &request, nil
}

func (s *Server) serves(model string) bool {
	return model == s.options.ModelName() || slices.Contains(s.aliases, model)
}

// engineRequest fills in the server's defaults. The engine clips MaxTokens to what the context still holds.
func (s *Server) engineRequest(r *openai.ChatRequest, m *Model, prompt []int32) engine.Request {
	e := engine.Request{Prompt: prompt, MaxTokens: s.options.MaxTokens, StopTokens: m.Encoder.StopTokens()}
	if r.MaxTokens != nil {
		e.MaxTokens = *r.MaxTokens
	}
	e.Sampling.Temperature, e.Sampling.TopP = s.options.Temperature, s.options.TopP
	if r.Temperature != nil {
		e.Sampling.Temperature = *r.Temperature
	}
	if r.TopP != nil {
		e.Sampling.TopP = *r.TopP
	}
	if r.Seed != nil {
		seed := uint64(*r.Seed)
		e.Sampling.Seed = &seed
	}
	if r.Logprobs {
		e.Logprobs = &r.TopLogprobs
	}
	return e
}
