package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/answer"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/prompt"
	"github.com/gptoss/gptoss-operator/server/responses"
	"github.com/gptoss/gptoss-operator/server/sse"
)

// readTimeout is how long a request's body may take to arrive.
const readTimeout = time.Minute

// chat answers POST /v1/chat/completions.
func (s *Server) chat(w http.ResponseWriter, r *http.Request) error {
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	return s.chatBody(w, r, body, openaiStream)
}

// chatBody answers a chat request.
func (s *Server) chatBody(w http.ResponseWriter, r *http.Request, body []byte, kind streamKind) error {
	request, err := openai.DecodeChatRequest(body)
	if err != nil {
		return err
	}
	noteOf(r).model = request.Model
	if err := s.CheckModel(request.Model); err != nil {
		return err
	}
	s.metrics.Ignore(request.Ignored)
	j, err := s.chatJob(r.Context(), noteOf(r).tenant(), &request)
	if err != nil {
		return err
	}
	return s.work(r, j, func(ctx context.Context) error {
		if request.Stream {
			s.streamed(w, r, kind, func(events *sse.Writer) error { return s.streamChat(ctx, events, &request, j) })
			return nil
		}
		return s.answerChat(ctx, w, &request, j)
	})
}

// chatJob renders the conversation and lays out what the engine is to do.
func (s *Server) chatJob(ctx context.Context, tenant string, r *openai.ChatRequest) (*job, error) {
	m := s.model.Load()
	if err := s.checkSampling(&r.Sampling, m); err != nil {
		return nil, err
	}
	if r.Logprobs && m.Vocabulary == nil {
		return nil, openai.Invalid(openai.CodeUnsupported, "logprobs", "Unsupported parameter: 'logprobs' is not available with this model.")
	}
	ids, names, err := s.render(m, r)
	if err != nil {
		return nil, err
	}
	if len(ids) >= m.ContextLength {
		return nil, tooLong("messages", len(ids), m.ContextLength)
	}
	plan, err := m.Structure.Chat(ctx, r, names.ToModel)
	if ctx.Err() != nil {
		return nil, errClientGone
	}
	if err != nil {
		return nil, err
	}
	j := s.newJob(m, "chatcmpl-", "messages")
	if r.ServiceTier {
		j.origin.ServiceTier = "default"
	}
	e := s.engineRequest(&r.Sampling, m, ids)
	e.Tenant, e.Salt = tenant, r.CacheSalt
	if r.Logprobs {
		e.Logprobs = &r.TopLogprobs
	}
	j.add(max(r.N, 1), e, answer.Config{
		Words: m.Vocabulary, Stop: r.Stop, StopTokens: r.StopTokenIDs, Track: r.Logprobs, HideReasoning: !r.IncludeReasoning,
		SingleCall: r.SingleToolCall || r.LegacyFunctions, FunctionName: names.ToClient, NewID: s.newID,
	}, func() answer.Parser { return m.Encoder.NewParser(names.Offered(r)...) })
	j.hold(plan)
	return j, nil
}

// render turns a conversation into token ids.
func (s *Server) render(m *Model, r *openai.ChatRequest) ([]int32, *prompt.Names, error) {
	s.sanitize(r)
	names := prompt.NewNames(r)
	ids, err := m.Encoder.Render(prompt.Conversation(r, prompt.Effort(r, s.options.ReasoningLevel), s.now(), names))
	if err != nil {
		return nil, nil, fmt.Errorf("rendering the conversation: %w", err)
	}
	return ids, names, nil
}

func tooLong(param string, prompt, length int) error {
	return openai.Invalid(openai.CodeContextLengthExceeded, param,
		"This model's maximum context length is %d tokens, but the %s take %d, which leaves no room for an answer. Shorten them.", length, param, prompt)
}

// checkSampling holds what a request says to the limits of the server and of its vocabulary.
func (s *Server) checkSampling(r *openai.Sampling, m *Model) error {
	if err := s.checkChoices("n", r.N); err != nil {
		return err
	}
	if m.Vocabulary == nil {
		return nil
	}
	size := m.Vocabulary.Size()
	for id := range r.LogitBias {
		if int(id) >= size {
			return openai.Invalid(openai.CodeInvalidValue, "logit_bias", "Invalid value for 'logit_bias': there is no token %d; the ids end with %d.", id, size-1)
		}
	}
	return checkIDs("stop_token_ids", r.StopTokenIDs, size)
}

