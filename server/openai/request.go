package openai

import (
	"encoding/json"
	"slices"
	"strings"
)

// ChatRequest is a checked POST /v1/chat/completions. Pointers and empty strings stand for "not given".
type ChatRequest struct {
	Model    string
	Messages []Message
	Sampling
	// Logprobs asks for the log probabilities of the content's tokens, TopLogprobs for those of so many alternatives.
	Logprobs    bool
	TopLogprobs int

	Streaming

	// The four spellings of the reasoning level in their order of precedence; each is low, medium, high or empty.
	ReasoningLevel          string // reasoning_level
	ReasoningEffort         string // reasoning_effort
	ReasoningObjectEffort   string // reasoning.effort
	ReasoningTemplateEffort string // chat_template_kwargs.reasoning_effort
	// ModelIdentity is chat_template_kwargs.model_identity: what the model is told of itself, empty for its own.
	ModelIdentity string
	// IncludeReasoning is false where the client does not want to see the reasoning.
	IncludeReasoning bool

	Tools      []Tool
	ToolChoice ToolChoice
	// AllowedTools are the only tools that may be called, where tool_choice names some; nil for all.
	AllowedTools []string
	// Format is what the answer's content must look like; nil for text.
	Format *Format
	// SingleToolCall is true where parallel_tool_calls is false.
	SingleToolCall bool
	// LegacyFunctions is true where the tools came as functions, and the answer is to call one in that way.
	LegacyFunctions bool

	// CacheSalt keeps the prompt's memory apart from that of prompts with another salt; empty for none.
	CacheSalt string
	// ServiceTier is given back as "default" where it is asked for.
	ServiceTier bool
	// Ignored names the parameters that were given and have no effect.
	Ignored []string
}

// Streaming says in which way the answer is sent.
type Streaming struct {
	Stream bool
	// IncludeUsage asks for a last event with the usage, ContinuousUsage for the usage so far in every event.
	IncludeUsage, ContinuousUsage bool
}

// ToolChoice says whether the model may call tools.
type ToolChoice string

// The tool choices that are served.
const (
	ToolChoiceAuto     ToolChoice = "auto"
	ToolChoiceNone     ToolChoice = "none"
	ToolChoiceRequired ToolChoice = "required" // also where a function is named
)

// DecodeChatRequest reads and checks a request body. The error is an *Error with status 400.
func DecodeChatRequest(body []byte) (ChatRequest, error) {
	d := &decoder{}
	r := d.document(body).chat()
	if d.err != nil {
		return ChatRequest{}, d.err
	}
	return r, nil
}

// chat reads the request's fields.
func (o object) chat() ChatRequest {
	r := ChatRequest{Model: o.requireString("model")}
	r.Messages = decodeMessages(o)
	r.Sampling = decodeSampling(o)
	decodeLogprobs(o, &r)
	r.Streaming = decodeStreaming(o)
	decodeReasoning(o, &r)
	r.Tools = decodeTools(o)
	r.ToolChoice, r.AllowedTools = decodeToolChoice(o, r.Tools)
	decodeLegacyFunctions(o, &r)
	r.Format = decodeFormat(o)
	r.SingleToolCall = !o.bool("parallel_tool_calls", true)
	r.CacheSalt = decodeSalt(o)
	_, r.ServiceTier = o.get("service_tier")
	r.Ignored = ignored(o, ignoredChatParameters)
	refuseUnsupported(o, unsupportedParameters)
	return r
}

// decodeLogprobs takes top_logprobs 0 without logprobs too: it asks for nothing.
func decodeLogprobs(o object, r *ChatRequest) {
	r.Logprobs = o.bool("logprobs", false)
	n := o.integer("top_logprobs", 0, maxTopLogprobs)
	if n == nil {
		return
	}
	if *n > 0 && !r.Logprobs {
		o.d.fail(CodeInvalidValue, "top_logprobs", "Invalid value for 'top_logprobs': it is only allowed when logprobs is true.")
	}
	r.TopLogprobs = int(*n)
}

func decodeStreaming(o object) Streaming {
	s := Streaming{Stream: o.bool("stream", false)}
	options, ok := o.object("stream_options")
	if !ok {
		return s
	}
	if !s.Stream {
		o.d.fail(CodeInvalidValue, "stream_options", "Invalid value for 'stream_options': it is only allowed when stream is true.")
	}
	s.IncludeUsage = options.bool("include_usage", false)
	s.ContinuousUsage = options.bool("continuous_usage_stats", false)
	return s
}

func decodeReasoning(o object, r *ChatRequest) {
	if level := o.string("reasoning_level"); level != "" {
		if !slices.Contains([]string{"low", "medium", "high"}, level) {
			o.d.fail(CodeInvalidValue, "reasoning_level", "Invalid value for 'reasoning_level': must be low, medium or high.")
		}
		r.ReasoningLevel = level
	}
	r.ReasoningEffort = decodeEffort(o, "reasoning_effort")
	if reasoning, ok := o.object("reasoning"); ok {
		r.ReasoningObjectEffort = decodeEffort(reasoning, "effort")
	}
	if template, ok := o.object("chat_template_kwargs"); ok {
		r.ReasoningTemplateEffort = decodeEffort(template, "reasoning_effort")
		r.ModelIdentity = template.string("model_identity")
	}
	r.IncludeReasoning = o.bool("include_reasoning", true)
}

