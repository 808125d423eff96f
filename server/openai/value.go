package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// decoder keeps the first error of a request; after it every read gives a zero value, so that readers need no checks.
type decoder struct {
	err *Error
	// asked, where set, notes which fields of the request itself are read.
	asked map[string]bool
}

func (d *decoder) fail(code, param, format string, args ...any) {
	if d.err == nil {
		d.err = Invalid(code, param, format, args...)
	}
}

// object is a JSON object whose fields are read by name; path is where it lies in the request, "" for the request itself.
type object struct {
	d      *decoder
	path   string
	fields map[string]json.RawMessage
}

// document reads the request's body as one object.
func (d *decoder) document(body []byte) object {
	o := object{d: d}
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(&o.fields); err != nil {
		d.failJSON(body, err)
		return o
	}
	if o.fields == nil {
		d.fail(CodeInvalidJSON, "", "The request body must be a JSON object, not null.")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		d.fail(CodeInvalidJSON, "", "The request body must be a single JSON object, but something follows it.")
	}
	return o
}

// failJSON tells malformed JSON from JSON that is no object.
func (d *decoder) failJSON(body []byte, err error) {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		d.fail(CodeInvalidJSON, "", "The request body is empty; it must be a JSON object.")
	case errors.As(err, &syntax):
		d.fail(CodeInvalidJSON, "", "The request body is not valid JSON at byte %d: %s.", syntax.Offset, syntax)
	case errors.As(err, &kind):
		d.fail(CodeInvalidJSON, "", "The request body must be a JSON object, not %s.", describe(json.RawMessage(body)))
	default:
		d.fail(CodeInvalidJSON, "", "The request body is not valid JSON: it ends too early.")
	}
}

// asObject reads a value as an object.
func (d *decoder) asObject(raw json.RawMessage, path string) object {
	o := object{d: d, path: path}
	if d.err == nil && (json.Unmarshal(raw, &o.fields) != nil || o.fields == nil) {
		d.wrongType(path, "an object", raw)
	}
	return o
}

func (d *decoder) wrongType(param, want string, got json.RawMessage) {
	d.fail(CodeInvalidType, param, "Invalid type for '%s': expected %s, but got %s.", param, want, describe(got))
}

func (d *decoder) asString(raw json.RawMessage, path string) string {
	var s string
	if d.err == nil && (raw[0] != '"' || json.Unmarshal(raw, &s) != nil) {
		d.wrongType(path, "a string", raw)
	}
	return s
}

func (d *decoder) asList(raw json.RawMessage, path, want string) []json.RawMessage {
	var list []json.RawMessage
	if d.err == nil && (raw[0] != '[' || json.Unmarshal(raw, &list) != nil) {
		d.wrongType(path, want, raw)
	}
	return list
}

// get returns a field's value; null counts as absent, and so does everything after an error.
func (o object) get(name string) (json.RawMessage, bool) {
	if o.d.asked != nil && o.path == "" {
		o.d.asked[name] = true
	}
	raw, ok := o.fields[name]
	if o.d.err != nil || !ok || string(raw) == "null" {
		return nil, false
	}
	return raw, true
}

// at is the path of a field for error messages.
func (o object) at(name string) string {
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

// require is get for a field that must be there.
func (o object) require(name string) (json.RawMessage, bool) {
	raw, ok := o.get(name)
	if !ok {
		o.d.fail(CodeMissingField, o.at(name), "Missing required field: %s", o.at(name))
	}
	return raw, ok
}

func (o object) object(name string) (object, bool) {
	raw, ok := o.get(name)
	if !ok {
		return object{d: o.d, path: o.at(name)}, false
	}
	return o.d.asObject(raw, o.at(name)), true
}

func (o object) string(name string) string {
	if raw, ok := o.get(name); ok {
		return o.d.asString(raw, o.at(name))
	}
	return ""
}

func (o object) requireString(name string) string {
	raw, ok := o.require(name)
	if !ok {
		return ""
	}
	s := o.d.asString(raw, o.at(name))
	if s == "" {
		o.d.fail(CodeInvalidValue, o.at(name), "Invalid value for '%s': must not be empty.", o.at(name))
	}
	return s
}

func (o object) bool(name string, fallback bool) bool {
	raw, ok := o.get(name)
	if !ok {
		return fallback
	}
	b := string(raw) == "true"
	if !b && string(raw) != "false" {
		o.d.wrongType(o.at(name), "a boolean", raw)
	}
	return b
}

// integer returns nil where the field is absent.
func (o object) integer(name string, low, high int64) *int64 {
	raw, ok := o.get(name)
	if !ok {
		return nil
	}
	if !isNumber(raw) {
		o.d.wrongType(o.at(name), "an integer", raw)
		return nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		o.d.fail(CodeInvalidType, o.at(name), "Invalid type for '%s': expected an integer, but got a fraction or an exponent.", o.at(name))
		return nil
	}
	if err != nil || n < low || n > high {
		o.d.fail(CodeInvalidValue, o.at(name), "Invalid value for '%s': must be an integer from %d to %d.", o.at(name), low, high)
		return nil
	}
	return &n
}

// number returns nil where the field is absent.
func (o object) number(name string, low, high float64) *float64 {
	raw, ok := o.get(name)
	if !ok {
		return nil
	}
	if !isNumber(raw) {
		o.d.wrongType(o.at(name), "a number", raw)
		return nil
	}
	x, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || x < low || x > high {
		o.d.fail(CodeInvalidValue, o.at(name), "Invalid value for '%s': must be a number from %g to %g.", o.at(name), low, high)
		return nil
	}
	return &x
}

func isNumber(raw json.RawMessage) bool { return raw[0] == '-' || (raw[0] >= '0' && raw[0] <= '9') }

// describe names a JSON value's type for a message; the value itself may be private.
func describe(raw json.RawMessage) string {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
