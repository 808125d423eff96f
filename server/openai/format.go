package openai

import (
	"encoding/json"
	"slices"
	"strings"
)

// Codes of schemas that cannot be held to.
const (
	CodeInvalidSchema     = "invalid_json_schema"
	CodeInvalidParameters = "invalid_function_parameters" // as OpenAI
)

// Format says what the answer's content must look like; one of Schema, Pattern and Choices is set.
type Format struct {
	// Param is the parameter that asks for it.
	Param string
	// Name and Description are those of a JSON schema that the model is told of; an empty name hides it.
	Name, Description string
	Schema            json.RawMessage // with its keys in the client's order
	Pattern           string          // a regular expression for the whole content
	Choices           []string        // that the content may be
}

const (
	maxTexts     = 1000
	maxTextBytes = 64 << 10 // together
)

var anyObject = json.RawMessage(`{"type":"object"}`)

// decodeFormat reads response_format and vLLM's other ways to ask for a form. There may be one of them.
func decodeFormat(o object) *Format {
	var found *Format
	for _, read := range []func(object) *Format{decodeResponseFormat, decodeGuidedJSON, decodeGuidedRegex, decodeGuidedChoice, decodeStructuredOutputs} {
		f := read(o)
		if f == nil {
			continue
		}
		if found != nil {
			o.d.fail(CodeInvalidValue, f.Param, "Invalid value for '%s': %s asks for a form already; give one of them.", f.Param, found.Param)
			return nil
		}
		found = f
	}
	return found
}

func decodeResponseFormat(o object) *Format {
	format, ok := o.object("response_format")
	if !ok {
		return nil
	}
	switch kind := format.requireString("type"); kind {
	case "text", "":
		return nil
	case "json_object":
		// With a schema it is llama.cpp's and Together's way to ask for one.
		if _, ok := format.get("schema"); ok {
			return &Format{Param: format.at("schema"), Schema: decodeSchema(format, "schema")}
		}
		return &Format{Param: "response_format", Schema: anyObject}
	case "json_schema":
		if _, ok := format.require("json_schema"); !ok {
			return nil
		}
		s, _ := format.object("json_schema")
		f := &Format{Param: s.at("schema"), Name: s.requireString("name"), Description: s.string("description")}
		checkFunctionName(s, f.Name)
		s.bool("strict", false) // the answer is held to the schema in either case
		if _, ok := s.require("schema"); ok {
			f.Schema = decodeSchema(s, "schema")
		}
		return f
	default:
		format.d.fail(CodeInvalidValue, format.at("type"), "Invalid value for '%s': must be text, json_object or json_schema.", format.at("type"))
	}
	return nil
}

// decodeSchema takes a schema, or a string that holds one, which vLLM's clients send.
func decodeSchema(o object, name string) json.RawMessage {
	raw, _ := o.get(name)
	if len(raw) > 0 && raw[0] == '"' {
		text := o.d.asString(raw, o.at(name))
		if raw = json.RawMessage(strings.TrimSpace(text)); !json.Valid(raw) {
			o.d.fail(CodeInvalidValue, o.at(name), "Invalid value for '%s': the string is not valid JSON.", o.at(name))
			return nil
		}
	}
	o.d.asObject(raw, o.at(name))
	if depth(raw) > maxSchemaDepth {
		o.d.fail(CodeInvalidValue, o.at(name), "Invalid value for '%s': nested more than %d deep.", o.at(name), maxSchemaDepth)
	}
	return raw
}

// TGIFormat reads the parameters.grammar of a TGI request. The error is an *Error with status 400.
func TGIFormat(body []byte) (*Format, error) {
	d := &decoder{}
	parameters, _ := d.document(body).object("parameters")
	f := decodeGrammar(parameters)
	if d.err != nil {
		return nil, d.err
	}
	return f, nil
}

func decodeGrammar(parameters object) *Format {
	g, ok := parameters.object("grammar")
	if !ok {
		return nil
	}
	kind := g.requireString("type")
	if _, ok := g.require("value"); !ok {
		return nil
	}
	switch kind {
	case "json":
		return formatJSON(g, "value")
	case "regex":
		return formatRegex(g, "value")
	case "json_schema":
		s, _ := g.object("value")
		if _, ok := s.require("schema"); !ok {
			return nil
		}
		return formatJSON(s, "schema")
	}
	g.d.fail(CodeInvalidValue, g.at("type"), "Invalid value for '%s': must be json, regex or json_schema.", g.at("type"))
	return nil
}

func decodeGuidedJSON(o object) *Format  { return formatJSON(o, "guided_json") }
func decodeGuidedRegex(o object) *Format { return formatRegex(o, "guided_regex") }

func decodeGuidedChoice(o object) *Format { return formatChoice(o, "guided_choice") }