// decodeSalt has vLLM's bound.
func decodeSalt(o object) string {
	raw, ok := o.get("cache_salt")
	if !ok {
		return ""
	}
	salt := o.d.asString(raw, "cache_salt")
	if salt == "" || len(salt) > 1024 {
		o.d.fail(CodeInvalidValue, "cache_salt", "Invalid value for 'cache_salt': must have 1 to 1024 bytes.")
	}
	return salt
}

// decodeEffort maps OpenAI's scale on the model's three levels; the model cannot stop reasoning, so "none" is low.
func decodeEffort(o object, name string) string {
	switch effort := o.string(name); effort {
	case "", "low", "medium", "high":
		return effort
	case "none", "minimal":
		return "low"
	case "xhigh", "max":
		return "high"
	default:
		o.d.fail(CodeInvalidValue, o.at(name), "Invalid value for '%s': must be none, minimal, low, medium, high, xhigh or max.", o.at(name))
		return ""
	}
}

// Tool is a function that the model may ask the client to call.
type Tool struct {
	Name        string
	Description string
	Parameters  json.RawMessage // a JSON Schema object with its keys in the client's order, or nil
	Strict      bool            // the arguments of calls are held to Parameters
}

const (
	maxTools       = 128 // as OpenAI
	maxNameLength  = 64  // as OpenAI
	maxSchemaDepth = 64  // nesting of a tool's parameters; whoever walks a schema may recurse
)

func decodeTools(o object) []Tool {
	raw, ok := o.get("tools")
	if !ok {
		return nil
	}
	list := o.d.asList(raw, "tools", "an array of tools")
	if len(list) > maxTools {
		o.d.fail(CodeInvalidValue, "tools", "Invalid value for 'tools': at most %d tools are allowed, not %d.", maxTools, len(list))
		return nil
	}
	var tools []Tool
	for i, item := range list {
		t := decodeTool(o.d.asObject(item, index("tools", i)))
		if slices.ContainsFunc(tools, func(other Tool) bool { return other.Name == t.Name }) {
			o.d.fail(CodeInvalidValue, index("tools", i)+".function.name", "Invalid value for 'tools': two functions have the name %q.", t.Name)
		}
		tools = append(tools, t)
	}
	return tools
}

func decodeTool(o object) Tool {
	if kind := o.requireString("type"); kind != "function" {
		o.d.fail(CodeInvalidValue, o.at("type"), "Invalid value for '%s': only \"function\" is supported.", o.at("type"))
	}
	if _, ok := o.require("function"); !ok {
		return Tool{}
	}
	f, _ := o.object("function")
	t := Tool{Name: f.requireString("name"), Description: f.string("description")}
	checkFunctionName(f, t.Name)
	t.Strict = f.bool("strict", false)
	if raw, ok := f.get("parameters"); ok {
		f.d.asObject(raw, f.at("parameters"))
		if depth(raw) > maxSchemaDepth {
			f.d.fail(CodeInvalidValue, f.at("parameters"), "Invalid value for '%s': nested more than %d deep.", f.at("parameters"), maxSchemaDepth)
		}
		t.Parameters = raw
	}
	return t
}

// checkFunctionName allows OpenAI's letters and the dot, which clients use for namespaces.
func checkFunctionName(o object, name string) {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.'
	}
	if len(name) > maxNameLength || strings.ContainsFunc(name, odd) {
		o.d.fail(CodeInvalidValue, o.at("name"),
			"Invalid value for '%s': must be 1 to %d letters, digits, underscores, hyphens or dots.", o.at("name"), maxNameLength)
	}
}

// decodeLegacyFunctions reads functions and function_call, which tools and tool_choice have replaced.
func decodeLegacyFunctions(o object, r *ChatRequest) {
	if raw, ok := o.get("functions"); ok {
		list := o.d.asList(raw, "functions", "an array of functions")
		if len(list) > 0 && len(r.Tools) > 0 {
			refuse(o, "functions", "tools are given too; leave it out")
		}
		r.LegacyFunctions = len(list) > 0
		tools := make([]json.RawMessage, 0, len(list))
		for _, f := range list {
			tools = append(tools, slices.Concat(json.RawMessage(`{"type":"function","function":`), f, json.RawMessage("}")))
		}
		if r.LegacyFunctions {
			as, _ := json.Marshal(tools) // of valid JSON
			r.Tools = decodeTools(object{d: o.d, fields: map[string]json.RawMessage{"tools": as}})
		}
	}
	raw, ok := o.get("function_call")
	switch {
	case !ok || string(raw) == `"auto"`:
	case string(raw) == `"none"`:
		r.ToolChoice = ToolChoiceNone
	case raw[0] == '{':
		f, _ := o.object("function_call")
		name := f.requireString("name")
		if !slices.ContainsFunc(r.Tools, func(t Tool) bool { return t.Name == name }) {
			o.d.fail(CodeInvalidValue, "function_call", "Invalid value for 'function_call': there is no function %.64q in functions.", name)
		}
		r.ToolChoice, r.AllowedTools = ToolChoiceRequired, []string{name}
	default:
		refuse(o, "function_call", "use tools and tool_choice")
	}
}

// depth is how deep the brackets of valid JSON nest.
func depth(raw json.RawMessage) int {
	level, deepest, quoted := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}
