package responses

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// chatMessage is a message of a chat request.
type chatMessage struct {
	Role       string     `json:"role"`
	Content    string     `json:"content"`
	Reasoning  string     `json:"reasoning,omitempty"`
	ToolCalls  []chatCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

type chatCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// turn is an item of the conversation and where it comes from.
type turn struct {
	Item
	path string
}

// renaming says which parameter of this API a chat request's parameter was made of.
type renaming struct{ from, to string }

// translate writes the request, with the conversation that it goes on with, as a chat request and has that decoded. Errors
// name the parameters of this API.
func (q *request) translate(turns []turn) (*openai.ChatRequest, error) {
	r, err := openai.DecodeChatRequest(encode(q.chat(turns)))
	if err != nil {
		return nil, rename(err, q.names)
	}
	return &r, nil
}

// chat gives the fields of the chat request.
func (q *request) chat(turns []turn) map[string]json.RawMessage {
	chat := map[string]json.RawMessage{}
	for _, name := range q.object.Names() {
		if raw, ok := q.object.Raw(name); ok && !slices.Contains(translated, name) {
			chat[name] = raw // parameters that both APIs have, and extensions of this server's
		}
	}
	q.names = []renaming{{"max_completion_tokens", "max_output_tokens"}, {"response_format.json_schema", "text.format"}, {"response_format", "text.format"}}
	messages := q.messages(turns)
	chat["messages"] = encode(messages)
	if raw, ok := q.object.Raw("max_output_tokens"); ok {
		chat["max_completion_tokens"] = raw
	}
	if reasoning, ok := q.object.Object("reasoning"); ok {
		if effort, ok := reasoning.Raw("effort"); ok {
			chat["reasoning"] = encode(map[string]json.RawMessage{"effort": effort})
		}
	}
	if text, ok := q.object.Object("text"); ok {
		chat["verbosity"] = encode(q.response.Text.Verbosity)
		if format, ok := text.Object("format"); ok {
			chat["response_format"] = chatFormat(format)
		}
	}
	if q.logprobs {
		chat["logprobs"], chat["top_logprobs"] = encode(true), encode(q.response.TopLogprobs)
	}
	if len(q.tools) > 0 {
		chat["tools"] = encode(q.tools)
		for i := range q.tools {
			q.names = append(q.names, renaming{index("tools", i) + ".function", index("tools", i)})
		}
	}
	if q.toolChoice != nil {
		chat["tool_choice"] = q.toolChoice
		q.names = append(q.names, renaming{"tool_choice.function", "tool_choice"}, renaming{"tool_choice.allowed_tools", "tool_choice"})
	}
	return chat
}

// translated are the parameters of this API that a chat request does not get as they are.
var translated = []string{
	"input", "instructions", "previous_response_id", "max_output_tokens", "max_tool_calls", "reasoning", "text", "tools", "tool_choice",
	"include", "top_logprobs", "stream", "stream_options", "store", "background", "truncation", "metadata",
}

// chatFormat moves the fields of a schema one level deeper.
func chatFormat(format openai.Object) json.RawMessage {
	kind := format.Text("type")
	if kind != "json_schema" {
		return encode(map[string]string{"type": kind})
	}
	schema := map[string]json.RawMessage{}
	for _, name := range format.Names() {
		if raw, ok := format.Raw(name); ok && name != "type" {
			schema[name] = raw
		}
	}
	return encode(map[string]any{"type": kind, "json_schema": schema})
}

// messages lays items out as chat messages: an assistant's reasoning, text and calls, where they follow each other in
// this order, are one.
func (q *request) messages(turns []turn) []chatMessage {
	var out []chatMessage
	if q.response.Instructions != nil {
		out = append(out, chatMessage{Role: "developer", Content: *q.response.Instructions})
		q.names = append(q.names, renaming{"messages[0]", "instructions"})
	}
	open := false // whether the last message is an assistant's that may take more
	for _, t := range turns {
		at := func() string { return index("messages", len(out)-1) }
		assistant := t.Type == typeReasoning || t.Type == typeCall || t.Type == typeMessage && t.Role == "assistant"
		if assistant && (!open || !fits(out[len(out)-1], t.Item)) {
			out = append(out, chatMessage{Role: "assistant"})
			q.names = append(q.names, renaming{at(), t.path})
		}
		open = assistant
		switch {
		case t.Type == typeReasoning:
			out[len(out)-1].Reasoning = t.text()
		case t.Type == typeCall:
			m := &out[len(out)-1]
			call := chatCall{ID: t.CallID, Type: "function"}
			call.Function.Name, call.Function.Arguments = t.Name, t.Arguments
			m.ToolCalls = append(m.ToolCalls, call)
			path := index(at()+".tool_calls", len(m.ToolCalls)-1)
			q.names = append(q.names, renaming{path + ".function", t.path}, renaming{path + ".id", t.path + ".call_id"})
		case assistant:
			out[len(out)-1].Content = t.text()
			q.names = append(q.names, renaming{at() + ".content", t.path + ".content"})
		case t.Type == typeResult:
			out = append(out, chatMessage{Role: "tool", Content: t.Output, ToolCallID: t.CallID})
			q.names = append(q.names, renaming{at(), t.path}, renaming{at() + ".tool_call_id", t.path + ".call_id"})
		default:
			out = append(out, chatMessage{Role: t.Role, Content: t.text()})
			q.names = append(q.names, renaming{at(), t.path})
		}
	}
	q.names = append(q.names, renaming{"messages", "input"})
	return out
}

// fits reports whether an item can be added to an assistant's message: reasoning comes before text, text before calls.
func fits(m chatMessage, i Item) bool {
	switch i.Type {
	case typeReasoning:
		return false
	case typeCall:
		return true
	}
	return m.Content == "" && len(m.ToolCalls) == 0
}

// rename has an error speak of this API's parameters.
func rename(err error, names []renaming) error {
	e, ok := errors.AsType[*openai.Error](err)
	if !ok || e == nil || e.Param == nil {
		return err
	}
	from := *e.Param
	slices.SortStableFunc(names, func(a, b renaming) int { return cmp.Compare(len(b.from), len(a.from)) })
	for _, n := range names {
		rest, ok := strings.CutPrefix(from, n.from)
		if !ok || rest != "" && rest[0] != '.' && rest[0] != '[' {
			continue
		}
		to := n.to + rest
		renamed := *e
		renamed.Param = &to
		renamed.Message = strings.ReplaceAll(e.Message, "'"+from+"'", "'"+to+"'")
		if text, ok := strings.CutSuffix(renamed.Message, ": "+from); ok {
			renamed.Message = text + ": " + to
		}
		return &renamed
	}
	return err
}

// sealed begins what this server gives out as encrypted_content. It is encoded only, not encrypted: the reasoning is in
// plain sight beside it, and any server of a fleet, restarted or not, must be able to read it.
const sealed = "gptoss1."

func seal(reasoning string) string {
	return sealed + base64.RawURLEncoding.EncodeToString([]byte(reasoning))
}

func unseal(text string) (string, bool) {
	encoded, ours := strings.CutPrefix(text, sealed)
	data, err := base64.RawURLEncoding.DecodeString(encoded)
	return strings.ToValidUTF8(string(data), "\uFFFD"), ours && err == nil
}
