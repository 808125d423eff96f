package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/shared"
)

const (
	weatherQuestion = "What is the weather in Paris?"
	weatherResult   = `{"temperature":18,"condition":"sunny"}`
)

func object(properties map[string]any, required ...string) map[string]any {
	return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

var (
	weatherParameters = object(map[string]any{"location": map[string]any{"type": "string"}}, "location")
	lampParameters    = object(map[string]any{
		"room":  map[string]any{"type": "string", "enum": []string{"kitchen", "hall"}},
		"on":    map[string]any{"type": "boolean"},
		"level": map[string]any{"type": "integer", "minimum": 0, "maximum": 10},
	}, "room", "on", "level")
	// reportSchema has only short instances, so that no model can ramble in it.
	reportSchema = object(map[string]any{
		"city":    map[string]any{"type": "string", "enum": []string{"Paris", "Berlin", "Tokyo"}},
		"size":    map[string]any{"type": "integer", "minimum": 1, "maximum": 99},
		"capital": map[string]any{"type": "boolean"},
		"tags":    map[string]any{"type": "array", "items": map[string]any{"type": "string", "enum": []string{"big", "old", "new"}}, "minItems": 1, "maxItems": 3},
	}, "city", "size", "capital", "tags")
)

// report is an instance of reportSchema.
type report struct {
	City    string   `json:"city"`
	Size    int      `json:"size"`
	Capital *bool    `json:"capital"`
	Tags    []string `json:"tags"`
}

func checkReport(text string) error {
	var r report
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	ok := slices.Contains([]string{"Paris", "Berlin", "Tokyo"}, r.City) && r.Size >= 1 && r.Size <= 99 && r.Capital != nil && len(r.Tags) >= 1 && len(r.Tags) <= 3
	for _, t := range r.Tags {
		ok = ok && slices.Contains([]string{"big", "old", "new"}, t)
	}
	return check(ok, "%s is not what the schema says", text)
}

func checkLamp(arguments string) error {
	var l struct {
		Room  string `json:"room"`
		On    *bool  `json:"on"`
		Level *int   `json:"level"`
	}
	d := json.NewDecoder(strings.NewReader(arguments))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return fmt.Errorf("arguments %q: %w", arguments, err)
	}
	return check((l.Room == "kitchen" || l.Room == "hall") && l.On != nil && l.Level != nil && *l.Level >= 0 && *l.Level <= 10, "arguments %s", arguments)
}

func function(name string, parameters map[string]any, strict bool) openai.ChatCompletionToolUnionParam {
	f := shared.FunctionDefinitionParam{Name: name, Description: openai.String("Get the current weather in a city"), Parameters: parameters}
	if name == "set_lamp" {
		f.Description = openai.String("Switch a lamp")
	}
	if strict {
		f.Strict = openai.Bool(true)
	}
	return openai.ChatCompletionFunctionTool(f)
}

// withTools asks about the weather and offers both functions.
func withTools(a *openai.ChatCompletionNewParams) {
	a.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage(weatherQuestion)}
	a.Tools = []openai.ChatCompletionToolUnionParam{function("get_weather", weatherParameters, false), function("set_lamp", lampParameters, false)}
}

// onlyWeather offers what the question needs.
func onlyWeather(a *openai.ChatCompletionNewParams) {
	withTools(a)
	a.Tools = a.Tools[:1]
}

func forceLamp(a *openai.ChatCompletionNewParams) {
	a.ToolChoice = openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: "set_lamp"})
}

// theCall is the one call of an answer.
func theCall(choice openai.ChatCompletionChoice) (name, arguments string, err error) {
	if len(choice.Message.ToolCalls) != 1 {
		return "", "", fmt.Errorf("%d calls in %s", len(choice.Message.ToolCalls), choice.RawJSON())
	}
	call := choice.Message.ToolCalls[0]
	return call.Function.Name, call.Function.Arguments, check(strings.HasPrefix(call.ID, "call_"), "id of the call %q", call.ID)
}

func checkWeather(choice openai.ChatCompletionChoice) error {
	name, arguments, err := theCall(choice)
	return errors.Join(err, same("name", name, "get_weather"), same("arguments", strings.Join(strings.Fields(arguments), ""), `{"location":"Paris"}`))
}

func (p *player) goOn(ctx context.Context, choice openai.ChatCompletionChoice) error {
	c, err := p.complete(ctx, func(a *openai.ChatCompletionNewParams) {
		onlyWeather(a)
		a.Messages = append(a.Messages, choice.Message.ToParam(), openai.ToolMessage(weatherResult, choice.Message.ToolCalls[0].ID))
	})
	if err != nil {
		return err
	}
	return has("content", c.Choices[0].Message.Content, "18")
}

