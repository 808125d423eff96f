package prompt

import (
	"fmt"
	"strings"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// Names maps the names of functions to TypeScript identifiers and back: "web-search" is web_search for the model.
type Names struct {
	model  map[string]string // client's name → model's
	client map[string]string // model's name → client's
}

// NewNames maps the functions of a request.
func NewNames(r *openai.ChatRequest) *Names {
	n := &Names{model: map[string]string{}, client: map[string]string{}}
	var odd []string
	for _, name := range functionsIn(r) {
		if identifier(name) == name { // these keep their name, whoever comes first
			n.model[name], n.client[name] = name, name
		} else {
			odd = append(odd, name)
		}
	}
	for _, name := range odd {
		if _, known := n.model[name]; known {
			continue
		}
		unique := identifier(name)
		for i := 2; n.client[unique] != ""; i++ {
			unique = fmt.Sprintf("%s_%d", identifier(name), i)
		}
		n.model[name], n.client[unique] = unique, name
	}
	return n
}

// functionsIn lists the functions that a request declares and those that its history calls.
func functionsIn(r *openai.ChatRequest) []string {
	var names []string
	for _, t := range r.Tools {
		names = append(names, t.Name)
	}
	for _, m := range r.Messages {
		for _, c := range m.ToolCalls {
			names = append(names, c.Function.Name)
		}
	}
	return names
}

// Offered lists the functions that the model may call, by both names: it has been seen to use the one it was not shown.
func (n *Names) Offered(r *openai.ChatRequest) []string {
	if r.ToolChoice == openai.ToolChoiceNone {
		return nil
	}
	var names []string
	for _, t := range r.Tools {
		names = append(names, n.ToModel(t.Name), t.Name)
	}
	return names
}

// ToModel gives the name by which the model knows one of the request's functions.
func (n *Names) ToModel(name string) string { return n.model[name] }

// ToClient gives the client's name back; a name that nobody declared is the model's invention and passes as it is.
func (n *Names) ToClient(name string) string {
	if original, ok := n.client[name]; ok {
		return original
	}
	return name
}

// identifier makes a TypeScript identifier: separators become underscores, anything else that is not allowed is dropped.
func identifier(name string) string {
	var b strings.Builder
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_', r >= '0' && r <= '9' && b.Len() > 0:
			b.WriteRune(r)
		case r >= '0' && r <= '9':
			b.WriteRune('_')
			b.WriteRune(r)
		case r == ' ', r == '-', r == '.':
			b.WriteByte('_')
		}
	}
	return b.String()
}