// decodeStructuredOutputs reads what has replaced vLLM's guided parameters.
func decodeStructuredOutputs(o object) *Format {
	s, ok := o.object("structured_outputs")
	if !ok {
		return nil
	}
	for _, name := range []string{"grammar", "structural_tag"} {
		if _, ok := s.get(name); ok {
			refuse(s, name, "use json, regex or choice")
		}
	}
	var found *Format
	for _, f := range []*Format{formatJSON(s, "json"), formatRegex(s, "regex"), formatChoice(s, "choice")} {
		if f != nil && found != nil {
			o.d.fail(CodeInvalidValue, f.Param, "Invalid value for '%s': %s asks for a form already; give one of them.", f.Param, found.Param)
		}
		if f != nil {
			found = f
		}
	}
	if found == nil && s.bool("json_object", false) {
		found = &Format{Param: s.at("json_object"), Schema: anyObject}
	}
	return found
}

func formatJSON(o object, name string) *Format {
	if _, ok := o.get(name); !ok {
		return nil
	}
	return &Format{Param: o.at(name), Schema: decodeSchema(o, name)}
}

func formatRegex(o object, name string) *Format {
	if _, ok := o.get(name); !ok {
		return nil
	}
	return &Format{Param: o.at(name), Pattern: o.requireString(name)}
}

func formatChoice(o object, name string) *Format {
	raw, ok := o.get(name)
	if !ok {
		return nil
	}
	f := &Format{Param: o.at(name), Choices: []string{}}
	total := 0
	for i, item := range o.d.asList(raw, o.at(name), "an array of strings") {
		choice := o.d.asString(item, index(o.at(name), i))
		if choice == "" {
			o.d.fail(CodeInvalidValue, index(o.at(name), i), "Invalid value for '%s': must not be empty.", index(o.at(name), i))
		}
		total += len(choice)
		f.Choices = append(f.Choices, choice)
	}
	if n := len(f.Choices); n == 0 || n > maxTexts || total > maxTextBytes {
		o.d.fail(CodeInvalidValue, o.at(name), "Invalid value for '%s': must have 1 to %d strings of at most %d bytes together.", o.at(name), maxTexts, maxTextBytes)
	}
	return f
}

// decodeToolChoice reads "auto", "none", "required", a function by name, or a list of allowed tools.
func decodeToolChoice(o object, tools []Tool) (choice ToolChoice, allowed []string) {
	raw, ok := o.get("tool_choice")
	if !ok {
		return ToolChoiceAuto, nil
	}
	if raw[0] == '{' {
		choice, allowed = decodeToolObject(o, tools)
	} else {
		choice = ToolChoice(o.d.asString(raw, "tool_choice"))
	}
	if !slices.Contains([]ToolChoice{ToolChoiceAuto, ToolChoiceNone, ToolChoiceRequired}, choice) {
		o.d.fail(CodeInvalidValue, "tool_choice", "Invalid value for 'tool_choice': must be \"auto\", \"none\", \"required\" or an object that names functions.")
	}
	if choice == ToolChoiceRequired && len(tools) == 0 {
		o.d.fail(CodeInvalidValue, "tool_choice", "Invalid value for 'tool_choice': a call is only possible where there are tools.")
	}
	return choice, allowed
}

func decodeToolObject(o object, tools []Tool) (ToolChoice, []string) {
	c, _ := o.object("tool_choice")
	choice := ToolChoiceRequired
	var allowed []string
	switch kind := c.string("type"); kind {
	case "function", "":
		f, _ := c.object("function")
		allowed = append(allowed, f.requireString("name"))
	case "allowed_tools":
		if _, ok := c.require("allowed_tools"); !ok {
			return "", nil
		}
		a, _ := c.object("allowed_tools")
		if choice = ToolChoice(a.requireString("mode")); choice != ToolChoiceAuto && choice != ToolChoiceRequired {
			o.d.fail(CodeInvalidValue, a.at("mode"), "Invalid value for '%s': must be \"auto\" or \"required\".", a.at("mode"))
		}
		list, _ := a.require("tools")
		if list == nil {
			return "", nil
		}
		for i, item := range o.d.asList(list, a.at("tools"), "an array of tools") {
			f, _ := o.d.asObject(item, index(a.at("tools"), i)).object("function")
			allowed = append(allowed, f.requireString("name"))
		}
		if len(allowed) == 0 {
			o.d.fail(CodeInvalidValue, a.at("tools"), "Invalid value for '%s': must have at least one tool.", a.at("tools"))
		}
	default:
		o.d.fail(CodeInvalidValue, c.at("type"), "Invalid value for '%s': must be \"function\" or \"allowed_tools\".", c.at("type"))
	}
	for _, name := range allowed {
		if !slices.ContainsFunc(tools, func(t Tool) bool { return t.Name == name }) {
			o.d.fail(CodeInvalidValue, "tool_choice", "Invalid value for 'tool_choice': there is no function %.64q in tools.", name)
		}
	}
	return choice, allowed
}
