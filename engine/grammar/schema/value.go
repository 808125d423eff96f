package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a schema as a text.
const (
	maxBytes  = 512 << 10
	maxNested = 100
	maxDigits = 400 // of a number, its exponent counted as digits
)

type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	array
	object
)

func (k kind) String() string {
	return [...]string{"null", "boolean", "number", "string", "array", "object"}[k]
}

// value is a JSON value that knows where it lies. Objects keep the order of their keys.
type value struct {
	kind   kind
	text   string // of a string; of a number, true or false its JSON form
	items  []*value
	keys   []string
	fields map[string]*value
	parent *value
	name   string // under the parent
	id     int32
}

// reader parses a schema.
type reader struct {
	decoder *json.Decoder
	count   int32
}

func read(raw []byte) (*value, error) {
	if len(raw) > maxBytes {
		return nil, fmt.Errorf("it has %d bytes, at most %d are allowed", len(raw), maxBytes)
	}
	r := reader{decoder: json.NewDecoder(bytes.NewReader(raw))}
	r.decoder.UseNumber()
	v, err := r.value(nil, "", 0)
	if err != nil {
		return nil, err
	}
	if _, err := r.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	return v, nil
}

func (r *reader) value(parent *value, name string, depth int) (*value, error) {
	if depth > maxNested {
		return nil, fmt.Errorf("it is nested deeper than %d", maxNested)
	}
	t, err := r.decoder.Token()
	if err != nil {
		return nil, fmt.Errorf("it is not valid JSON: %w", err)
	}
	r.count++
	v := &value{parent: parent, name: name, id: r.count}
	switch t := t.(type) {
	case bool:
		v.kind, v.text = boolean, strconv.FormatBool(t)
	case json.Number:
		v.kind, v.text = number, string(t)
		if _, err := v.rational(); err != nil {
			return nil, err
		}
	case string:
		v.kind, v.text = text, t
	case json.Delim:
		if t == '[' {
			return v, r.array(v, depth)
		}
		return v, r.object(v, depth)
	}
	return v, nil
}

func (r *reader) array(v *value, depth int) error {
	v.kind = array
	for r.decoder.More() {
		item, err := r.value(v, strconv.Itoa(len(v.items)), depth+1)
		if err != nil {
			return err
		}
		v.items = append(v.items, item)
	}
	_, err := r.decoder.Token()
	return err
}

// object gives a key that comes twice its first place and its last value.
func (r *reader) object(v *value, depth int) error {
	v.kind, v.fields = object, map[string]*value{}
	for r.decoder.More() {
		t, err := r.decoder.Token()
		if err != nil {
			return fmt.Errorf("it is not valid JSON: %w", err)
		}
		key, _ := t.(string)
		field, err := r.value(v, key, depth+1)
		if err != nil {
			return err
		}
		if v.fields[key] == nil {
			v.keys = append(v.keys, key)
		}
		v.fields[key] = field
	}
	_, err := r.decoder.Token()
	return err
}

func (v *value) is(literal string) bool { return v != nil && v.kind == boolean && v.text == literal }

// pointer is the JSON pointer of a value, as the fragment of a URI.
func (v *value) pointer() string {
	if v.parent == nil {
		return "#"
	}
	return v.parent.pointer() + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(v.name)
}

// rational returns a number's value.
func (v *value) rational() (*big.Rat, error) {
	_, exponent, _ := strings.Cut(strings.ToLower(v.text), "e")
	n, err := strconv.Atoi(exponent)
	if exponent != "" && err != nil || n > maxDigits || n < -maxDigits || len(v.text) > maxDigits {
		return nil, errors.New("it has a number with too many digits")
	}
	r, ok := new(big.Rat).SetString(v.text)
	if !ok {
		return nil, errors.New("it has a number that cannot be read")
	}
	return r, nil
}

// write appends a value in compact JSON.
func (v *value) write(b *strings.Builder) {
	switch v.kind {
	case null:
		b.WriteString("null")
	case boolean, number:
		b.WriteString(v.text)
	case text:
		b.WriteString(quote(v.text))
	case array:
		b.WriteByte('[')
		for i, item := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.write(b)
		}
		b.WriteByte(']')
	case object:
		b.WriteByte('{')
		for i, key := range v.keys {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quote(key) + ":")
			v.fields[key].write(b)
		}
		b.WriteByte('}')
	}
}

// quote writes a string in JSON, with no escapes but those it needs.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be written
	out := strings.TrimSuffix(b.String(), "\n")
	// The encoder escapes these two for the sake of JavaScript.
	return strings.NewReplacer(`\\`, `\\`, `\u2028`, "\u2028", `\u2029`, "\u2029").Replace(out)
}

// key is the same for values that are equal as JSON Schema has it: 1 is 1.0, and the order of keys is of no account.
func (v *value) key() string {
	var b strings.Builder
	v.writeKey(&b)
	return b.String()
}

func (v *value) writeKey(b *strings.Builder) {
	switch v.kind {
	case number:
		if r, err := v.rational(); err == nil {
			b.WriteString(r.RatString())
		}
	case array:
		b.WriteByte('[')
		for _, item := range v.items {
			item.writeKey(b)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case object:
		b.WriteByte('{')
		for _, key := range slices.Sorted(maps.Keys(v.fields)) {
			b.WriteString(quote(key) + ":")
			v.fields[key].writeKey(b)
			b.WriteByte(',')
		}
		b.WriteByte('}')
	default:
		v.write(b)
	}
}

func (v *value) equal(w *value) bool { return v.key() == w.key() }
