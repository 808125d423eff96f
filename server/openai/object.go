package openai

import (
	"encoding/json"
	"maps"
	"slices"
)

// Object is a JSON object of a request, for packages that translate other shapes of the API into chat requests: its fields
// are read by name, null counts as absent, and after the first error every read gives a zero value. The zero Object is not
// usable.
type Object struct{ o object }

// ReadObject reads a request's body as one object.
func ReadObject(body []byte) Object {
	d := &decoder{}
	return Object{d.document(body)}
}

// Err is the first error of the request that the object belongs to, an *Error with status 400, or nil.
func (o Object) Err() error {
	if o.o.d.err == nil {
		return nil
	}
	return o.o.d.err
}

// Names lists the fields in alphabetical order.
func (o Object) Names() []string { return slices.Sorted(maps.Keys(o.o.fields)) }

// Raw returns a field's value as it was sent.
func (o Object) Raw(name string) (json.RawMessage, bool) { return o.o.get(name) }

// At is the path of a field for error messages.
func (o Object) At(name string) string { return o.o.at(name) }

// Object reads a field that is an object itself.
func (o Object) Object(name string) (Object, bool) {
	inner, ok := o.o.object(name)
	return Object{inner}, ok
}

// Item reads a value, such as an element of List, as an object that lies at path.
func (o Object) Item(raw json.RawMessage, path string) Object {
	return Object{o.o.d.asObject(raw, path)}
}

// Text reads a string; it is empty where the field is absent.
func (o Object) Text(name string) string { return o.o.string(name) }

// RequireText reads a string that must be there and not empty.
func (o Object) RequireText(name string) string { return o.o.requireString(name) }

// ItemText reads a value as a string that lies at path.
func (o Object) ItemText(raw json.RawMessage, path string) string { return o.o.d.asString(raw, path) }

// Bool reads a boolean.
func (o Object) Bool(name string, fallback bool) bool { return o.o.bool(name, fallback) }

// Integer reads an integer and returns nil where the field is absent.
func (o Object) Integer(name string, low, high int64) *int64 { return o.o.integer(name, low, high) }

// List reads an array and returns nil where the field is absent; want says in an error what is expected.
func (o Object) List(name, want string) []json.RawMessage {
	raw, ok := o.o.get(name)
	if !ok {
		return nil
	}
	return o.o.d.asList(raw, o.o.at(name), want)
}

// Fail notes an error about the parameter at a path, unless there is one already.
func (o Object) Fail(code, path, format string, args ...any) { o.o.d.fail(code, path, format, args...) }

// Missing notes that a required field is not there.
func (o Object) Missing(name string) { o.o.require(name) }

// ChatParameters lists the fields that the decoder of chat requests reads, with, for those that are refused unless their
// value changes nothing, what to do instead. It is what the decoder does, and so cannot go out of date.
func ChatParameters() map[string]string {
	d := &decoder{asked: map[string]bool{}}
	_ = object{d: d}.chat()
	out := map[string]string{}
	for name := range d.asked {
		out[name] = ""
	}
	for _, p := range unsupportedParameters {
		out[p.name] = p.hint
	}
	return out
}
