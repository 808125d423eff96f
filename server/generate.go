package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/server/answer"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/sse"
	"github.com/gptoss/gptoss-operator/server/tgi"
)

// asTGI gives errors the shape that clients of TGI know.
func (s *Server) asTGI(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := next(w, r)
		if err == nil || errors.Is(err, errClientGone) {
			return err
		}
		status, body := tgi.Failure(s.explain(noteOf(r).requestID, err))
		s.askAgain(w.Header(), status)
		writeJSON(w, status, body)
		return nil
	}
}

var tgiStream = streamKind{failure: func(e *openai.Error) any {
	_, body := tgi.Failure(e)
	return body
}}

// generate answers POST /generate, or /generate_stream where stream is true.
func (s *Server) generate(stream bool) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := s.readBody(w, r)
		if err != nil {
			return err
		}
		request, err := tgi.Decode(body)
		if err != nil {
			return err
		}
		j, err := s.generateJob(r.Context(), noteOf(r).tenant(), &request, stream || request.Details)
		if err != nil {
			return err
		}
		return s.work(r, j, func(ctx context.Context) error {
			if stream {
				s.streamed(w, r, tgiStream, func(events *sse.Writer) error { return s.streamGenerated(ctx, events, &request, j) })
				return nil
			}
			return s.answerGenerated(ctx, w, &request, j)
		})
	}
}

// generateJob has the inputs continued as they are, or, as the model knows conversations only, answered as a user's message.
func (s *Server) generateJob(ctx context.Context, tenant string, r *tgi.Request, measured bool) (*job, error) {
	m := s.model.Load()
	if m.Vocabulary == nil {
		return nil, openai.Invalid(openai.CodeUnsupported, "inputs", "`inputs` are not available with this model")
	}
	var top *int
	if measured {
		top = &r.TopTokens
	}
	if s.options.GenerateRaw {
		prompt := openai.Prompt{IDs: truncated(readControl(m.Vocabulary, s.clean(r.Inputs)), r.Truncate)}
		j, _, err := s.textJob(ctx, tenant, &openai.TextRequest{Prompts: []openai.Prompt{prompt}, Sampling: r.Sampling, BestOf: 1, Logprobs: top, Format: r.Format})
		return j, atInputs(err)
	}
	inputs := r.Inputs
	if r.Truncate > 0 {
		var d tokenizer.Decoder
		var kept strings.Builder
		for _, id := range truncated(m.Vocabulary.Append(nil, inputs), r.Truncate) {
			kept.WriteString(d.Write(m.Vocabulary.TokenBytes(id)))
		}
		inputs = kept.String() + d.Flush()
	}
	chat := openai.ChatRequest{
		Messages: []openai.Message{{Role: openai.RoleUser, Content: inputs}}, Sampling: r.Sampling, ToolChoice: openai.ToolChoiceNone, Logprobs: measured,
		Format: r.Format,
	}
	if measured {
		chat.TopLogprobs = r.TopTokens
	}
	j, err := s.chatJob(ctx, tenant, &chat)
	return j, atInputs(err)
}

// atInputs says of a prompt that is too long what TGI's name for it is.
func atInputs(err error) error {
	if e, ok := errors.AsType[*openai.Error](err); ok && *e.Code == openai.CodeContextLengthExceeded {
		changed := *e
		changed.Param = new("inputs")
		return &changed
	}
	return err
}

// truncated keeps the last n, or all for 0.
func truncated(ids []int32, n int) []int32 {
	if n > 0 && n < len(ids) {
		return ids[len(ids)-n:]
	}
	return ids
}

