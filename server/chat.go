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
	"github.com/gptoss/gptoss-operator/server/answer"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/prompt"
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
	if err := s.CheckModel(request.Model); err != nil {
		return err
	}
	s.metrics.ignore(request.Ignored)
	j, err := s.chatJob(noteOf(r).tenant, &request)
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
func (s *Server) chatJob(tenant string, r *openai.ChatRequest) (*job, error) {
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
	return j, nil
}

// render turns a conversation into token ids.
func (s *Server) render(m *Model, r *openai.ChatRequest) ([]int32, *prompt.Names, error) {
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

// Answer runs a chat request for another shape of the API: it gives emit what is added to the answer, in order, and
// returns why the answer ended and what it took. After sse.AliveInterval without anything, emit gets a Delta without
// anything in it, so that a stream can show life. An error of emit ends the answer. The error is emit's own, an
// *openai.Error that the client may see, or context.Canceled where the client has left.
func (s *Server) Answer(ctx context.Context, tenant string, r *openai.ChatRequest, emit func(openai.Delta) error) (openai.FinishReason, openai.Usage, error) {
	one := *r
	one.N = 1
	j, err := s.chatJob(tenant, &one)
	if err != nil {
		return "", openai.Usage{}, s.presentable(err)
	}
	defer s.accept(j)()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := j.begin(ctx); err != nil {
		return "", openai.Usage{}, s.presentable(err)
	}
	quiet := time.NewTimer(sse.AliveInterval)
	defer quiet.Stop()
	var refused error // by emit
	deliver := func(d openai.Delta) error {
		quiet.Reset(sse.AliveInterval)
		refused = emit(d)
		return refused
	}
	err = j.run(ctx, sink{
		piece:    func(_ int, p answer.Piece) error { return deliver(p.Delta) },
		finished: func(*choice) error { return nil },
		quiet:    quiet.C, alive: func() error { return deliver(openai.Delta{}) },
	})
	if err != nil && refused == nil {
		err = s.presentable(err)
	}
	return j.finish(), j.usage(), err
}

// presentable is the error that Answer returns for one of our own.
func (s *Server) presentable(err error) error {
	if errors.Is(err, errClientGone) {
		return context.Canceled
	}
	return s.explain("", err)
}