func checkIDs(param string, ids []int32, size int) error {
	for i, id := range ids {
		if int(id) >= size {
			return openai.Invalid(openai.CodeInvalidValue, fmt.Sprintf("%s[%d]", param, i), "Invalid value for '%s[%d]': there is no token %d; the ids end with %d.", param, i, id, size-1)
		}
	}
	return nil
}

func (s *Server) checkChoices(param string, n int) error {
	if n > s.options.MaxChoices {
		return openai.Invalid(openai.CodeInvalidValue, param, "Invalid value for '%s': this server makes at most %d answers to a request, not %d.", param, s.options.MaxChoices, n)
	}
	return nil
}

// engineRequest fills in the server's defaults. The engine clips MaxTokens to what the context still holds.
func (s *Server) engineRequest(r *openai.Sampling, m *Model, prompt []int32) engine.Request {
	e := engine.Request{Prompt: prompt, MaxTokens: s.options.MaxTokens, MinTokens: r.MinTokens, StopTokens: slices.Clone(r.StopTokenIDs)}
	if !r.IgnoreEOS {
		e.StopTokens = append(e.StopTokens, m.Encoder.StopTokens()...)
	}
	if r.MaxTokens != nil {
		e.MaxTokens = *r.MaxTokens
	}
	p := &e.Sampling
	p.Temperature, p.TopP = s.options.Temperature, s.options.TopP
	if r.Temperature != nil {
		p.Temperature = *r.Temperature
	}
	if r.TopP != nil {
		p.TopP = *r.TopP
	}
	p.TopK, p.MinP, p.LogitBias = r.TopK, r.MinP, r.LogitBias
	p.FrequencyPenalty, p.PresencePenalty, p.RepetitionPenalty = r.FrequencyPenalty, r.PresencePenalty, r.RepetitionPenalty
	if r.Seed != nil {
		p.Seed = new(uint64(*r.Seed))
	}
	return e
}

