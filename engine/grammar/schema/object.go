package schema

import (
	"slices"

	"github.com/gptoss/gptoss-operator/engine/grammar"
	"github.com/gptoss/gptoss-operator/engine/grammar/regular"
)

// maxPatterns bounds the patternProperties that may apply to one object.
const maxPatterns = 4

// property is a declared property.
type property struct {
	name     string
	schemas  []*value
	required bool
}

// extra is properties that are not declared: those whose names are in a language.
type extra struct {
	names   *regular.DFA // nil for any
	schemas []*value
}

// members is what is asked of an object.
type members struct {
	declared  []property
	extras    []extra
	names     *regular.DFA // of propertyNames, nil for any
	patterns  []pattern
	low, high int // high is -1 for no bound
}

// pattern is a schema of patternProperties.
type pattern struct {
	owner  *value
	names  *regular.DFA
	schema *value
}

// members combines the keywords for objects.
func (c *Compiler) members(j *conjunction) (members, error) {
	m := members{high: -1}
	patterns, err := c.patterns(j)
	if err != nil {
		return m, err
	}
	for _, v := range j.own {
		m.low = max(m.low, count(v, "minProperties", 0))
		if high := count(v, "maxProperties", -1); high >= 0 && (m.high < 0 || high < m.high) {
			m.high = high
		}
		if names := v.fields["propertyNames"]; names != nil {
			d, err := c.nameLanguage(v, names)
			if err != nil {
				return m, err
			}
			l := language{dfa: m.names}
			if err := l.intersect(d); err != nil {
				return m, fail(v, "propertyNames", "%v", err)
			}
			m.names = l.dfa
		}
	}
	names, required := declaredNames(j)
	for _, name := range names {
		p := property{name: name, schemas: schemasOf(j, patterns, name), required: required[name]}
		if m.names != nil && !m.names.Match(name) {
			p.schemas = append(p.schemas, &value{kind: boolean, text: "false"})
		}
		m.declared = append(m.declared, p)
	}
	m.patterns = patterns
	return m, nil
}

// declaredNames lists the properties that have a schema or are required, in order.
func declaredNames(j *conjunction) (names []string, required map[string]bool) {
	known := map[string]bool{}
	add := func(name string) {
		if !known[name] {
			known[name] = true
			names = append(names, name)
		}
	}
	required = map[string]bool{}
	for _, v := range j.own {
		if p := v.fields["properties"]; p != nil {
			for _, name := range p.keys {
				add(name)
			}
		}
	}
	for _, v := range j.own {
		if r := v.fields["required"]; r != nil {
			for _, item := range r.items {
				required[item.text] = true
				add(item.text)
			}
		}
	}
	return names, required
}

// schemasOf returns what each schema of a conjunction asks of a property.
func schemasOf(j *conjunction, patterns []pattern, name string) []*value {
	var out []*value
	for _, v := range j.own {
		spoken := false
		if p := v.fields["properties"]; p != nil && p.fields[name] != nil {
			out = append(out, p.fields[name])
			spoken = true
		}
		for _, p := range patterns {
			if p.owner == v && p.names.Match(name) {
				out = append(out, p.schema)
				spoken = true
			}
		}
		if others := additional(v); !spoken && others != nil {
			out = append(out, others)
		}
	}
	return out
}

// additional returns the schema of properties that are not declared, or nil where nothing is said.
func additional(v *value) *value {
	if a := v.fields["additionalProperties"]; a != nil {
		return a
	}
	if u := v.fields["unevaluatedProperties"]; u.is("false") {
		return u
	}
	return nil
}

func (c *Compiler) patterns(j *conjunction) ([]pattern, error) {
	var out []pattern
	for _, v := range j.own {
		p := v.fields["patternProperties"]
		if p == nil {
			continue
		}
		for _, key := range p.keys {
			d, err := c.found(v, "patternProperties", key)
			if err != nil {
				return nil, err
			}
			out = append(out, pattern{v, d, p.fields[key]})
		}
		if len(out) > maxPatterns {
			return nil, fail(v, "patternProperties", "more than %d patterns for one object are not supported", maxPatterns)
		}
	}
	return out, nil
}

// extras finds out which properties may follow the declared ones: for each set of patterns that a name may match, the
// names that match these and no others.
func (c *Compiler) extras(j *conjunction, m *members) error {
	patterns, names := m.patterns, make([]string, len(m.declared))
	for i, p := range m.declared {
		names[i] = p.name
	}
	open := len(names) == 0 && len(patterns) == 0
	for _, v := range j.own {
		open = open || v.fields["additionalProperties"] != nil
	}
	for matched := range 1 << len(patterns) {
		if matched == 0 && !open {
			continue
		}
		l := language{dfa: m.names}
		if len(names) > 0 {
			if err := l.intersect(regular.Strings(names...).Complement()); err != nil {
				return err
			}
		}
		var schemas []*value
		spoken := map[*value]bool{}
		for i, p := range patterns {
			d := p.names
			if matched>>i&1 == 0 {
				d = d.Complement()
			} else {
				schemas = append(schemas, p.schema)
				spoken[p.owner] = true
			}
			if err := l.intersect(d); err != nil {
				return fail(p.owner, "patternProperties", "%v", err)
			}
			if c.spent.work += l.dfa.Cost; c.spent.work > maxWork {
				return grammar.ErrTooLarge
			}
		}
		for _, v := range j.own {
			if others := additional(v); others != nil && !spoken[v] {
				schemas = append(schemas, others)
			}
		}
		if !slices.ContainsFunc(schemas, func(v *value) bool { return v.is("false") }) {
			m.extras = append(m.extras, extra{l.dfa, schemas})
		}
	}
	return nil
}

