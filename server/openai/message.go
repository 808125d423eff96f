package openai

import (
	"encoding/json"
	"strings"
)

// Role is who speaks.
type Role string

// The roles of a message.
const (
	RoleSystem    Role = "system"
	RoleDeveloper Role = "developer"
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"
)

// roleFunction is how tools answered before there were ids of calls; it becomes RoleTool.
const roleFunction Role = "function"

// Message is one message of a request. Text parts are joined; an absent content is "".
type Message struct {
	Role       Role
	Name       string
	Content    string
	Reasoning  string     // assistant: replayed from reasoning, reasoning_content, thinking, or parts of these types
	ToolCalls  []ToolCall // assistant
	ToolCallID string     // tool
}

func decodeMessages(o object) []Message {
	raw, ok := o.require("messages")
	if !ok {
		return nil
	}
	list := o.d.asList(raw, "messages", "an array of messages")
	if len(list) == 0 {
		o.d.fail(CodeInvalidValue, "messages", "Invalid value for 'messages': must have at least one message.")
	}
	messages := make([]Message, 0, min(len(list), 1024))
	calls := map[string]bool{} // ids that a tool message may answer
	for i, item := range list {
		m := decodeMessage(o.d.asObject(item, index("messages", i)))
		if o.d.err != nil {
			return nil
		}
		for _, c := range m.ToolCalls {
			calls[c.ID] = true
		}
		if m.Role == RoleTool && !calls[m.ToolCallID] {
			param := index("messages", i) + ".tool_call_id"
			if strings.HasPrefix(m.ToolCallID, functionCallID("")) {
				param = index("messages", i) + ".name"
			}
			o.d.fail(CodeInvalidValue, param, "Invalid value for '%s': no assistant message before it made the call %q.", param, m.ToolCallID[:min(len(m.ToolCallID), 64)])
		}
		messages = append(messages, m)
	}
	return messages
}

// functionCallID is the id of a call that was made without one: its function's name, which no id of ours looks like.
func functionCallID(name string) string { return "function:" + name }

func decodeMessage(o object) Message {
	m := Message{Role: Role(o.requireString("role")), Name: o.string("name")}
	checkRole(o, m.Role)
	decodeContent(o, &m)
	switch m.Role {
	case RoleAssistant:
		if replayed := decodeReplayedReasoning(o); replayed != "" {
			m.Reasoning = replayed
		}
		m.ToolCalls = decodeToolCalls(o)
		if _, ok := o.get("function_call"); ok {
			call, _ := o.object("function_call")
			m.ToolCalls = append(m.ToolCalls, decodeFunctionCall(call))
		}
		if _, ok := o.get("audio"); ok {
			refuse(o, "audio", "the model reads text only")
		}
	case RoleTool:
		m.ToolCallID = o.requireString("tool_call_id")
	case roleFunction:
		m.Role, m.ToolCallID, m.Name = RoleTool, functionCallID(o.requireString("name")), ""
	}
	return m
}

func checkRole(o object, role Role) {
	switch role {
	case RoleSystem, RoleDeveloper, RoleUser, RoleAssistant, RoleTool, roleFunction:
	default:
		o.d.fail(CodeInvalidValue, o.at("role"),
			"Invalid value for '%s': must be system, developer, user, assistant or tool, not %q.", o.at("role"), string(role[:min(len(role), 64)]))
	}
}

// decodeContent reads a string or an array of parts. An assistant may have none beside its calls or reasoning, and a
// tool that returned nothing may say null; everybody else must say something, if only "".
func decodeContent(o object, m *Message) {
	raw, ok := o.get("content")
	if !ok {
		_, given := o.fields["content"]
		if m.Role == RoleAssistant || ((m.Role == RoleTool || m.Role == roleFunction) && given) {
			return
		}
		if given {
			o.d.fail(CodeInvalidType, o.at("content"), "Invalid type for '%s': expected a string or an array of text parts, but got null.", o.at("content"))
		}
		o.require("content")
		return
	}
	if raw[0] == '"' {
		m.Content = o.d.asString(raw, o.at("content"))
		return
	}
	var text, reasoning strings.Builder
	for i, item := range o.d.asList(raw, o.at("content"), "a string or an array of text parts") {
		decodePart(o.d.asObject(item, index(o.at("content"), i)), m.Role, &text, &reasoning)
	}
	m.Content, m.Reasoning = text.String(), reasoning.String()
}

// decodePart reads a part of text, or of the reasoning that an assistant's message repeats.
func decodePart(o object, role Role, text, reasoning *strings.Builder) {
	switch kind := o.requireString("type"); {
	case kind == "text":
		text.WriteString(partText(o, "text"))
	case kind == "refusal" && role == RoleAssistant:
		text.WriteString(partText(o, "refusal"))
	case kind == "thinking" && role == RoleAssistant:
		reasoning.WriteString(partText(o, "thinking"))
	case (kind == "reasoning" || kind == "reasoning_text") && role == RoleAssistant:
		reasoning.WriteString(partText(o, "text"))
	default:
		o.d.fail(CodeUnsupported, o.at("type"), "Unsupported content part '%s': the model reads text only, so its type must be \"text\".", o.path)
	}
}

// partText reads a text, or the list of text parts that some clients write in its place.
func partText(o object, name string) string {
	raw, ok := o.require(name)
	if !ok {
		return ""
	}
	if raw[0] != '[' {
		return o.d.asString(raw, o.at(name))
	}
	var text strings.Builder
	for i, item := range o.d.asList(raw, o.at(name), "a string") {
		part := o.d.asObject(item, index(o.at(name), i))
		text.WriteString(part.string("text"))
	}
	return text.String()
}

func decodeReplayedReasoning(o object) string {
	for _, name := range []string{"reasoning", "reasoning_content", "thinking"} {
		if s := o.string(name); s != "" {
			return s
		}
	}
	return ""
}

func decodeToolCalls(o object) []ToolCall {
	raw, ok := o.get("tool_calls")
	if !ok {
		return nil
	}
	var calls []ToolCall
	for i, item := range o.d.asList(raw, o.at("tool_calls"), "an array of tool calls") {
		calls = append(calls, decodeToolCall(o.d.asObject(item, index(o.at("tool_calls"), i))))
	}
	return calls
}

func decodeToolCall(o object) ToolCall {
	call := ToolCall{ID: o.requireString("id"), Type: "function"}
	if kind := o.string("type"); kind != "" && kind != "function" {
		o.d.fail(CodeInvalidValue, o.at("type"), "Invalid value for '%s': only \"function\" is supported.", o.at("type"))
	}
	if _, ok := o.require("function"); !ok {
		return call
	}
	f, _ := o.object("function")
	call.Function = decodeCalled(f)
	return call
}

// decodeFunctionCall reads a call as it was before there were several in a message.
func decodeFunctionCall(f object) ToolCall {
	called := decodeCalled(f)
	return ToolCall{ID: functionCallID(called.Name), Type: "function", Function: called}
}

func decodeCalled(f object) FunctionCall {
	called := FunctionCall{Name: f.requireString("name")}
	checkFunctionName(f, called.Name)
	if raw, ok := f.get("arguments"); ok {
		called.Arguments = decodeArguments(f, raw)
	}
	return called
}

// decodeArguments takes the string that OpenAI defines, and the object that some clients replay instead.
func decodeArguments(o object, raw json.RawMessage) string {
	if raw[0] == '{' {
		return string(raw)
	}
	return o.d.asString(raw, o.at("arguments"))
}
