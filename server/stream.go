package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/gptoss/gptoss-operator/server/answer"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/sse"
)

// streamed begins a stream of events and has them sent. The status is sent by then: a failure is an event too.
func (s *Server) streamed(w http.ResponseWriter, r *http.Request, eventID string, send func(*sse.Writer) error) {
	events := sse.Begin(w)
	defer events.Stop()
	events.Identify(eventID)
	err := send(events)
	if err == nil {
		return
	}
	n := noteOf(r)
	if errors.Is(err, errClientGone) || errors.Is(err, sse.ErrGone) {
		n.status = statusClientGone
		return
	}
	e := s.explain(n.requestID, err)
	n.status = e.Status
	if events.Send(openai.ErrorBody{Error: e}) == nil {
		// Whether a broken stream's very last line arrives changes nothing any more.
		_ = events.Done()
	}
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
				choice.Delta = legacyDelta(choice.Delta)
			}
			if len(p.Tokens) > 0 {
				choice.Logprobs = answer.Logprobs(j.model.Vocabulary, p.Tokens)
			}
			return send(choice)
		},
		finished: func(c *choice) error {
			finish := c.reader.Finish()
			if r.LegacyFunctions {
				finish = legacyFinish(finish)
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

// chunkUsage is what a chunk before the last says of the usage: nothing unless it is asked for, null, or what it is so far.
func chunkUsage(s *openai.Streaming, j *job) *openai.ChunkUsage {
	switch {
	case s.ContinuousUsage:
		usage := j.usage()
		return &openai.ChunkUsage{Usage: &usage}
	case s.IncludeUsage:
		return &openai.ChunkUsage{}
	}
	return nil
}

// legacyChoice has a function called in the way of those who gave functions.
func legacyChoice(c openai.Choice) openai.Choice {
	if calls := c.Message.ToolCalls; len(calls) > 0 {
		c.Message.FunctionCall, c.Message.ToolCalls = &calls[0].Function, nil
	}
	c.FinishReason = legacyFinish(c.FinishReason)
	return c
}

func legacyDelta(d openai.Delta) openai.Delta {
	if len(d.ToolCalls) > 0 {
		d.FunctionCall, d.ToolCalls = &d.ToolCalls[0].Function, nil
	}
	return d
}

func legacyFinish(reason openai.FinishReason) openai.FinishReason {
	if reason == openai.FinishToolCalls {
		return openai.FinishFunctionCall
	}
	return reason
}