// nameLanguage returns the names that propertyNames allows.
func (c *Compiler) nameLanguage(owner, v *value) (*regular.DFA, error) {
	j := &conjunction{}
	if err := c.with(j, v, nil); err != nil {
		return nil, err
	}
	if len(j.choices) > 0 {
		return nil, fail(owner, "propertyNames", "anyOf and oneOf are not supported in it")
	}
	if j.never {
		return regular.Strings(), nil
	}
	l, err := c.language(j)
	if err != nil {
		return nil, err
	}
	length, err := regular.Whole(`(?:.|[\n\r\u2028\u2029])` + counts(l.low, l.high))
	if err == nil {
		err = l.intersect(length)
	}
	for _, s := range j.own {
		values := []*value{s.fields["const"]}
		if list := s.fields["enum"]; list != nil {
			values = list.items
		} else if values[0] == nil {
			continue
		}
		var texts []string
		for _, item := range values {
			if item.kind == text {
				texts = append(texts, item.text)
			}
		}
		if err == nil {
			err = l.intersect(regular.Strings(texts...))
		}
	}
	if err != nil {
		return nil, fail(owner, "propertyNames", "%v", err)
	}
	return l.dfa, nil
}

func (c *Compiler) object(j *conjunction) (grammar.Node, error) {
	m, err := c.members(j)
	if err == nil {
		err = c.extras(j, &m)
	}
	if err != nil {
		return 0, err
	}
	required := 0
	for _, p := range m.declared {
		if p.required {
			required++
		}
	}
	extras := -1 // how many there may be
	if len(m.extras) == 0 {
		extras = 0
	}
	if m.high >= 0 && (extras != 0 || len(m.declared) > m.high) {
		if required < len(m.declared) && len(m.declared) != 0 {
			v, _ := j.first([]string{"maxProperties"})
			return 0, fail(v, "maxProperties", "it is not supported beside properties that may be left out")
		}
		if extras = m.high - required; extras > maxCounted {
			v, _ := j.first([]string{"maxProperties"})
			return 0, fail(v, "maxProperties", "more than %d are not supported", maxCounted)
		}
		if len(m.extras) == 0 && extras > 0 {
			extras = 0
		}
	}
	if m.low > max(required, 1) {
		v, _ := j.first([]string{"minProperties"})
		return 0, fail(v, "minProperties", "it is supported up to the number of required properties, or 1")
	}
	if extras < -1 || m.high >= 0 && m.high < required {
		return c.b.Choice(), nil
	}
	return c.layout(m, extras)
}

// layout reads the declared properties in their order, then up to so many others, -1 for any number.
func (c *Compiler) layout(m members, extras int) (grammar.Node, error) {
	end := c.b.Literal("}", grammar.Return)
	more, after, err := c.others(m.extras, c.b.Call(c.space, end), extras)
	if err != nil {
		return 0, err
	}
	// more reads at least one further property, after reads a comma and that, or the end.
	optional := true // all from here on may be left out
	for _, p := range slices.Backward(m.declared) {
		r, err := c.rule(&conjunction{}, p.schemas...)
		if err != nil {
			return 0, err
		}
		read := c.b.Literal(quote(p.name)+":", c.spaced(c.b.Call(r, after)))
		if p.required {
			optional, more = false, read
		} else {
			more = c.b.Choice(read, more)
		}
		after = c.b.Literal(",", c.b.Call(c.space, more))
		if optional {
			after = c.b.Choice(after, c.b.Call(c.space, end))
		}
	}
	start := more
	if optional && m.low == 0 {
		start = c.b.Choice(more, end)
	}
	return c.b.Literal("{", c.b.Call(c.space, start)), nil
}

// others reads properties that are not declared.
func (c *Compiler) others(extras []extra, end grammar.Node, most int) (more, after grammar.Node, err error) {
	after = end
	if most == 0 {
		return c.b.Choice(), after, nil
	}
	loop := c.b.Forward()
	if most < 0 {
		after = loop
	}
	names, values := make([]grammar.Rule, len(extras)), make([]grammar.Rule, len(extras))
	for i, e := range extras {
		if values[i], err = c.rule(&conjunction{}, e.schemas...); err != nil {
			return 0, 0, err
		}
		names[i] = c.key(e.names)
	}
	for range max(most, 1) {
		var of []grammar.Node
		for i := range extras {
			of = append(of, c.b.Literal(`"`, c.b.Call(names[i], c.b.Literal(":", c.spaced(c.b.Call(values[i], after))))))
		}
		more = c.b.Choice(of...)
		after = c.b.Choice(end, c.b.Literal(",", c.b.Call(c.space, more)))
	}
	if most < 0 {
		c.b.Link(loop, after)
	}
	return more, after, c.b.Err()
}

// key reads a name that is not declared, without its first quote.
func (c *Compiler) key(names *regular.DFA) grammar.Rule {
	if names != nil {
		return c.b.Quoted(names, 0, -1)
	}
	name := "any name"
	r, ok := c.leaves[name]
	if !ok {
		r = c.b.String(0, -1)
		c.leaves[name] = r
	}
	return r
}

// spaced reads an optional space.
func (c *Compiler) spaced(next grammar.Node) grammar.Node {
	return c.b.Choice(next, c.b.Literal(" ", next))
}
