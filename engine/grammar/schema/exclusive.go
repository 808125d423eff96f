package schema

import (
	"errors"
	"slices"

	"github.com/gptoss/gptoss-operator/engine/grammar"
)

// exclusive makes sure that no two alternatives of a oneOf hold at once: whether a value satisfies exactly one cannot be
// told while it is written.
func (c *Compiler) exclusive(rest *conjunction, choice *value) error {
	for i, a := range choice.items {
		for _, b := range choice.items[i+1:] {
			if c.tagged(a, b) {
				continue
			}
			if c.spent.probes++; c.spent.probes > maxProbes || c.spent.probed > maxProbed {
				return fail(choice.parent, "oneOf", "it has too many alternatives; use anyOf")
			}
			p := New(grammar.NewBuilder())
			p.root, p.probing, p.spent, p.checked, p.automata = c.root, true, c.spent, c.checked, c.automata
			r, err := p.rule(rest, a, b)
			c.spent.probed += p.b.Size()
			if errors.Is(err, grammar.ErrTooLarge) || errors.Is(p.b.Err(), grammar.ErrTooLarge) {
				return fail(choice.parent, "oneOf", "its alternatives are too large to be told apart; use anyOf")
			}
			if err != nil || !p.b.Empty(p.b.Call(r, grammar.Return)) {
				return fail(choice.parent, "oneOf", "alternatives %s and %s may hold at once; use anyOf, or a property that tells them apart", a.name, b.name)
			}
		}
	}
	return nil
}

// tagged reports whether two schemas are of objects that a required property with other constants tells apart, as in the
// unions that Pydantic and Zod discriminate. It says so without compiling them.
func (c *Compiler) tagged(a, b *value) bool {
	var sides [2]conjunction
	for i, v := range []*value{a, b} {
		if c.with(&sides[i], v, nil) != nil || !sides[i].object() {
			return false
		}
	}
	names, required := declaredNames(&sides[0])
	_, too := declaredNames(&sides[1])
	return slices.ContainsFunc(names, func(name string) bool {
		if !required[name] || !too[name] {
			return false
		}
		one, other := sides[0].constants(name), sides[1].constants(name)
		return one != nil && other != nil && !slices.ContainsFunc(one, func(v *value) bool { return slices.ContainsFunc(other, v.equal) })
	})
}

// object reports whether nothing but objects can hold.
func (j *conjunction) object() bool {
	return slices.ContainsFunc(j.own, func(v *value) bool {
		t, err := typesIn(v)
		return err == nil && t == typeObject
	})
}

// constants are the values of which a property must have one, or nil.
func (j *conjunction) constants(name string) []*value {
	for _, v := range j.own {
		properties := v.fields["properties"]
		if properties == nil || properties.fields[name] == nil {
			continue
		}
		p := properties.fields[name]
		if p.fields["const"] != nil {
			return []*value{p.fields["const"]}
		}
		if list := p.fields["enum"]; list != nil {
			return list.items
		}
	}
	return nil
}