// answerGenerated collects the text and sends it as a whole.
func (s *Server) answerGenerated(ctx context.Context, w http.ResponseWriter, r *tgi.Request, j *job) error {
	start := s.now()
	writer := tgi.NewWriter(j.model.Vocabulary)
	details := tgi.Details{Prefill: []tgi.Token{}, Tokens: []tgi.Token{}}
	err := j.run(ctx, sink{
		piece: func(_ int, p answer.Piece) error {
			tokens, top := writer.Take(p)
			details.Tokens = append(details.Tokens, tokens...)
			if r.TopTokens > 0 {
				details.TopTokens = append(details.TopTokens, top...)
			}
			return nil
		},
		finished: func(*choice) error { return nil },
	})
	if err != nil {
		return err
	}
	if n := len(details.Tokens); n > 0 {
		details.Tokens[n-1].Text += writer.Rest()
	}
	usage, out := j.usage(), tgi.Response{GeneratedText: writer.Text()}
	if r.FullText {
		out.GeneratedText = r.Inputs + out.GeneratedText
	}
	if r.Details {
		reader := j.choices[0].reader
		details.FinishReason = tgi.FinishReason(reader.Finish(), reader.Stopped())
		details.GeneratedTokens, details.Seed = usage.CompletionTokens, j.choices[0].request.Sampling.Seed
		out.Details = &details
	}
	h := w.Header()
	h.Set("X-Compute-Type", "cpu")
	h.Set("X-Compute-Characters", strconv.Itoa(len(r.Inputs)))
	h.Set("X-Total-Time", strconv.FormatInt(s.now().Sub(start).Milliseconds(), 10))
	h.Set("X-Prompt-Tokens", strconv.Itoa(usage.PromptTokens))
	h.Set("X-Generated-Tokens", strconv.Itoa(usage.CompletionTokens))
	writeJSON(w, http.StatusOK, out)
	return nil
}

// streamGenerated sends an event for each token of the text. The last has the whole text too, so each waits for the next.
func (s *Server) streamGenerated(ctx context.Context, events *sse.Writer, r *tgi.Request, j *job) error {
	writer := tgi.NewWriter(j.model.Vocabulary)
	var held *tgi.Event
	count := 0
	err := j.run(ctx, sink{
		piece: func(_ int, p answer.Piece) error {
			tokens, top := writer.Take(p)
			for i, t := range tokens {
				if held != nil {
					if err := events.Send(held); err != nil {
						return err
					}
				}
				count++
				held = &tgi.Event{Index: count, Token: t}
				if r.TopTokens > 0 {
					held.TopTokens = top[i]
				}
			}
			return nil
		},
		finished: func(*choice) error { return nil },
		quiet:    events.Quiet(), alive: events.Comment,
	})
	if err != nil {
		return err
	}
	if held == nil { // nothing to show; what the model ended with stands for it
		held = &tgi.Event{Index: 1, Token: tgi.Token{ID: j.model.Encoder.StopTokens()[0], Special: true}}
	}
	held.Token.Text += writer.Rest()
	text, reader, usage := writer.Text(), j.choices[0].reader, j.usage()
	if r.FullText {
		text = r.Inputs + text
	}
	held.GeneratedText = &text
	held.Details = &tgi.StreamDetails{
		FinishReason:    tgi.FinishReason(reader.Finish(), reader.Stopped()),
		GeneratedTokens: usage.CompletionTokens, Seed: j.choices[0].request.Sampling.Seed, InputLength: usage.PromptTokens,
	}
	return events.Send(held)
}

// info answers GET /info.
func (s *Server) info(w http.ResponseWriter, _ *http.Request) error {
	m := s.model.Load()
	writeJSON(w, http.StatusOK, tgi.Info{
		ModelID: s.options.ModelName(), ModelPipelineTag: "text-generation",
		MaxConcurrentRequests: s.options.MaxQueue + s.options.MaxSequences, MaxBestOf: 1, MaxStopSequences: tgi.MaxStopSequences,
		MaxInputTokens: m.ContextLength - 1, MaxTotalTokens: m.ContextLength, ValidationWorkers: 1, MaxClientBatchSize: 1,
		Router: "gptoss-server", Version: s.version,
	})
	return nil
}
