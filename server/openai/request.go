package openai

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
)

const (
	// maxTokensLimit keeps arithmetic on token counts far from overflow; the context window limits an answer long before.
	maxTokensLimit = math.MaxInt32
	maxStops       = 4    // as OpenAI
	maxStopLength  = 1000 // bytes; text is held back while it may begin a stop sequence, so they must not be endless
	maxTopLogprobs = 20   // as OpenAI
)

// ChatRequest is a checked POST /v1/chat/completions. Pointers and empty strings stand for "not given".
type ChatRequest struct {
	Model       string
	Messages    []Message
	MaxTokens   *int // max_completion_tokens where both it and max_tokens are given
	Temperature *float64
	TopP        *float64
	Seed        *int64
	Stop        []string
	// Logprobs asks for the log probabilities of the content's tokens, TopLogprobs for those of so many alternatives.
	Logprobs    bool
	TopLogprobs int

	Stream       bool
	IncludeUsage bool

	// The four spellings of the reasoning level in their order of precedence; each is low, medium, high or empty.
	ReasoningLevel          string // reasoning_level
	ReasoningEffort         string // reasoning_effort
	ReasoningObjectEffort   string // reasoning.effort
	ReasoningTemplateEffort string // chat_template_kwargs.reasoning_effort
	// IncludeReasoning is false where the client does not want to see the reasoning.
	IncludeReasoning bool

	Tools      []Tool
	ToolChoice ToolChoice
	// AllowedTools are the only tools that may be called, where tool_choice names some; nil for all.
	AllowedTools []string
	// Format is what the answer's content must look like; nil for text.
	Format *Format
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
	o := d.document(body)
	r := ChatRequest{Model: o.requireString("model")}
	r.Messages = decodeMessages(o)
	decodeSampling(o, &r)
	decodeStreaming(o, &r)
	decodeReasoning(o, &r)
	r.Tools = decodeTools(o)
	r.ToolChoice, r.AllowedTools = decodeToolChoice(o, r.Tools)
	r.Format = decodeFormat(o)
	refuseUnsupported(o)
	if d.err != nil {
		return ChatRequest{}, d.err
	}
	return r, nil
}

func decodeSampling(o object, r *ChatRequest) {
	for _, name := range []string{"max_tokens", "max_completion_tokens"} {
		if n := o.integer(name, 1, maxTokensLimit); n != nil {
			tokens := int(*n)
			r.MaxTokens = &tokens
		}
	}
	r.Temperature = o.number("temperature", 0, 2)
	r.TopP = o.number("top_p", 0, 1)
	r.Seed = o.integer("seed", math.MinInt64, math.MaxInt64)
	r.Stop = decodeStop(o)
	decodeLogprobs(o, r)
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

func decodeStop(o object) []string {
	raw, ok := o.get("stop")
	if !ok {
		return nil
	}
	var stops []string
	if raw[0] == '"' {
		stops = []string{o.d.asString(raw, "stop")}
	} else {
		for i, item := range o.d.asList(raw, "stop", "a string or an array of strings") {
			stops = append(stops, o.d.asString(item, index("stop", i)))
		}
	}
	if len(stops) > maxStops {
		o.d.fail(CodeInvalidValue, "stop", "Invalid value for 'stop': at most %d sequences are allowed, not %d.", maxStops, len(stops))
	}
	for _, s := range stops {
		if s == "" || len(s) > maxStopLength {
			o.d.fail(CodeInvalidValue, "stop", "Invalid value for 'stop': a sequence must have 1 to %d bytes.", maxStopLength)
		}
	}
	return stops
}

func decodeStreaming(o object, r *ChatRequest) {
	r.Stream = o.bool("stream", false)
	options, ok := o.object("stream_options")
	if !ok {
		return
	}
	if !r.Stream {
		o.d.fail(CodeInvalidValue, "stream_options", "Invalid value for 'stream_options': it is only allowed when stream is true.")
	}
	r.IncludeUsage = options.bool("include_usage", false)
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
	}
	r.IncludeReasoning = o.bool("include_reasoning", true)
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
