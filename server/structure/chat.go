package structure

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gptoss/gptoss-operator/engine/grammar"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// Chat returns the plan of a chat request, or nil where nothing is asked for. toModel gives a function's name as the model
// knows it. The grammar is made here, in the request's own time. An error that is the request's fault is an [*openai.Error],
// others are that of ctx or the server's own. A nil compiler refuses what it would have to ignore.
func (c *Compiler) Chat(ctx context.Context, r *openai.ChatRequest, toModel func(string) string) (*Plan, error) {
	wanted, tools := demands(r, toModel)
	if c == nil {
		return nil, noForm(r)
	}
	p, err := c.Plan(ctx, wanted)
	if format, ok := errors.AsType[*FormatError](err); ok {
		return nil, badFormat(r.Format, format)
	}
	if tool, ok := errors.AsType[*ToolError](err); ok {
		i := tools[tool.Tool]
		return nil, openai.Invalid(openai.CodeInvalidParameters, fmt.Sprintf("tools[%d].function.parameters", i), "Invalid schema for function %q: %s.", r.Tools[i].Name, tool)
	}
	if errors.Is(err, grammar.ErrTooLarge) {
		return nil, openai.Invalid(openai.CodeInvalidSchema, "tools", "Invalid value for 'tools': all schemas together take too many states.")
	}
	return p, err
}

// Text returns the plan of an answer to a raw prompt that is to have a format, or nil where f is nil. Its errors are those
// of Chat.
func (c *Compiler) Text(ctx context.Context, f *openai.Format) (*Plan, error) {
	if f == nil {
		return nil, nil
	}
	if c == nil {
		return nil, unavailable(f.Param)
	}
	p, err := c.Plan(ctx, Request{Format: newFormat(f), Bare: true})
	if format, ok := errors.AsType[*FormatError](err); ok {
		return nil, badFormat(f, format)
	}
	if errors.Is(err, grammar.ErrTooLarge) {
		return nil, badFormat(f, errors.New("it takes too many states"))
	}
	return p, err
}

func newFormat(f *openai.Format) *Format {
	return &Format{Schema: f.Schema, Pattern: f.Pattern, Choices: f.Choices}
}

func badFormat(f *openai.Format, err error) error {
	return openai.Invalid(openai.CodeInvalidSchema, f.Param, "Invalid value for '%s': %s.", f.Param, err)
}

// noForm refuses what would have to be ignored where no form can be held to.
func noForm(r *openai.ChatRequest) error {
	var param string
	switch {
	case r.Format != nil:
		param = r.Format.Param
	case r.ToolChoice == openai.ToolChoiceRequired || r.AllowedTools != nil:
		param = "tool_choice"
	case slices.ContainsFunc(r.Tools, func(t openai.Tool) bool { return t.Strict }):
		param = "tools"
	default:
		return nil
	}
	return unavailable(param)
}

func unavailable(param string) error {
	return openai.Invalid(openai.CodeUnsupported, param, "Unsupported parameter: '%s' is not available with this model, whose answers cannot be held to a form.", param)
}

// demands translates a request; tools are the places of its tools among those of r.
func demands(r *openai.ChatRequest, toModel func(string) string) (wanted Request, tools []int) {
	if f := r.Format; f != nil {
		wanted.Format = newFormat(f)
	}
	if len(r.Tools) == 0 {
		return wanted, nil
	}
	switch r.ToolChoice {
	case openai.ToolChoiceNone:
		wanted.Choice = ChoiceNone
		return wanted, nil
	case openai.ToolChoiceRequired:
		wanted.Choice = ChoiceRequired
	}
	for i, t := range r.Tools {
		if r.AllowedTools == nil || slices.Contains(r.AllowedTools, t.Name) {
			wanted.Tools = append(wanted.Tools, Tool{Name: toModel(t.Name), Schema: t.Parameters, Strict: t.Strict})
			tools = append(tools, i)
		}
	}
	wanted.Closed = len(tools) < len(r.Tools)
	return wanted, tools
}
