package responses

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// Bounds of a create request. Those of metadata are OpenAI's; items bounds the work of laying a conversation out.
const (
	maxItems          = 4096
	maxMetadata       = 16
	maxMetadataKey    = 64
	maxMetadataValue  = 512
	maxTopLogprobs    = 20
	maxIdentifierText = 512 // of user, safety_identifier and prompt_cache_key, which are repeated in the response
)

// request is a create request, read as far as it can be without the conversation before it.
type request struct {
	object     openai.Object
	response   Response // the fields that repeat the request
	input      []Item
	paths      []string // where each item of input lies in the request
	stream     bool
	obfuscate  bool
	logprobs   bool
	encrypted  bool
	truncate   bool
	toolChoice json.RawMessage // in chat's shape, nil where absent
	tools      []chatTool
	names      []renaming // how the last translation named the parameters
}

// readRequest reads and checks what is this API's own. Everything that chat requests have too is checked when the request
// is translated.
func readRequest(body []byte) (*request, error) {
	o := openai.ReadObject(body)
	q := &request{object: o}
	q.response = Response{
		Object: "response", Output: []Item{}, Metadata: map[string]string{}, ServiceTier: "default", Tools: []Tool{},
		ParallelToolCalls: o.Bool("parallel_tool_calls", true),
		MaxOutputTokens:   o.Integer("max_output_tokens", 1, math.MaxInt32),
		MaxToolCalls:      o.Integer("max_tool_calls", 1, math.MaxInt32),
		Instructions:      optional(o, "instructions", math.MaxInt),
		PromptCacheKey:    optional(o, "prompt_cache_key", maxIdentifierText),
		SafetyIdentifier:  optional(o, "safety_identifier", maxIdentifierText),
		User:              optional(o, "user", maxIdentifierText),
	}
	q.response.PreviousResponseID = optional(o, "previous_response_id", maxIdentifierText)
	q.response.Store = o.Bool("store", true)
	q.response.Background = o.Bool("background", false)
	refuseOthers(o)
	q.readText()
	q.readReasoning()
	q.readStream()
	q.readInclude()
	q.readMetadata()
	q.readTruncation()
	q.readTools()
	q.readToolChoice()
	q.readInput()
	if q.response.Background && !q.response.Store {
		o.Fail(openai.CodeInvalidValue, "background", "Invalid value for 'background': a background response must be stored, so store must not be false.")
	}
	return q, o.Err()
}

// optional reads a text that may be absent.
func optional(o openai.Object, name string, longest int) *string {
	if _, ok := o.Raw(name); !ok {
		return nil
	}
	text := o.Text(name)
	if len(text) > longest {
		o.Fail(openai.CodeInvalidValue, name, "Invalid value for '%s': must be at most %d bytes long.", name, longest)
	}
	return &text
}

// moved are parameters of chat requests that this API has under other names.
var moved = map[string]string{
	"messages": "input", "response_format": "text.format", "max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens",
	"reasoning_effort": "reasoning.effort", "verbosity": "text.verbosity", "functions": "tools", "function_call": "tool_choice",
	"logprobs": "include",
}

// refused are parameters that would change the answer and are not served, with what to do instead.
var refused = map[string]string{
	"conversation":       "there are no conversation objects; use previous_response_id",
	"prompt":             "there are no stored prompts; use instructions and input",
	"context_management": "the conversation is not compacted; use truncation",
	"access_programs":    "there are none",
	"n":                  "a response is one answer",
}

// refuseOthers refuses parameters of other APIs and those that are not served.
func refuseOthers(o openai.Object) {
	for _, name := range o.Names() {
		raw, ok := o.Raw(name)
		if !ok || string(raw) == "[]" || name == "n" && string(raw) == "1" {
			continue
		}
		if to, ok := moved[name]; ok {
			o.Fail(openai.CodeUnsupported, name, "Unsupported parameter: '%s'. In the Responses API it is '%s'.", name, to)
		}
		if hint, ok := refused[name]; ok {
			o.Fail(openai.CodeUnsupported, name, "Unsupported parameter: '%s' is not supported: %s.", name, hint)
		}
	}
}

func (q *request) readText() {
	q.response.Text = TextConfig{Format: json.RawMessage(`{"type":"text"}`), Verbosity: "medium"}
	text, ok := q.object.Object("text")
	if !ok {
		return
	}
	if v := text.Text("verbosity"); v != "" {
		oneOf(text, "verbosity", v, "low", "medium", "high")
		q.response.Text.Verbosity = v
	}
	if format, ok := text.Object("format"); ok {
		oneOf(format, "type", format.RequireText("type"), "text", "json_object", "json_schema")
		q.response.Text.Format, _ = text.Raw("format")
	}
}

// oneOf checks a value against those that are allowed.
func oneOf(o openai.Object, name, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		o.Fail(openai.CodeInvalidValue, o.At(name), "Invalid value for '%s': must be %s or %s.",
			o.At(name), strings.Join(allowed[:len(allowed)-1], ", "), allowed[len(allowed)-1])
	}
}

// readReasoning checks what chat requests do not have; the effort is theirs too.
func (q *request) readReasoning() {
	reasoning, ok := q.object.Object("reasoning")
	if !ok {
		return
	}
	for _, name := range []string{"summary", "generate_summary"} {
		if v := reasoning.Text(name); v != "" {
			oneOf(reasoning, name, v, "auto", "concise", "detailed")
		}
	}
}

