package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
)

func (p *player) respond(ctx context.Context, change func(*responses.ResponseNewParams)) (*responses.Response, error) {
	return p.client.Responses.New(ctx, p.input(change))
}

func (p *player) input(change func(*responses.ResponseNewParams)) responses.ResponseNewParams {
	a := responses.ResponseNewParams{
		Model: p.model, Temperature: openai.Float(0), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(question)},
	}
	if change != nil {
		change(&a)
	}
	return a
}

// follow reads the events of a stream, which must be numbered.
func (p *player) follow(ctx context.Context, change func(*responses.ResponseNewParams)) ([]responses.ResponseStreamEventUnion, []string, error) {
	stream := p.client.Responses.NewStreaming(ctx, p.input(change))
	defer func() { _ = stream.Close() }() // what matters is stream.Err
	var events []responses.ResponseStreamEventUnion
	var names []string
	for stream.Next() {
		e := stream.Current()
		if err := same("sequence_number of "+e.Type, e.SequenceNumber, int64(len(events))); err != nil {
			return nil, nil, err
		}
		events, names = append(events, e), append(names, e.Type)
	}
	if err := stream.Err(); err != nil {
		return nil, nil, err
	}
	if len(names) < 3 || !slices.Equal(names[:2], []string{"response.created", "response.in_progress"}) {
		return nil, nil, fmt.Errorf("the events are %v", names)
	}
	return events, names, nil
}

func (p *player) responses(ctx context.Context) error {
	r, err := p.respond(ctx, func(a *responses.ResponseNewParams) { a.Instructions = openai.String("Answer shortly.") })
	if err != nil {
		return err
	}
	again, err := p.client.Responses.Get(ctx, r.ID, responses.ResponseGetParams{})
	if err != nil {
		return err
	}
	err = errors.Join(
		check(strings.HasPrefix(r.ID, "resp_"), "id %q", r.ID), same("object", string(r.Object), "response"), same("status", r.Status, "completed"),
		has("output_text", r.OutputText(), "Paris"), same("retrieved", again.OutputText(), r.OutputText()),
		same("total_tokens", r.Usage.TotalTokens, r.Usage.InputTokens+r.Usage.OutputTokens), check(r.Usage.OutputTokensDetails.ReasoningTokens > 0, "usage %s", r.Usage.RawJSON()),
		check(len(r.Output) == 2 && r.Output[0].Type == "reasoning" && r.Output[1].Type == "message", "output of %s", r.RawJSON()),
		p.client.Responses.Delete(ctx, r.ID),
	)
	_, gone := p.client.Responses.Get(ctx, r.ID, responses.ResponseGetParams{})
	return errors.Join(err, refused(gone, 404, "", ""))
}

func (p *player) responsesStream(ctx context.Context) error {
	whole, err := p.respond(ctx, nil)
	if err != nil {
		return err
	}
	events, names, err := p.follow(ctx, nil)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, e := range events {
		if e.Type == "response.output_text.delta" {
			text.WriteString(e.Delta)
		}
	}
	last := events[len(events)-1]
	rest := slices.DeleteFunc(names[max(slices.Index(names, "response.output_text.delta"), 0):], func(n string) bool { return n == "response.output_text.delta" })
	want := []string{"response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"}
	return errors.Join(
		same("the deltas", text.String(), whole.OutputText()), same("the last response", last.Response.OutputText(), whole.OutputText()),
		check(slices.Equal(rest, want), "after the deltas came %v, want %v", rest, want),
	)
}

func weatherFunction(a *responses.ResponseNewParams) {
	f := responses.ToolParamOfFunction("get_weather", weatherParameters, false)
	f.OfFunction.Description = openai.String("Get the current weather in a city")
	a.Tools = []responses.ToolUnionParam{f}
	a.Input = responses.ResponseNewParamsInputUnion{OfString: openai.String(weatherQuestion)}
}

func (p *player) responsesTools(ctx context.Context) error {
	r, err := p.respond(ctx, weatherFunction)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(r.Output, func(o responses.ResponseOutputItemUnion) bool { return o.Type == "function_call" })
	if i < 0 {
		return fmt.Errorf("no call in %s", r.RawJSON())
	}
	call := r.Output[i].AsFunctionCall()
	output := responses.ResponseInputItemParamOfFunctionCallOutput(weatherResult)
	output.OfFunctionCallOutput.CallID = openai.String(call.CallID)
	answer, err := p.respond(ctx, func(a *responses.ResponseNewParams) {
		weatherFunction(a)
		a.PreviousResponseID = openai.String(r.ID)
		a.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{output}}
	})
	if err != nil {
		return err
	}
	events, _, err := p.follow(ctx, weatherFunction)
	if err != nil {
		return err
	}
	var arguments strings.Builder
	for _, e := range events {
		if e.Type == "response.function_call_arguments.delta" {
			arguments.WriteString(e.Delta)
		}
	}
	return errors.Join(
		same("name", call.Name, "get_weather"), same("arguments", strings.Join(strings.Fields(call.Arguments), ""), `{"location":"Paris"}`),
		has("output_text", answer.OutputText(), "18"), same("streamed arguments", arguments.String(), call.Arguments),
	)
}

func (p *player) responsesTurns(ctx context.Context) error {
	first, err := p.respond(ctx, nil)
	if err != nil {
		return err
	}
	second, err := p.respond(ctx, func(a *responses.ResponseNewParams) {
		a.PreviousResponseID = openai.String(first.ID)
		a.Input = responses.ResponseNewParamsInputUnion{OfString: openai.String("And of Japan?")}
	})
	if err != nil {
		return err
	}
	_, err = p.respond(ctx, func(a *responses.ResponseNewParams) { a.PreviousResponseID = openai.String("resp_none") })
	e, ok := errors.AsType[*openai.Error](err)
	return errors.Join(
		has("output_text", second.OutputText(), "Tokyo"), same("previous_response_id", second.PreviousResponseID, first.ID),
		check(ok && e.Param == "previous_response_id" && (e.StatusCode == 400 || e.StatusCode == 404), "the error is %v", err),
	)
}

func (p *player) responsesJSON(ctx context.Context) error {
	format := responses.ResponseFormatTextConfigParamOfJSONSchema("report", reportSchema)
	format.OfJSONSchema.Strict = openai.Bool(true)
	r, err := p.respond(ctx, func(a *responses.ResponseNewParams) { a.Text = responses.ResponseTextConfigParam{Format: format} })
	if err != nil {
		return err
	}
	return checkReport(r.OutputText())
}

func (p *player) responsesLength(ctx context.Context) error {
	short := func(a *responses.ResponseNewParams) {
		a.MaxOutputTokens, a.Reasoning = openai.Int(16), shared.ReasoningParam{Effort: shared.ReasoningEffortHigh}
	}
	r, err := p.respond(ctx, short)
	if err != nil {
		return err
	}
	_, names, err := p.follow(ctx, short)
	if err != nil {
		return err
	}
	return errors.Join(
		same("status", r.Status, "incomplete"), same("reason", r.IncompleteDetails.Reason, "max_output_tokens"),
		same("the last event", names[len(names)-1], "response.incomplete"),
	)
}
