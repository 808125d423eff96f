package harmony

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// value is a JSON value whose objects keep the order of their keys, which a Go
// map would lose.
type value struct {
	kind    valueKind
	text    string  // of a string; of a number, true, false or null its JSON form
	items   []value // of an array, or an object's values
	keys    []string
	indexes map[string]int // of keys
}

type valueKind uint8

const (
	kindLiteral valueKind = iota
	kindString
	kindArray
	kindObject
)

// maxDepth bounds the nesting of a schema.
const maxDepth = 100

func parseValue(data []byte) (*value, error) {
	if !json.Valid(data) {
		return nil, fmt.Errorf("the JSON schema is not valid JSON")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := readValue(d, 0)
	return &v, err
}

func readValue(d *json.Decoder, depth int) (v value, err error) {
	if depth > maxDepth {
		return v, fmt.Errorf("the JSON schema is nested deeper than %d", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return v, err
	}
	switch token := token.(type) {
	case string:
		return value{kind: kindString, text: token}, nil
	case json.Number:
		return value{text: formatNumber(string(token))}, nil
	case bool:
		return value{text: strconv.FormatBool(token)}, nil
	case json.Delim:
		if token == '{' {
			return readObject(d, depth)
		}
		return readArray(d, depth)
	}
	return value{text: "null"}, nil
}

func readArray(d *json.Decoder, depth int) (value, error) {
	v := value{kind: kindArray}
	for d.More() {
		item, err := readValue(d, depth+1)
		if err != nil {
			return v, err
		}
		v.items = append(v.items, item)
	}
	_, err := d.Token()
	return v, err
}

// readObject gives a key that comes twice its first place and its last value.
func readObject(d *json.Decoder, depth int) (value, error) {
	v := value{kind: kindObject, indexes: map[string]int{}}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return v, err
		}
		key, _ := token.(string)
		item, err := readValue(d, depth+1)
		if err != nil {
			return v, err
		}
		if i, ok := v.indexes[key]; ok {
			v.items[i] = item
			continue
		}
		v.indexes[key] = len(v.keys)
		v.keys = append(v.keys, key)
		v.items = append(v.items, item)
	}
	_, err := d.Token()
	return v, err
}

// get returns nil if v is no object or has no such key.
func (v *value) get(key string) *value {
	if v == nil || v.kind != kindObject {
		return nil
	}
	if i, ok := v.indexes[key]; ok {
		return &v.items[i]
	}
	return nil
}

// str returns the text of a string.
func (v *value) str() (string, bool) {
	if v == nil || v.kind != kindString {
		return "", false
	}
	return v.text, true
}

// array returns the items of an array.
func (v *value) array() ([]value, bool) {
	if v == nil || v.kind != kindArray {
		return nil, false
	}
	return v.items, true
}

func (v *value) isTrue() bool { return v != nil && v.kind == kindLiteral && v.text == "true" }

// json returns the compact form, as Rust's serde_json writes it.
func (v *value) json() string {
	var b strings.Builder
	v.write(&b)
	return b.String()
}

func (v *value) write(b *strings.Builder) {
	switch v.kind {
	case kindLiteral:
		b.WriteString(v.text)
	case kindString:
		writeString(b, v.text)
	case kindArray:
		b.WriteByte('[')
		for i := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			v.items[i].write(b)
		}
		b.WriteByte(']')
	case kindObject:
		b.WriteByte('{')
		for i := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(b, v.keys[i])
			b.WriteByte(':')
			v.items[i].write(b)
		}
		b.WriteByte('}')
	}
}

func writeString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		default:
			if r < ' ' {
				fmt.Fprintf(b, `\u%04x`, r)
				continue
			}
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

// formatNumber writes a number as serde_json does: integers of 64 bits as they
// are, everything else as the shortest float64, with an exponent only below 1e-5
// and from 1e16 on.
func formatNumber(s string) string {
	if !strings.ContainsAny(s, ".eE") && s != "-0" {
		if _, err := strconv.ParseInt(s, 10, 64); err == nil {
			return s
		}
		if _, err := strconv.ParseUint(s, 10, 64); err == nil {
			return s
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	if a := max(f, -f); a != 0 && (a < 1e-5 || a >= 1e16) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
		n, _ := strconv.Atoi(exponent)
		return mantissa + "e" + strconv.Itoa(n)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
