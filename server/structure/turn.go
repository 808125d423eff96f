package structure

import (
	"errors"

	"github.com/gptoss/gptoss-operator/engine/grammar"
	"github.com/gptoss/gptoss-operator/engine/grammar/regular"
	"github.com/gptoss/gptoss-operator/engine/grammar/schema"
)

// control are the ids of Harmony's control tokens.
type control struct{ start, end, message, channel, constrain, ret, call int32 }

// turn writes a request as a grammar.
type turn struct {
	control
	b       *grammar.Builder
	schemas *schema.Compiler
	request *Request
}

// compile returns the program of a turn, which begins behind start and "assistant", or of the bare content.
func (k control) compile(r *Request) (*grammar.Program, error) {
	b := grammar.NewBuilder()
	t := turn{control: k, b: b, schemas: schema.New(b), request: r}
	if r.Bare {
		content, err := t.content()
		if err != nil {
			return nil, err
		}
		return b.Build(content)
	}
	outcomes, err := t.outcomes()
	if err != nil {
		return nil, err
	}
	var start grammar.Node
	if r.demanding() {
		// One analysis message: with more of them the reasoning would have no end.
		result := b.Choice(outcomes...)
		start = b.Choice(t.said("analysis", result), result)
	} else {
		start = b.Forward()
		for _, n := range append(outcomes, t.said("analysis", start), t.said("commentary", start)) {
			b.Link(start, n)
		}
	}
	return b.Build(start)
}

// outcomes lists the messages with which the turn may end.
func (t *turn) outcomes() (out []grammar.Node, err error) {
	if t.request.Choice != ChoiceNone {
		for i := range t.request.Tools {
			arguments, err := t.arguments(i)
			if err != nil {
				return nil, err
			}
			out = append(out, t.calls(t.request.Tools[i].Name, arguments))
		}
	}
	if t.request.Choice != ChoiceRequired {
		final, err := t.final()
		if err != nil {
			return nil, err
		}
		out = append(out, final)
	}
	return out, nil
}

// said is a message of free text, and the header up to the next one's channel or recipient.
func (t *turn) said(channel string, next grammar.Node) grammar.Node {
	b := t.b
	next = b.Token(t.end, b.Token(t.start, b.Literal("assistant", next)))
	return b.Token(t.channel, b.Literal(channel, b.Token(t.message, b.Anything(next))))
}

// calls is a call with the recipient before or behind the channel.
func (t *turn) calls(name string, arguments grammar.Node) grammar.Node {
	b := t.b
	typed := t.typed(arguments)
	recipient := " to=functions." + name
	return b.Choice(
		b.Literal(recipient, b.Token(t.channel, b.Literal("commentary", typed))),
		b.Token(t.channel, b.Literal("commentary"+recipient, typed)),
	)
}

// typed puts the content type, in one of the ways in which the model writes it, and the message token before a content.
func (t *turn) typed(content grammar.Node) grammar.Node {
	b := t.b
	message := b.Token(t.message, content)
	constrain := b.Token(t.constrain, b.Literal("json", message))
	return b.Choice(message, constrain, b.Literal(" ", b.Choice(constrain, b.Literal("json", message))))
}

// arguments is what a call's message holds, and its end.
func (t *turn) arguments(i int) (grammar.Node, error) {
	tool := &t.request.Tools[i]
	end := t.b.Token(t.call, grammar.Return)
	raw := tool.Schema
	if raw == nil {
		raw = noArguments
	}
	switch {
	case tool.Strict:
	case t.request.Choice != ChoiceRequired:
		return t.b.Anything(end), nil
	case !supported(raw):
		raw = anyObject
	}
	rule, err := t.schemas.Add(raw)
	if err != nil {
		return 0, &ToolError{i, err}
	}
	return t.b.Call(rule, end), nil
}

// supported reports whether the schema of a function can be held to.
func supported(raw []byte) bool {
	_, err := schema.New(grammar.NewBuilder()).Add(raw)
	return err == nil
}

// final is the final message and the turn's end.
func (t *turn) final() (grammar.Node, error) {
	b := t.b
	content := b.Anything(b.Token(t.ret, grammar.Return))
	if t.request.Format != nil {
		var err error
		if content, err = t.content(); err != nil {
			return 0, err
		}
	}
	if t.request.Format != nil && t.request.Format.Schema != nil {
		content = t.typed(content)
	} else {
		content = b.Token(t.message, content)
	}
	return b.Token(t.channel, b.Literal("final", content)), nil
}

// content is what the format allows, and the turn's end.
func (t *turn) content() (grammar.Node, error) {
	b, f := t.b, t.request.Format
	end := b.Token(t.ret, grammar.Return)
	switch {
	case f.Choices != nil:
		return b.Texts(f.Choices, end), nil
	case f.Schema != nil:
		rule, err := t.schemas.Add(f.Schema)
		if err != nil {
			return 0, &FormatError{err}
		}
		return b.Call(rule, end), nil
	}
	d, err := regular.Whole(f.Pattern)
	if err == nil && d.Empty() {
		err = errors.New("no text matches the pattern")
	}
	if err != nil {
		return 0, &FormatError{err}
	}
	return b.Call(b.Raw(d), end), nil
}
