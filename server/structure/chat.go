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
		return nil, openai.Invalid(openai.CodeInvalidSchema, r.Format.Param, "Invalid value for '%s': %s.", r.Format.Param, format)
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
	return openai.Invalid(openai.CodeUnsupported, param, "Unsupported parameter: '%s' is not available with this model, whose answers cannot be held to a form.", param)
}

// demands translates a request; tools are the places of its tools among those of r.
func demands(r *openai.ChatRequest, toModel func(string) string) (wanted Request, tools []int) {
	if f := r.Format; f != nil {
		wanted.Format = &Format{Schema: f.Schema, Pattern: f.Pattern, Choices: f.Choices}
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