func (q *request) readStream() {
	q.stream = q.object.Bool("stream", false)
	options, ok := q.object.Object("stream_options")
	if !ok {
		return
	}
	if !q.stream {
		q.object.Fail(openai.CodeInvalidValue, "stream_options", "Invalid value for 'stream_options': it is only allowed when stream is true.")
	}
	q.obfuscate = options.Bool("include_obfuscation", false)
}

// includable are the values of include. All but two name parts of tools that no response can have, which are included
// where they are: nowhere.
var includable = []string{
	"reasoning.encrypted_content", "message.output_text.logprobs", "file_search_call.results", "web_search_call.results",
	"web_search_call.action.sources", "message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs",
}

func (q *request) readInclude() {
	for i, raw := range q.object.List("include", "an array of strings") {
		path := index("include", i)
		switch name := q.object.ItemText(raw, path); {
		case name == includable[0]:
			q.encrypted = true
		case name == includable[1]:
			q.logprobs = true
		case !slices.Contains(includable, name):
			q.object.Fail(openai.CodeInvalidValue, path, "Invalid value for '%s': must be one of %s.", path, strings.Join(includable, ", "))
		}
	}
	if n := q.object.Integer("top_logprobs", 0, maxTopLogprobs); n != nil {
		q.response.TopLogprobs = *n
		q.logprobs = q.logprobs || *n > 0
	}
}

func (q *request) readMetadata() {
	metadata, ok := q.object.Object("metadata")
	if !ok {
		return
	}
	names := metadata.Names()
	if len(names) > maxMetadata {
		q.object.Fail(openai.CodeInvalidValue, "metadata", "Invalid value for 'metadata': at most %d pairs are allowed, not %d.", maxMetadata, len(names))
		return
	}
	for _, name := range names {
		value := metadata.Text(name)
		if utf8.RuneCountInString(name) > maxMetadataKey || utf8.RuneCountInString(value) > maxMetadataValue {
			q.object.Fail(openai.CodeInvalidValue, "metadata", "Invalid value for 'metadata': keys have at most %d characters and values at most %d.",
				maxMetadataKey, maxMetadataValue)
			return
		}
		q.response.Metadata[name] = value
	}
}

func (q *request) readTruncation() {
	q.response.Truncation = "disabled"
	if v := q.object.Text("truncation"); v != "" {
		oneOf(q.object, "truncation", v, "auto", "disabled")
		q.response.Truncation = v
	}
	q.truncate = q.response.Truncation == "auto"
}

// chatTool is a tool in chat's shape.
type chatTool struct {
	Type     string       `json:"type"`
	Function chatFunction `json:"function"`
}

// chatFunction repeats what the client sent, for chat's decoder to check.
type chatFunction struct {
	Name        json.RawMessage `json:"name,omitempty"`
	Description json.RawMessage `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      json.RawMessage `json:"strict,omitempty"`
}

func (q *request) readTools() {
	for i, raw := range q.object.List("tools", "an array of tools") {
		t := q.object.Item(raw, index("tools", i))
		if kind := t.RequireText("type"); kind != "function" {
			t.Fail(openai.CodeUnsupported, t.At("type"), "Unsupported tool %q: this server runs no tools of its own, so only \"function\" is supported.", clip(kind))
		}
		if q.object.Err() != nil {
			return
		}
		f := chatFunction{}
		f.Name, _ = t.Raw("name")
		f.Description, _ = t.Raw("description")
		f.Parameters, _ = t.Raw("parameters")
		f.Strict, _ = t.Raw("strict")
		q.tools = append(q.tools, chatTool{"function", f})
		echo := Tool{Type: "function", Name: t.RequireText("name"), Parameters: f.Parameters, Strict: t.Bool("strict", false)}
		if f.Description != nil {
			text := t.Text("description")
			echo.Description = &text
		}
		q.response.Tools = append(q.response.Tools, echo)
	}
}

// readToolChoice brings an object into chat's shape, which has the name one level deeper.
func (q *request) readToolChoice() {
	raw, ok := q.object.Raw("tool_choice")
	if !ok {
		q.response.ToolChoice = json.RawMessage(`"auto"`)
		return
	}
	q.response.ToolChoice, q.toolChoice = raw, raw
	if raw[0] != '{' {
		return
	}
	choice, _ := q.object.Object("tool_choice")
	switch kind := choice.RequireText("type"); kind {
	case "function":
		name := choice.RequireText("name")
		q.toolChoice = encode(map[string]any{"type": "function", "function": map[string]string{"name": name}})
	case "allowed_tools":
		allowed := []any{}
		for i, raw := range choice.List("tools", "an array of tools") {
			t := choice.Item(raw, index("tool_choice.tools", i))
			oneOf(t, "type", t.RequireText("type"), "function", "function")
			allowed = append(allowed, map[string]any{"type": "function", "function": map[string]string{"name": t.RequireText("name")}})
		}
		q.toolChoice = encode(map[string]any{
			"type": "allowed_tools", "allowed_tools": map[string]any{"mode": choice.RequireText("mode"), "tools": allowed},
		})
	default:
		choice.Fail(openai.CodeUnsupported, "tool_choice.type", "Unsupported tool choice %q: this server runs no tools of its own.", clip(kind))
	}
}
