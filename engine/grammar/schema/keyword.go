package schema

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
)

// Error says what about a schema is not supported, or wrong.
type Error struct {
	// Pointer is where it lies, as "#/properties/tags".
	Pointer string
	// Keyword is what is at fault, or empty.
	Keyword string
	Reason  string
}

// Error is one sentence.
func (e *Error) Error() string {
	if e.Keyword == "" {
		return fmt.Sprintf("the schema at %s: %s", e.Pointer, e.Reason)
	}
	return fmt.Sprintf("the keyword %q at %s: %s", e.Keyword, e.Pointer, e.Reason)
}

func fail(v *value, keyword, format string, args ...any) error {
	return &Error{Pointer: v.pointer(), Keyword: keyword, Reason: fmt.Sprintf(format, args...)}
}

// known are the keywords that are served, by the kind of value they need; false allows any.
var known = map[string][]kind{
	"type": {text, array}, "enum": {array}, "const": {null, boolean, number, text, array, object}, "nullable": {boolean},
	"multipleOf": {number}, "maximum": {number}, "minimum": {number}, "exclusiveMaximum": {number}, "exclusiveMinimum": {number},
	"maxLength": {number}, "minLength": {number}, "pattern": {text}, "format": {text},
	"maxItems": {number}, "minItems": {number}, "uniqueItems": {boolean}, "prefixItems": {array}, "items": {object, boolean, array}, "additionalItems": {object, boolean},
	"maxProperties": {number}, "minProperties": {number}, "required": {array}, "properties": {object}, "patternProperties": {object},
	"additionalProperties": {object, boolean}, "propertyNames": {object, boolean}, "unevaluatedProperties": {boolean}, "unevaluatedItems": {boolean},
	"allOf": {array}, "anyOf": {array}, "oneOf": {array}, "$ref": {text}, "$defs": {object}, "definitions": {object},
}

// annotations say nothing about what is valid.
var annotations = []string{
	"$schema", "$comment", "title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly",
	"contentEncoding", "contentMediaType", "contentSchema", "discriminator", "externalDocs", "xml", "$anchor",
}

// check looks at the keywords of one schema.
func check(v *value) error {
	if v.kind == boolean {
		return nil
	}
	if v.kind != object {
		return fail(v, "", "it must be an object or a boolean, not %s", v.kind)
	}
	for _, key := range v.keys {
		field := v.fields[key]
		kinds, ok := known[key]
		switch {
		case key == "$id" && v.parent == nil, slices.Contains(annotations, key), len(key) > 2 && key[:2] == "x-":
			continue
		case key == "$id":
			return fail(v, key, "only the whole schema may have an id")
		case !ok:
			return fail(v, key, "it is not supported")
		case !slices.Contains(kinds, field.kind):
			return fail(v, key, "it must not be of type %s", field.kind)
		}
		if err := checkField(v, key, field); err != nil {
			return err
		}
	}
	return nil
}

func checkField(v *value, key string, field *value) error {
	switch key {
	case "enum", "allOf", "anyOf", "oneOf":
		if len(field.items) == 0 {
			return fail(v, key, "it must not be empty")
		}
	case "required":
		for _, item := range field.items {
			if item.kind != text {
				return fail(v, key, "it must list names")
			}
		}
	case "type":
		_, err := typesIn(v)
		return err
	case "maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties":
		if n, err := strconv.Atoi(field.text); err != nil || n < 0 || n > 1<<30 {
			return fail(v, key, "it must be an integer of at least 0 that is not too large")
		}
	case "unevaluatedProperties", "unevaluatedItems":
		open := "additionalProperties"
		if key == "unevaluatedItems" {
			open = "items"
		}
		if field.is("false") && v.fields[open] != nil && !v.fields[open].is("false") {
			return fail(v, key, "it is not supported beside %s", open)
		}
	}
	return nil
}

// bound returns the value of a keyword, or nil.
func bound(v *value, key string) *big.Rat {
	field := v.fields[key]
	if field == nil {
		return nil
	}
	r, _ := field.rational() // it was read already
	return r
}

// count returns the value of a keyword, or fallback.
func count(v *value, key string, fallback int) int {
	field := v.fields[key]
	if field == nil {
		return fallback
	}
	n, _ := strconv.Atoi(field.text) // it was checked already
	return n
}

// types is a set of JSON Schema's types.
type types uint8

const (
	typeNull types = 1 << iota
	typeBoolean
	typeInteger
	typeNumber
	typeString
	typeArray
	typeObject
	allTypes = typeObject<<1 - 1
)

var typeNames = map[string]types{
	"null": typeNull, "boolean": typeBoolean, "integer": typeInteger, "number": typeNumber | typeInteger, "string": typeString,
	"array": typeArray, "object": typeObject,
}

// typesIn returns the types that a schema names itself, or all.
func typesIn(v *value) (types, error) {
	field := v.fields["type"]
	if field == nil {
		return allTypes, nil
	}
	var out types
	for _, item := range append(field.items, field) {
		if item.kind == array {
			continue
		}
		t, ok := typeNames[item.text]
		if !ok || item.kind != text {
			return 0, fail(v, "type", "%s is not a type", quote(item.text))
		}
		out |= t
	}
	if v.fields["nullable"].is("true") {
		out |= typeNull
	}
	return out, nil
}

var typeKeywords = map[types][]string{
	typeNumber | typeInteger: {"multipleOf", "maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"},
	typeString:               {"maxLength", "minLength", "pattern", "format"},
	typeArray:                {"maxItems", "minItems", "uniqueItems", "prefixItems", "items", "additionalItems", "unevaluatedItems"},
	typeObject: {
		"maxProperties", "minProperties", "required", "properties", "patternProperties", "additionalProperties", "propertyNames", "unevaluatedProperties",
	},
}

// inferred returns the types that a schema's keywords speak of.
func inferred(v *value) types {
	var out types
	for t, keywords := range typeKeywords {
		if slices.ContainsFunc(keywords, func(k string) bool { return v.fields[k] != nil }) {
			out |= t
		}
	}
	return out
}
