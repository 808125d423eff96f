package schema

import (
	"fmt"
	"math/big"
	"slices"
	"unicode/utf8"

	"github.com/gptoss/gptoss-operator/engine/grammar"
)

// maxChecks bounds how deep values are compared with schemas.
const maxChecks = 64

// counts writes a quantifier.
func counts(low, high int) string {
	if high < 0 {
		return fmt.Sprintf("{%d,}", low)
	}
	return fmt.Sprintf("{%d,%d}", low, high)
}

// holds reports whether a value that a schema lists satisfies another: its own keywords, and if whole those of the schemas
// it refers to as well.
func (c *Compiler) holds(s, v *value, whole bool, depth int) (bool, error) {
	if !c.checked[s] {
		if err := check(s); err != nil {
			return false, err
		}
		c.checked[s] = true
	}
	if s.kind == boolean {
		return s.is("true"), nil
	}
	if c.spent.visits++; c.spent.visits > maxVisits {
		return false, grammar.ErrTooLarge
	}
	if depth > maxChecks {
		return false, fail(s, "", "the values of enum and const cannot be compared with it")
	}
	if ok, err := c.holdsOwn(s, v, depth); !ok || err != nil || !whole {
		return ok, err
	}
	if ref := s.fields["$ref"]; ref != nil {
		to, err := c.resolve(s, ref.text)
		if err != nil {
			return false, err
		}
		if ok, err := c.holds(to, v, true, depth+1); !ok || err != nil {
			return false, err
		}
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		if s.fields[key] == nil {
			continue
		}
		n, all := 0, s.fields[key].items
		for _, sub := range all {
			ok, err := c.holds(sub, v, true, depth+1)
			if err != nil {
				return false, err
			}
			if ok {
				n++
			}
		}
		if n == 0 || key == "allOf" && n < len(all) || key == "oneOf" && n > 1 {
			return false, nil
		}
	}
	return true, nil
}

func (c *Compiler) holdsOwn(s, v *value, depth int) (bool, error) {
	allowed, err := typesIn(s)
	if err != nil {
		return false, err
	}
	if constant := s.fields["const"]; constant != nil && !constant.equal(v) {
		return false, nil
	}
	if list := s.fields["enum"]; list != nil && !c.lists(list, v) {
		return false, nil
	}
	switch v.kind {
	case null:
		return allowed&typeNull != 0, nil
	case boolean:
		return allowed&typeBoolean != 0, nil
	case number:
		r, err := v.rational()
		return err == nil && (allowed&typeNumber != 0 || allowed&typeInteger != 0 && r.IsInt()) && within(s, r), nil
	case text:
		if allowed&typeString == 0 {
			return false, nil
		}
		l, err := c.language(&conjunction{own: []*value{s}})
		n := utf8.RuneCountInString(v.text)
		return err == nil && n >= l.low && (l.high < 0 || n <= l.high) && (l.dfa == nil || l.dfa.Match(v.text)), err
	case array:
		if allowed&typeArray == 0 {
			return false, nil
		}
		return c.holdsArray(s, v, depth)
	}
	if allowed&typeObject == 0 {
		return false, nil
	}
	return c.holdsObject(s, v, depth)
}

// lists reports whether an enum has a value.
func (c *Compiler) lists(enum, v *value) bool {
	keys := c.listedKeys[enum]
	if keys == nil {
		keys = map[string]bool{}
		for _, item := range enum.items {
			keys[item.key()] = true
		}
		c.listedKeys[enum] = keys
	}
	return keys[v.key()]
}

func within(s *value, r *big.Rat) bool {
	for key, ok := range map[string]func(sign int) bool{
		"minimum": func(sign int) bool { return sign >= 0 }, "exclusiveMinimum": func(sign int) bool { return sign > 0 },
		"maximum": func(sign int) bool { return sign <= 0 }, "exclusiveMaximum": func(sign int) bool { return sign < 0 },
	} {
		if b := bound(s, key); b != nil && !ok(r.Cmp(b)) {
			return false
		}
	}
	m := bound(s, "multipleOf")
	return m == nil || m.Sign() > 0 && new(big.Rat).Quo(r, m).IsInt()
}

func (c *Compiler) holdsArray(s, v *value, depth int) (bool, error) {
	n := len(v.items)
	if n < count(s, "minItems", 0) || n > count(s, "maxItems", n) {
		return false, nil
	}
	prefix, items := shape(s)
	for i, item := range v.items {
		sub := items
		if i < len(prefix) {
			sub = prefix[i]
		}
		if sub != nil {
			if ok, err := c.holds(sub, item, true, depth+1); !ok || err != nil {
				return false, err
			}
		}
		if s.fields["uniqueItems"].is("true") && slices.ContainsFunc(v.items[:i], item.equal) {
			return false, nil
		}
	}
	return true, nil
}

func (c *Compiler) holdsObject(s, v *value, depth int) (bool, error) {
	j := &conjunction{own: []*value{s}}
	m, err := c.members(j)
	if err != nil {
		return false, err
	}
	n := len(v.keys)
	if n < m.low || m.high >= 0 && n > m.high {
		return false, nil
	}
	for _, p := range m.declared {
		if p.required && v.fields[p.name] == nil {
			return false, nil
		}
	}
	for _, key := range v.keys {
		if m.names != nil && !m.names.Match(key) {
			return false, nil
		}
		for _, sub := range schemasOf(j, m.patterns, key) {
			if ok, err := c.holds(sub, v.fields[key], true, depth+1); !ok || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}
