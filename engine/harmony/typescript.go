package harmony

import "strings"

// typeScript writes a JSON schema as the type that gpt-oss saw in training. It
// follows OpenAI's library in every quirk: descriptions of nested objects come
// twice, anyOf, allOf, $ref and const become any, a type list hides an enum.
func typeScript(schema *value, indent string) string {
	if variants, ok := schema.get("oneOf").array(); ok {
		return oneOf(variants, indent)
	}
	if types, ok := schema.get("type").array(); ok {
		var names []string
		for i := range types {
			if name, ok := types[i].str(); ok {
				if name == "integer" {
					name = "number"
				}
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			return strings.Join(names, " | ")
		}
	}
	switch name, _ := schema.get("type").str(); name {
	case "object":
		return objectType(schema, indent)
	case "string":
		return stringType(schema)
	case "number", "integer":
		return "number"
	case "boolean":
		return "boolean"
	case "array":
		if items := schema.get("items"); items != nil {
			return typeScript(items, indent) + "[]"
		}
		return "Array<any>"
	}
	return "any"
}

func stringType(schema *value) string {
	var names []string
	values, _ := schema.get("enum").array()
	for i := range values {
		if s, ok := values[i].str(); ok {
			names = append(names, `"`+s+`"`)
		}
	}
	if len(names) == 0 {
		return "string"
	}
	return strings.Join(names, " | ")
}

// oneOf writes the variants of a schema that is no property, one per line.
func oneOf(variants []value, indent string) string {
	var b strings.Builder
	for i := range variants {
		v := &variants[i]
		b.WriteString("\n" + indent + " | " + nullable(v, indent+"   "))
		var comments []string
		if s, ok := v.get("description").str(); ok {
			comments = append(comments, s)
		}
		if d := v.get("default"); d != nil {
			if s, ok := d.str(); ok && !isEnum(v) {
				comments = append(comments, `default: "`+s+`"`)
			} else {
				comments = append(comments, "default: "+d.json())
			}
		}
		writeTrailing(&b, comments)
	}
	return b.String()
}

func writeTrailing(b *strings.Builder, comments []string) {
	if len(comments) > 0 {
		b.WriteString(" // " + strings.Join(comments, " "))
	}
}

// nullable writes a type that may allow null besides.
func nullable(schema *value, indent string) string {
	text := typeScript(schema, indent)
	if schema.get("nullable").isTrue() && !strings.Contains(text, "null") {
		text += " | null"
	}
	return text
}

func isEnum(schema *value) bool {
	values, _ := schema.get("enum").array()
	return len(values) > 0
}

// defaultComment returns "default: x", with the quotes of a string unless the
// values are listed, or nothing.
func defaultComment(schema *value) (string, bool) {
	d := schema.get("default")
	if d == nil {
		return "", false
	}
	s, ok := d.str()
	switch {
	case ok && !isEnum(schema):
		return `default: "` + s + `"`, true
	case ok:
		return "default: " + s, true
	}
	return "default: " + d.json(), true
}

func objectType(schema *value, indent string) string {
	var b strings.Builder
	if s, ok := schema.get("description").str(); ok {
		b.WriteString(indent + "// " + s + "\n")
	}
	b.WriteString("{\n")
	required := map[string]bool{}
	names, _ := schema.get("required").array()
	for i := range names {
		if s, ok := names[i].str(); ok {
			required[s] = true
		}
	}
	if properties := schema.get("properties"); properties != nil && properties.kind == kindObject {
		for i, name := range properties.keys {
			if !required[name] {
				name += "?"
			}
			writeProperty(&b, name, &properties.items[i], indent)
		}
	}
	b.WriteString(indent + "}")
	return b.String()
}

func writeProperty(b *strings.Builder, name string, schema *value, indent string) {
	if s, ok := schema.get("title").str(); ok {
		b.WriteString(indent + "// " + s + "\n" + indent + "//\n")
	}
	alternatives := schema.get("oneOf")
	description, described := schema.get("description").str()
	if alternatives == nil && described {
		b.WriteString(indent + "// " + description + "\n")
	}
	if examples, _ := schema.get("examples").array(); len(examples) > 0 {
		b.WriteString(indent + "// Examples:\n")
		for i := range examples {
			if s, ok := examples[i].str(); ok {
				b.WriteString(indent + `// - "` + s + "\"\n")
			}
		}
	}
	if variants, ok := alternatives.array(); ok {
		writeOneOfProperty(b, name, schema, variants, indent)
		return
	}
	b.WriteString(indent + name + ": " + nullable(schema, indent+"    ") + ",")
	if s, ok := defaultComment(schema); ok && alternatives == nil {
		b.WriteString(" // " + s)
	}
	b.WriteString("\n")
}

// writeOneOfProperty leaves out the description of the first variant if that of
// the property stands above it, and the property's if both are the same.
func writeOneOfProperty(b *strings.Builder, name string, schema *value, variants []value, indent string) {
	description, described := schema.get("description").str()
	above := described
	if len(variants) > 0 {
		if s, ok := variants[0].get("description").str(); ok && s == description {
			above = false
		}
	}
	if above {
		b.WriteString(indent + "// " + description + "\n")
	}
	if s, ok := defaultComment(schema); ok {
		b.WriteString(indent + "// " + s + "\n")
	}
	b.WriteString(indent + name + ":\n")
	for i := range variants {
		v := &variants[i]
		b.WriteString(indent + " | " + nullable(v, indent+"   "))
		var comments []string
		s, ok := v.get("description").str()
		said := i == 0 && above || described && s == description
		if ok && !said {
			comments = append(comments, s)
		}
		if s, ok := defaultComment(v); ok {
			comments = append(comments, s)
		}
		writeTrailing(b, comments)
		b.WriteString("\n")
	}
	b.WriteString(indent + ",\n")
}