func (p *player) tools(ctx context.Context) error {
	c, err := p.complete(ctx, onlyWeather)
	if err != nil {
		return err
	}
	if err := errors.Join(checkWeather(c.Choices[0]), same("finish_reason", c.Choices[0].FinishReason, "tool_calls")); err != nil {
		return err
	}
	return p.goOn(ctx, c.Choices[0])
}

func (p *player) toolsStream(ctx context.Context) error {
	all, _, err := p.read(ctx, onlyWeather)
	if err != nil {
		return err
	}
	if err := errors.Join(checkWeather(all.Choices[0]), same("finish_reason", all.Choices[0].FinishReason, "tool_calls")); err != nil {
		return err
	}
	return p.goOn(ctx, all.Choices[0])
}

func (p *player) toolRequired(ctx context.Context) error {
	c, err := p.complete(ctx, func(a *openai.ChatCompletionNewParams) {
		withTools(a)
		a.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello")}
		a.ToolChoice = openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String("required")}
	})
	if err != nil {
		return err
	}
	name, arguments, err := theCall(c.Choices[0])
	if err != nil || name == "set_lamp" {
		return errors.Join(err, checkLamp(arguments))
	}
	return errors.Join(same("name", name, "get_weather"), check(json.Valid([]byte(arguments)), "arguments %q", arguments))
}

func (p *player) toolNamed(ctx context.Context) error {
	given := func(a *openai.ChatCompletionNewParams) { withTools(a); forceLamp(a) }
	c, err := p.complete(ctx, given)
	if err != nil {
		return err
	}
	all, _, err := p.read(ctx, given)
	if err != nil {
		return err
	}
	for _, choice := range []openai.ChatCompletionChoice{c.Choices[0], all.Choices[0]} {
		name, arguments, err := theCall(choice)
		if err := errors.Join(err, same("name", name, "set_lamp"), checkLamp(arguments)); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) toolNone(ctx context.Context) error {
	c, err := p.complete(ctx, func(a *openai.ChatCompletionNewParams) {
		withTools(a)
		a.ToolChoice = openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String("none")}
	})
	if err != nil {
		return err
	}
	return errors.Join(same("calls", len(c.Choices[0].Message.ToolCalls), 0), same("finish_reason", c.Choices[0].FinishReason, "stop"))
}

func (p *player) toolStrict(ctx context.Context) error {
	c, err := p.complete(ctx, func(a *openai.ChatCompletionNewParams) {
		onlyWeather(a)
		a.Tools = []openai.ChatCompletionToolUnionParam{function("get_weather", weatherParameters, true)}
	})
	if err != nil {
		return err
	}
	forced, err := p.complete(ctx, func(a *openai.ChatCompletionNewParams) {
		a.Tools = []openai.ChatCompletionToolUnionParam{function("set_lamp", lampParameters, true)}
		a.Temperature, a.Seed = openai.Float(1), openai.Int(5)
		forceLamp(a)
	})
	if err != nil {
		return err
	}
	_, arguments, err := theCall(forced.Choices[0])
	return errors.Join(checkWeather(c.Choices[0]), err, checkLamp(arguments))
}

func (p *player) jsonObject(ctx context.Context) error {
	c, err := p.complete(ctx, func(a *openai.ChatCompletionNewParams) {
		a.Messages = append([]openai.ChatCompletionMessageParamUnion{openai.SystemMessage("Answer in JSON.")}, a.Messages...)
		a.ResponseFormat = openai.ChatCompletionNewParamsResponseFormatUnion{OfJSONObject: &shared.ResponseFormatJSONObjectParam{}}
		a.MaxCompletionTokens = openai.Int(400)
	})
	if err != nil {
		return err
	}
	choice := c.Choices[0]
	if choice.FinishReason == "length" { // a model that was not made for it may fill an object without end
		return check(strings.HasPrefix(strings.TrimSpace(choice.Message.Content), "{"), "content %q", choice.Message.Content)
	}
	var object map[string]any
	return json.Unmarshal([]byte(choice.Message.Content), &object)
}

func (p *player) jsonSchema(ctx context.Context) error {
	for seed := range int64(3) {
		given := func(a *openai.ChatCompletionNewParams) {
			a.Temperature, a.Seed = openai.Float(1), openai.Int(seed)
			a.ResponseFormat = openai.ChatCompletionNewParamsResponseFormatUnion{OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{
				JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "report", Strict: openai.Bool(true), Schema: reportSchema},
			}}
		}
		c, err := p.complete(ctx, given)
		if err != nil {
			return err
		}
		all, _, err := p.read(ctx, given)
		if err != nil {
			return err
		}
		err = errors.Join(checkReport(c.Choices[0].Message.Content), same("streamed", all.Choices[0].Message.Content, c.Choices[0].Message.Content))
		if err != nil {
			return err
		}
	}
	return nil
}