// answerChat collects the pieces and sends them as messages.
func (s *Server) answerChat(ctx context.Context, w http.ResponseWriter, r *openai.ChatRequest, j *job) error {
	all := make([]answer.Collector, len(j.choices))
	err := j.run(ctx, sink{
		piece:    func(i int, p answer.Piece) error { all[i].Add(p); return nil },
		finished: func(*choice) error { return nil },
	})
	if err != nil {
		return err
	}
	out := openai.ChatCompletion{
		ID: j.id, Object: "chat.completion", Created: j.created, Model: s.options.ModelName(), Usage: j.usage(), Origin: j.origin,
		Choices: make([]openai.Choice, len(all)),
	}
	for i := range all {
		choice := openai.Choice{Index: i, Message: all[i].Message(), FinishReason: j.choices[i].reader.Finish()}
		if r.LegacyFunctions {
			choice = choice.Legacy()
		}
		if r.Logprobs {
			choice.Logprobs = answer.Logprobs(j.model.Vocabulary, all[i].Tokens())
		}
		out.Choices[i] = choice
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// streamChat sends answers as they are made: for each a first chunk with the role, the deltas and a chunk with the reason
// of the end; then a chunk with the usage if it was asked for, and [DONE]. The first chunks leave before the engine has
// begun, so that proxies in front see life while the request waits.
func (s *Server) streamChat(ctx context.Context, events *sse.Writer, r *openai.ChatRequest, j *job) error {
	send := func(choices ...openai.ChunkChoice) error {
		k := openai.ChatChunk{ID: j.id, Object: "chat.completion.chunk", Created: j.created, Model: s.options.ModelName(), Choices: choices, Origin: j.origin}
		k.Usage = chunkUsage(&r.Streaming, j)
		return events.Send(k)
	}
	for i := range j.choices {
		empty := ""
		if err := send(openai.ChunkChoice{Index: i, Delta: openai.Delta{Role: "assistant", Content: &empty}}); err != nil {
			return err
		}
	}
	err := j.run(ctx, sink{
		piece: func(i int, p answer.Piece) error {
			choice := openai.ChunkChoice{Index: i, Delta: p.Delta}
			if r.LegacyFunctions {
				choice.Delta = choice.Delta.Legacy()
			}
			if len(p.Tokens) > 0 {
				choice.Logprobs = answer.Logprobs(j.model.Vocabulary, p.Tokens)
			}
			return send(choice)
		},
		finished: func(c *choice) error {
			finish := c.reader.Finish()
			if r.LegacyFunctions {
				finish = finish.Legacy()
			}
			return send(openai.ChunkChoice{Index: c.index, FinishReason: &finish})
		},
		quiet: events.Quiet(), alive: events.Comment,
	})
	if err != nil {
		return err
	}
	if r.IncludeUsage {
		usage := j.usage()
		last := openai.ChatChunk{ID: j.id, Object: "chat.completion.chunk", Created: j.created, Model: s.options.ModelName(), Origin: j.origin}
		last.Choices = []openai.ChunkChoice{} // where none would be null
		last.Usage = &openai.ChunkUsage{Usage: &usage}
		if err := events.Send(last); err != nil {
			return err
		}
	}
	return events.Done()
}

// readBody reads a request's body, which is bounded in size and time.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
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
	return body, nil
}

// CheckModel returns the 404 for a model that is not served.
func (s *Server) CheckModel(model string) error {
	if s.serves(model) {
		return nil
	}
	return openai.NewError(http.StatusNotFound, openai.TypeNotFound, openai.CodeModelNotFound, "model",
		fmt.Sprintf("The model %q does not exist; this server serves %q.", clip(model, 128), s.options.ModelName()))
}

func (s *Server) serves(model string) bool {
	return model == s.options.ModelName() || slices.Contains(s.aliases, model)
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
	defer func() { s.count(start, ended, usage) }()
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

func (s responder) respond(ctx context.Context, c responses.Call) (finish openai.FinishReason, usage openai.Usage, err error) {
	start := s.now()
	if err := s.CheckModel(c.Request.Model); err != nil {
		return "", openai.Usage{}, err
	}
	s.metrics.Ignore(c.Request.Ignored)
	j, err := s.chatJob(ctx, c.Tenant, c.Request)
	if err != nil {
		return "", openai.Usage{}, err
	}
	only := j.choices[0]
	j.id, only.request.ID = c.ID, c.ID
	only.reader.Separate = true
	defer s.accept(j)()
	settle, err := s.reserve(ctx, j)
	if err != nil {
		return "", openai.Usage{}, err
	}
	defer settle()
	if err := j.begin(ctx); err != nil {
		return "", openai.Usage{}, err
	}
	c.Accepted()
	if c.Background {
		defer func() { s.recordBackground(ctx, j, start, err) }()
	}
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

// chatEvents answers GET /v1/chat/completions?stream=true, which is all that a browser's EventSource can send.
func (s *Server) chatEvents(w http.ResponseWriter, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return openai.Invalid(openai.CodeInvalidValue, "", "The query is malformed: its values must be percent-encoded.")
	}
	body, err := openai.ChatQuery(query)
	if err != nil {
		return err
	}
	kind := openaiStream
	kind.identified = true
	return s.chatBody(w, r, body, kind)
}

// forEventSource takes the place of a header with a key, which an EventSource cannot send: what a ticket stands for becomes
// that header, so that everything that holds for the key holds here too.
func (s *Server) forEventSource(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Header.Get("Last-Event-ID") != "" {
			// An EventSource connects again when a stream has ended, and would have the same answer made anew and again.
			// This status is how it is told to stop.
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		if r.Method != http.MethodGet { // HEAD
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			w.WriteHeader(http.StatusOK)
			return nil
		}
		query := r.URL.Query()
		ticket := query.Get("ticket")
		if ticket == "" {
			return next(w, r)
		}
		r = r.Clone(r.Context())
		query.Del("ticket")
		r.URL.RawQuery = query.Encode()
		if r.Header.Get("Authorization") != "" {
			return next(w, r)
		}
		credential, err := s.tickets.Open(ticket)
		if err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="gptoss"`)
			return openai.NewError(http.StatusUnauthorized, openai.TypeAuthentication, openai.CodeInvalidTicket, "ticket",
				"The ticket is not valid: it may be used once, within a minute. Ask for another with POST /v1/stream-tickets.")
		}
		if credential != "" {
			r.Header.Set("Authorization", credential)
		}
		return next(w, r)
	}
}

// issueTicket answers POST /v1/stream-tickets.
func (s *Server) issueTicket(w http.ResponseWriter, r *http.Request) error {
	ticket, expires := s.tickets.Seal(r.Header.Get("Authorization"))
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, openai.StreamTicket{
		Object: "stream.ticket", Ticket: ticket, ExpiresAt: expires.Unix(), ExpiresIn: int(expires.Sub(s.now()) / time.Second),
	})
	return nil
}
