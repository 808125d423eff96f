package main

import (
	"fmt"
	"regexp"
	"strings"
)

const head = `# API reference

Kind ` + "`GptOssModel`" + `, short ` + "`gom`" + `, of ` + "`gptoss.dev/v1alpha1`" + `. Written by ` + "`make generate`" + ` from the types in
[api/v1alpha1](../api/v1alpha1); ` + "`kubectl explain gom --recursive`" + ` shows the same. Every rule below is checked by the API server:
what breaks it is refused with the sentence that stands here.
`

// render writes the kind and the types that it is made of, depth first, and then conditions and reasons.
func (a *api) render(runbook func(reason string) bool) []byte {
	var b strings.Builder
	b.WriteString(head)
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		t := a.types[name]
		if t == nil || seen[name] {
			return
		}
		seen[name] = true
		a.renderType(&b, t)
		for _, f := range t.fields {
			visit(f.base)
		}
	}
	visit(kind)
	b.WriteString("\n## Conditions and reasons\n")
	for _, g := range a.groups {
		renderGroup(&b, g, runbook)
	}
	return []byte(b.String())
}

func (a *api) renderType(b *strings.Builder, t *typ) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n", t.name, t.text)
	if rules := t.rules(); len(rules) > 0 {
		b.WriteString("\n")
		for _, rule := range rules {
			fmt.Fprintf(b, "- %s\n", rule)
		}
	}
	if len(t.fields) == 0 {
		if t.underlying != "" {
			name := plain(t.underlying)
			if said := t.markers["Type"]; len(said) > 0 {
				name = said[0]
			}
			if limits := t.constraints(t.values); limits != "" {
				name += ", " + limits
			}
			fmt.Fprintf(b, "\nA %s.\n", name)
		}
		return
	}
	b.WriteString("\n| field | type | |\n| --- | --- | --- |\n")
	for _, f := range t.fields {
		if f.name == "" {
			continue // apiVersion and kind
		}
		required := ""
		if _, ok := f.markers["required"]; ok {
			required = " **Required.**"
		}
		notes := f.constraints(nil)
		if rules := f.rules(); len(rules) > 0 {
			notes += "; " + strings.Join(rules, "; ")
		}
		if notes = strings.TrimPrefix(notes, ";"); notes != "" {
			notes = " *" + strings.TrimSpace(notes) + ".*"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.name, a.link(f), cell(sentence(f.text))+required+escape(notes))
	}
}

// link names a field's type, and leads to its section where the page has one.
func (a *api) link(f field) string {
	name := plain(f.goType)
	if a.types[f.base] == nil {
		return name
	}
	return strings.Replace(name, f.base, "["+f.base+"](#"+strings.ToLower(f.base)+")", 1)
}

var external = strings.NewReplacer(
	"metav1.ObjectMeta", "[ObjectMeta](https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/)",
	"metav1.Condition", "Condition", "metav1.Time", "time", "metav1.Duration", "duration",
	"runtime.RawExtension", "object", "apiextensionsv1.JSON", "object",
	"resource.Quantity", "quantity", "corev1.ResourceName", "string", "intstr.IntOrString", "number or string",
	"int32", "integer", "int64", "integer", "float64", "number", "bool", "boolean",
)

// plain says a Go type in words of YAML.
func plain(goType string) string {
	name := external.Replace(goType)
	if element, isList := strings.CutPrefix(name, "[]"); isList {
		return "list of " + element
	}
	if rest, isMap := strings.CutPrefix(name, "map["); isMap {
		key, value, _ := strings.Cut(rest, "]")
		return "map of " + key + " to " + value
	}
	return name
}

var message = regexp.MustCompile(`message="((?:[^"\\]|\\.)*)"`)

// rules are the messages of CEL rules.
func (c comment) rules() []string {
	var out []string
	for _, rule := range c.markers["XValidation"] {
		if m := message.FindStringSubmatch(rule); m != nil {
			out = append(out, strings.ReplaceAll(m[1], `\"`, `"`))
		}
	}
	return out
}

// constraints say bounds, values and patterns.
func (c comment) constraints(values []string) string {
	first := func(key string) string {
		if v := c.markers[key]; len(v) > 0 {
			return strings.Trim(v[0], "`\"")
		}
		return ""
	}
	var out []string
	if enum := first("Enum"); enum != "" {
		values = strings.Split(enum, ";")
	}
	if len(values) > 0 {
		out = append(out, "one of `"+strings.Join(values, "`, `")+"`")
	}
	for _, bound := range []struct{ low, high, unit string }{
		{"Minimum", "Maximum", ""},
		{"MinLength", "MaxLength", " characters"},
		{"MinItems", "MaxItems", " entries"},
		{"MinProperties", "MaxProperties", " entries"},
	} {
		low, high := first(bound.low), first(bound.high)
		switch {
		case low != "" && high != "":
			out = append(out, low+" to "+high+bound.unit)
		case low != "":
			out = append(out, "at least "+low+bound.unit)
		case high != "":
			out = append(out, "at most "+high+bound.unit)
		}
	}
	if pattern := first("Pattern"); pattern != "" {
		out = append(out, "of the form `"+pattern+"`")
	}
	return strings.Join(out, ", ")
}

func renderGroup(b *strings.Builder, g group, runbook func(string) bool) {
	fmt.Fprintf(b, "\n### %s\n\n", strings.TrimRight(firstSentence(g.text), ".:"))
	if rest := strings.TrimSpace(strings.TrimPrefix(g.text, firstSentence(g.text))); rest != "" {
		fmt.Fprintf(b, "%s\n\n", sentence(rest))
	}
	b.WriteString("| | |\n| --- | --- |\n")
	for _, c := range g.constants {
		name := "`" + c.value + "`"
		if runbook(c.value) {
			name = "[" + name + "](runbooks/" + c.value + ".md)"
		}
		fmt.Fprintf(b, "| %s | %s |\n", name, cell(sentence(c.text)))
	}
}

// firstSentence ends at a full stop, or at a colon, which begins what the heading need not say.
func firstSentence(text string) string {
	line := strings.ReplaceAll(text, "\n", " ")
	if i := strings.IndexAny(line, ".:"); i > 0 && (i+1 == len(line) || line[i+1] == ' ') {
		return text[:i+1]
	}
	return text
}

// sentence begins with a capital.
func sentence(text string) string {
	for _, verb := range []string{"is ", "are "} {
		text = strings.TrimPrefix(text, verb)
	}
	if first, _, _ := strings.Cut(text, " "); first == "" || strings.Contains(strings.TrimSuffix(first, "."), ".") {
		return text // the name of a field
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// cell fits a text into a table's cell.
func cell(text string) string {
	return strings.ReplaceAll(escape(strings.Join(strings.Fields(text), " ")), "*", `\*`)
}

func escape(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(text)
}
