package openapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/tgi"
)

var update = flag.Bool("update", false, "write openapi.json anew")

func TestDocumentIsCurrent(t *testing.T) {
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(generate()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", want.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), string(document)); diff != "" {
		t.Errorf("run go test ./server/openapi -update (-want,+got):\n%s", diff)
	}
}

// TestDocumentIsValid has it checked against the schema of OpenAPI 3.1, and its references followed.
func TestDocumentIsValid(t *testing.T) {
	d, err := libopenapi.NewDocument(Document("1.2.3"))
	if err != nil {
		t.Fatal(err)
	}
	model, err := d.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	if model.Model.Version != "3.1.0" || model.Model.Info.Version != "1.2.3" {
		t.Errorf("version %s of %s", model.Model.Version, model.Model.Info.Version)
	}
	v, errs := validator.NewValidator(d)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		for _, p := range problems {
			t.Errorf("%s: %s", p.Message, p.Reason)
		}
	}
}

// TestChatParameters holds the description of chat requests against the decoder, both ways.
func TestChatParameters(t *testing.T) {
	known := openai.ChatParameters()
	for _, p := range chatParameters {
		if _, ok := known[p.name]; !ok {
			t.Errorf("%s is described, but the decoder does not read it", p.name)
		}
		body := object{"model": "m", "messages": []any{object{"role": "user", "content": "hi"}}, "logprobs": true}
		body[p.name] = p.example
		if _, err := openai.DecodeChatRequest(encode(body)); err != nil {
			t.Errorf("%s is described, but not taken: %v", p.name, err)
		}
	}
	properties := generate()["components"].(object)["schemas"].(object)["ChatRequest"].(object)["properties"].(object)
	for name, hint := range known {
		if _, ok := properties[name]; !ok {
			t.Errorf("%s is read by the decoder (%q), but not described", name, hint)
		}
		described := slices.ContainsFunc(chatParameters, func(p parameter) bool { return p.name == name })
		if hint == "" && !described {
			t.Errorf("%s works, but is not in the table", name)
		}
	}
}

// generate makes the document.
func generate() object {
	s := &schemas{all: object{}}
	paths := object{}
	for _, o := range operations {
		if paths[o.path] == nil {
			paths[o.path] = object{}
		}
		paths[o.path].(object)[o.method] = s.operation(o)
	}
	s.items()
	s.requests()
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "gptoss-server", "version": "0", "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "OpenAI's API for gpt-oss models. Unknown parameters are allowed; those that would change the answer and are not served are refused by name.",
		},
		"servers":    []any{object{"url": "/"}},
		"security":   []any{object{"key": []any{}}},
		"paths":      paths,
		"components": object{"schemas": s.all, "securitySchemes": object{"key": object{"type": "http", "scheme": "bearer"}}},
	}
}

func (s *schemas) operation(o operation) object {
	content := object{}
	if o.answer != nil {
		content["application/json"] = object{"schema": s.of(o.answer)}
	}
	if o.events != nil {
		content["text/event-stream"] = object{"schema": s.of(o.events)}
	}
	if len(content) == 0 {
		content["text/plain"] = object{"schema": object{"type": "string"}}
	}
	failure := typeOf[openai.ErrorBody]()
	if o.tgi {
		failure = typeOf[tgi.Error]()
	}
	out := object{
		"operationId": operationID(o), "tags": []any{o.tag}, "summary": o.about,
		"responses": object{
			"200":     object{"description": "It worked.", "content": content},
			"default": object{"description": "It did not, and why.", "content": object{"application/json": object{"schema": s.of(failure)}}},
		},
	}
	if o.request != "" {
		out["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": ref(o.request)}}}
	}
	if o.open {
		out["security"] = []any{object{}}
	}
	var parameters []any
	if strings.Contains(o.path, "{id}") {
		parameters = append(parameters, object{"name": "id", "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, name := range o.query {
		p := queryParameters[name]
		parameters = append(parameters, object{"name": name, "in": "query", "description": p.about, "schema": p.schema})
	}
	if parameters != nil {
		out["parameters"] = parameters
	}
	return out
}

func operationID(o operation) string {
	return o.method + strings.NewReplacer("/", "_", "{", "", "}", "", ".", "_", "-", "_").Replace(o.path)
}

// requests describes the bodies.
func (s *schemas) requests() {
	chat := described(chatParameters)
	for name, hint := range openai.ChatParameters() {
		if _, ok := chat[name]; !ok {
			chat[name] = object{"description": "Not supported, unless its value changes nothing: " + hint + "."}
		}
	}
	s.all["ChatRequest"] = body(chat, "model", "messages")
	s.all["ResponseRequest"] = body(described(responseParameters), "model")
	text := described(textParameters)
	for _, p := range chatParameters {
		if slices.Contains(shared, p.name) {
			text[p.name] = described([]parameter{p})[p.name]
		}
	}
	s.all["TextRequest"] = body(text, "model", "prompt")
	s.all["TokenizeRequest"] = body(object{
		"model": kind("string"), "prompt": kind("string"), "content": kind("string"), "messages": listOf(ref("Message")), "return_token_strs": kind("boolean"),
	})
	s.all["DetokenizeRequest"] = body(object{"model": kind("string"), "tokens": object{"type": "array", "items": object{"type": "integer"}}}, "tokens")
	s.all["GenerateRequest"] = body(object{"inputs": object{"type": "string", "minLength": 1}, "parameters": ref("GenerateParameters")}, "inputs")
	s.all["GenerateParameters"] = body(object{
		"temperature": kind("number"), "top_k": kind("integer"), "top_p": kind("number"), "do_sample": kind("boolean"), "max_new_tokens": kind("integer"),
		"return_full_text": kind("boolean"), "stop": listOf(object{"type": "string"}), "truncate": kind("integer"), "details": kind("boolean"), "seed": kind("integer"),
		"top_n_tokens": kind("integer"), "repetition_penalty": kind("number"), "frequency_penalty": kind("number"),
	})
	content := object{"oneOf": []any{object{"type": "string"}, object{"type": "array", "items": object{"type": "object"}}, object{"type": "null"}}}
	s.all["Message"] = body(object{
		"role": object{"enum": []any{"system", "developer", "user", "assistant", "tool", "function"}}, "content": content, "name": kind("string"),
		"reasoning": kind("string"), "reasoning_content": kind("string"), "thinking": kind("string"), "tool_calls": listOf(object{"type": "object"}), "tool_call_id": kind("string"),
	}, "role")
	s.all["InputItem"] = object{"anyOf": []any{
		ref("responses.Item"),
		body(object{"role": object{"enum": []any{"user", "assistant", "system", "developer"}}, "content": content}, "role", "content"),
		body(object{"type": object{"const": "item_reference"}, "id": object{"type": "string"}}, "id"),
	}}
}

func described(parameters []parameter) object {
	out := object{}
	for _, p := range parameters {
		property := maps.Clone(p.schema)
		property["description"] = p.about
		out[p.name] = property
	}
	return out
}

func body(properties object, required ...any) object {
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// TestRequestTypes has every schema that an operation names be there.
func TestRequestTypes(t *testing.T) {
	all := generate()["components"].(object)["schemas"].(object)
	for _, o := range operations {
		if o.request != "" && all[o.request] == nil {
			t.Errorf("%s %s: there is no %s", o.method, o.path, o.request)
		}
		for _, name := range o.query {
			if reflect.ValueOf(queryParameters[name]).IsZero() {
				t.Errorf("%s %s: the parameter %s is not described", o.method, o.path, name)
			}
		}
	}
}
