package openapi

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/responses"
)

// object is a part of the document.
type object = map[string]any

// schemas collects the schemas of Go types under components.
type schemas struct{ all object }

// special are types whose JSON is not what their fields say.
var special = map[reflect.Type]object{
	reflect.TypeFor[json.RawMessage]():     {},
	reflect.TypeFor[openai.ChunkUsage]():   {"oneOf": []any{ref("openai.Usage"), object{"type": "null"}}},
	reflect.TypeFor[responses.Item]():      ref("responses.Item"),
	reflect.TypeFor[responses.Part]():      ref("responses.Part"),
	reflect.TypeFor[responses.Status]():    {"type": "string", "enum": []any{"queued", "in_progress", "completed", "incomplete", "failed", "cancelled"}},
	reflect.TypeFor[openai.FinishReason](): {"type": "string", "enum": []any{"stop", "length", "tool_calls", "function_call"}},
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

// of gives the schema of a type: a reference for structs, which are written to components.
func (s *schemas) of(t reflect.Type) object {
	if known, ok := special[t]; ok {
		return known
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint64, reflect.Uint32:
		return object{"type": "integer"}
	case reflect.Float64, reflect.Float32:
		return object{"type": "number"}
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Pointer:
		return object{"oneOf": []any{s.of(t.Elem()), object{"type": "null"}}}
	case reflect.Struct:
		return s.structure(t)
	}
	return object{}
}

func (s *schemas) structure(t reflect.Type) object {
	if t.NumField() == 0 {
		return object{"type": "object"}
	}
	name := t.String()
	if _, done := s.all[name]; !done {
		s.all[name] = nil // ends recursion
		properties := object{}
		var required []any
		s.fields(t, properties, &required)
		s.all[name] = object{"type": "object", "properties": properties, "required": required}
	}
	return ref(name)
}

func (s *schemas) fields(t reflect.Type, properties object, required *[]any) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "":
			s.fields(f.Type, properties, required)
		default:
			optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
			kind := f.Type
			if optional && kind.Kind() == reflect.Pointer {
				kind = kind.Elem() // absent, not null
			}
			properties[name] = s.of(kind)
			if !optional {
				*required = append(*required, name)
			}
		}
	}
}

// items adds what package responses writes by itself.
func (s *schemas) items() {
	text := object{"type": "string"}
	list := func(of string) object { return object{"type": "array", "items": ref(of)} }
	status := object{"type": "string", "enum": []any{"in_progress", "completed", "incomplete"}}
	one := func(kind string, properties object, required ...any) object {
		properties["type"] = object{"const": kind}
		return object{"type": "object", "properties": properties, "required": append(required, "type")}
	}
	s.of(reflect.TypeFor[responses.Logprob]())
	s.all["responses.Part"] = object{"oneOf": []any{
		one("input_text", object{"text": text}, "text"),
		one("output_text", object{"text": text, "annotations": object{"type": "array"}, "logprobs": list("responses.Logprob")}, "text"),
		one("refusal", object{"refusal": text}, "refusal"),
		one("reasoning_text", object{"text": text}, "text"),
		one("summary_text", object{"text": text}, "text"),
	}}
	s.all["responses.Item"] = object{"oneOf": []any{
		one("message", object{"id": text, "status": status, "role": object{"enum": []any{"user", "assistant", "system", "developer"}}, "content": list("responses.Part")}, "role", "content"),
		one("reasoning", object{"id": text, "status": status, "summary": list("responses.Part"), "content": list("responses.Part"), "encrypted_content": text}, "summary"),
		one("function_call", object{"id": text, "status": status, "call_id": text, "name": text, "arguments": text}, "call_id", "name", "arguments"),
		one("function_call_output", object{"id": text, "status": status, "call_id": text, "output": text}, "call_id", "output"),
	}}
}
