package harmony

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const constrainPrefix = "<|constrain|>"

// Render returns the prompt for the assistant's next turn: the conversation, then
// start and "assistant".
func (e *Encoding) Render(c Conversation) ([]int32, error) {
	ids, err := e.RenderHistory(c)
	if err != nil {
		return nil, err
	}
	return e.t.Append(append(ids, e.start), string(RoleAssistant)), nil
}

// RenderHistory returns the messages of a conversation and nothing else.
func (e *Encoding) RenderHistory(c Conversation) ([]int32, error) {
	r := renderer{Encoding: e, functions: hasFunctions(c.Messages)}
	dropped := droppedAnalysis(c)
	for i := range c.Messages {
		m := &c.Messages[i]
		if i < dropped && m.Channel == ChannelAnalysis {
			continue
		}
		if err := r.renderMessage(m); err != nil {
			return nil, fmt.Errorf("harmony: message %d: %w", i, err)
		}
	}
	return r.ids, nil
}

// droppedAnalysis returns the index below which analysis is left out.
func droppedAnalysis(c Conversation) int {
	first, last, lastAssistant := -1, -1, -1
	for i, m := range c.Messages {
		if m.Role == RoleAssistant {
			lastAssistant = i
		}
		if m.Channel == ChannelFinal {
			last = i
			if first < 0 {
				first = i
			}
		}
	}
	switch c.Reasoning {
	case DropFinished:
		return last
	case DropFirst:
		if lastAssistant >= 0 && c.Messages[lastAssistant].Channel == ChannelFinal {
			return first
		}
	}
	return 0
}

// hasFunctions reports whether a developer message offers functions.
func hasFunctions(messages []Message) bool {
	for _, m := range messages {
		for _, content := range m.Content {
			d, ok := content.(*Developer)
			if !ok || d == nil {
				continue
			}
			for _, n := range d.Tools {
				if n.Name == functionsNamespace && len(n.Tools) > 0 {
					return true
				}
			}
		}
	}
	return false
}

// renderer collects ids. Every call of text is encoded on its own, as the library
// does: where the pieces are cut is part of the format.
type renderer struct {
	*Encoding
	ids       []int32
	functions bool // the conversation offers functions
}

func (r *renderer) text(s string) { r.ids = r.t.Append(r.ids, s) }

func (r *renderer) token(id int32) { r.ids = append(r.ids, id) }

func (r *renderer) renderMessage(m *Message) error {
	r.token(r.start)
	switch m.Role {
	case RoleTool:
		if m.Name == "" {
			return fmt.Errorf("a tool's message needs the tool's name")
		}
		r.text(m.Name)
	case RoleSystem, RoleDeveloper, RoleUser, RoleAssistant:
		r.text(string(m.Role))
		if m.Name != "" {
			r.text(":" + m.Name)
		}
	default:
		return fmt.Errorf("unknown role %.40q", m.Role)
	}
	if m.Recipient != "" && m.Recipient != "all" {
		r.text(" to=" + m.Recipient)
	}
	if m.Channel != "" {
		r.token(r.channel)
		r.text(m.Channel)
	}
	if rest, ok := strings.CutPrefix(m.ContentType, constrainPrefix); ok {
		r.text(" ")
		r.token(r.constrain)
		r.text(rest)
	} else if m.ContentType != "" {
		r.text(" " + m.ContentType)
	}
	r.token(r.message)
	for _, content := range m.Content {
		text, err := r.contentText(m.Role, content)
		if err != nil {
			return err
		}
		r.text(text)
	}
	if m.Role == RoleAssistant && m.Recipient != "" {
		r.token(r.call)
	} else {
		r.token(r.end)
	}
	return nil
}

func (r *renderer) contentText(role Role, content Content) (string, error) {
	switch c := content.(type) {
	case Text:
		return string(c), nil
	case *System:
		if c == nil || role != RoleSystem {
			return "", fmt.Errorf("system content in a message of role %s", role)
		}
		return c.text(r.functions)
	case *Developer:
		if c == nil || role != RoleDeveloper {
			return "", fmt.Errorf("developer content in a message of role %s", role)
		}
		return c.text()
	}
	return "", fmt.Errorf("content is missing")
}

func (s *System) text(functions bool) (string, error) {
	var sections, top []string
	if s.ModelIdentity != "" {
		top = append(top, s.ModelIdentity)
	}
	if s.KnowledgeCutoff != "" {
		top = append(top, "Knowledge cutoff: "+s.KnowledgeCutoff)
	}
	if s.CurrentDate != "" {
		top = append(top, "Current date: "+s.CurrentDate)
	}
	if len(top) > 0 {
		sections = append(sections, strings.Join(top, "\n"))
	}
	switch s.Effort {
	case "":
	case EffortLow, EffortMedium, EffortHigh:
		sections = append(sections, "Reasoning: "+string(s.Effort))
	default:
		return "", fmt.Errorf("unknown effort %.40q", s.Effort)
	}
	sections, err := appendTools(sections, s.Tools)
	if err != nil {
		return "", err
	}
	if len(s.Channels) > 0 {
		line := "# Valid channels: " + strings.Join(s.Channels, ", ") + "."
		if s.ChannelRequired {
			line += " Channel must be included for every message."
		}
		if functions {
			line += "\nCalls to these tools must go to the commentary channel: 'functions'."
		}
		sections = append(sections, line)
	}
	return strings.Join(sections, "\n\n"), nil
}

func (d *Developer) text() (string, error) {
	var sections []string
	if d.Instructions != "" {
		sections = append(sections, "# Instructions", d.Instructions)
	}
	sections, err := appendTools(sections, d.Tools)
	if err != nil {
		return "", err
	}
	if len(d.ResponseFormats) > 0 {
		sections = append(sections, "# Response Formats")
	}
	for _, f := range d.ResponseFormats {
		var schema bytes.Buffer
		if err := json.Compact(&schema, f.Schema); err != nil {
			return "", fmt.Errorf("schema of response format %.40q: %w", f.Name, err)
		}
		body := schema.String()
		if f.Description != "" {
			body = "// " + f.Description + "\n" + body
		}
		sections = append(sections, "## "+f.Name, body)
	}
	return strings.Join(sections, "\n\n"), nil
}

// appendTools adds a section on tools. Namespaces are ordered by name, and of two
// with the same name the later counts.
func appendTools(sections []string, tools []Namespace) ([]string, error) {
	if len(tools) == 0 {
		return sections, nil
	}
	sections = append(sections, "# Tools")
	ordered := slices.Clone(tools)
	slices.SortStableFunc(ordered, func(a, b Namespace) int { return cmp.Compare(a.Name, b.Name) })
	for i, n := range ordered {
		if i+1 < len(ordered) && ordered[i+1].Name == n.Name {
			continue
		}
		text, err := n.text()
		if err != nil {
			return nil, err
		}
		sections = append(sections, text)
	}
	return sections, nil
}

func (n Namespace) text() (string, error) {
	parts := []string{"## " + n.Name + "\n"}
	for _, line := range lines(n.Description) {
		if len(n.Tools) > 0 {
			line = "// " + line
		}
		parts = append(parts, line)
	}
	if len(n.Tools) == 0 {
		return strings.Join(parts, "\n"), nil
	}
	parts = append(parts, "namespace "+n.Name+" {\n")
	for _, tool := range n.Tools {
		for _, line := range lines(tool.Description) {
			parts = append(parts, "// "+line)
		}
		declaration, err := tool.declaration()
		if err != nil {
			return "", fmt.Errorf("parameters of tool %.40q: %w", tool.Name, err)
		}
		parts = append(parts, declaration+"\n")
	}
	parts = append(parts, "} // namespace "+n.Name)
	return strings.Join(parts, "\n"), nil
}

func (t Tool) declaration() (string, error) {
	if raw := bytes.TrimSpace(t.Parameters); len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return "type " + t.Name + " = () => any;", nil
	}
	schema, err := parseValue(t.Parameters)
	if err != nil {
		return "", err
	}
	return "type " + t.Name + " = (_: " + typeScript(schema, "") + ") => any;", nil
}

// lines splits at line feeds; a carriage return before one and an empty last line
// do not count.
func lines(s string) []string {
	if s == "" {
		return nil
	}
	out := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	for i, line := range out {
		if i < len(out)-1 || strings.HasSuffix(s, "\n") {
			out[i] = strings.TrimSuffix(line, "\r")
		}
	}
	return out
}
