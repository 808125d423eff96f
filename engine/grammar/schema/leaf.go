package schema

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/grammar"
	"github.com/gptoss/gptoss-operator/engine/grammar/regular"
)

// language is what is asked of a text.
type language struct {
	dfa       *regular.DFA // nil for any
	low, high int          // characters; high is -1 for no bound
	name      string
}

// language combines the keywords for strings.
func (c *Compiler) language(j *conjunction) (language, error) {
	l := language{high: -1}
	var names []string
	for _, v := range j.own {
		l.low = max(l.low, count(v, "minLength", 0))
		if high := count(v, "maxLength", -1); high >= 0 && (l.high < 0 || high < l.high) {
			l.high = high
		}
		for _, key := range []string{"pattern", "format"} {
			field := v.fields[key]
			if field == nil {
				continue
			}
			d, err := c.automaton(v, key, field.text)
			if err != nil {
				return l, err
			}
			if name := key + ":" + field.text; d != nil && !slices.Contains(names, name) {
				names = append(names, name)
				if err := l.intersect(d); err != nil {
					return l, fail(v, key, "%v", err)
				}
				if c.spent.work += l.dfa.Cost; c.spent.work > maxWork {
					return l, grammar.ErrTooLarge
				}
			}
		}
	}
	l.name = fmt.Sprintf("%q %d %d", names, l.low, l.high)
	return l, nil
}

func (l *language) intersect(d *regular.DFA) (err error) {
	if l.dfa == nil {
		l.dfa = d
		return nil
	}
	l.dfa, err = l.dfa.Intersect(d)
	return err
}

// automaton returns that of a pattern or format, or nil if it allows everything.
func (c *Compiler) automaton(v *value, key, text string) (*regular.DFA, error) {
	if key == "pattern" {
		return c.found(v, key, text)
	}
	switch text {
	case "int32", "int64", "uint32", "uint64", "float", "double": // of numbers, by OpenAPI
		return nil, nil
	}
	d, ok := regular.Format(text)
	if !ok {
		return nil, fail(v, key, "%.64q is not supported; supported are %s", text, strings.Join(regular.Formats(), ", "))
	}
	if c.probing {
		return nil, nil
	}
	return d, nil
}

// found returns the texts in which a pattern is found.
func (c *Compiler) found(v *value, key, pattern string) (*regular.DFA, error) {
	if d := c.automata[pattern]; d != nil {
		return d, nil
	}
	d, err := regular.Pattern(pattern)
	if err != nil {
		return nil, fail(v, key, "%v", err)
	}
	if c.spent.work += d.Cost; c.spent.work > maxWork {
		return nil, grammar.ErrTooLarge
	}
	c.automata[pattern] = d
	return d, nil
}

func (c *Compiler) string(j *conjunction) (grammar.Node, error) {
	l, err := c.language(j)
	if err != nil {
		return 0, err
	}
	r, ok := c.leaves[l.name]
	if !ok {
		if l.dfa == nil {
			r = c.b.String(l.low, l.high)
		} else {
			r = c.b.Quoted(l.dfa, l.low, l.high)
		}
		c.leaves[l.name] = r
	}
	return c.b.Literal(`"`, c.b.Call(r, grammar.Return)), nil
}

func (c *Compiler) number(j *conjunction, integer bool) (grammar.Node, error) {
	spec := regular.NumberSpec{Integer: integer}
	low := func(r *big.Rat, open bool) {
		if r != nil && (spec.Low == nil || r.Cmp(spec.Low) > 0 || r.Cmp(spec.Low) == 0 && open) {
			spec.Low, spec.LowOpen = r, open
		}
	}
	high := func(r *big.Rat, open bool) {
		if r != nil && (spec.High == nil || r.Cmp(spec.High) < 0 || r.Cmp(spec.High) == 0 && open) {
			spec.High, spec.HighOpen = r, open
		}
	}
	blamed, keyword := j.first(typeKeywords[typeNumber|typeInteger])
	for _, v := range j.own {
		low(bound(v, "minimum"), false)
		low(bound(v, "exclusiveMinimum"), true)
		high(bound(v, "maximum"), false)
		high(bound(v, "exclusiveMaximum"), true)
		if m := bound(v, "multipleOf"); m != nil {
			if spec.MultipleOf != nil && spec.MultipleOf.Cmp(m) != 0 {
				return 0, fail(v, "multipleOf", "two different ones at once are not supported")
			}
			spec.MultipleOf = m
		}
		if format := v.fields["format"]; format != nil {
			switch format.text {
			case "int32":
				low(big.NewRat(-1<<31, 1), false)
				high(big.NewRat(1<<31-1, 1), false)
			case "uint32":
				high(big.NewRat(1<<32-1, 1), false)
				low(new(big.Rat), false)
			case "uint64":
				low(new(big.Rat), false)
			}
		}
	}
	name := fmt.Sprintf("number %v %v %v %v %v %v", integer, spec.Low, spec.LowOpen, spec.High, spec.HighOpen, spec.MultipleOf)
	r, ok := c.leaves[name]
	if !ok {
		d, err := regular.Number(spec)
		if err != nil && blamed != nil {
			return 0, fail(blamed, keyword, "%v", err)
		}
		if err != nil {
			return 0, errors.Join(errors.New("schema"), err)
		}
		r = c.b.Raw(d)
		c.leaves[name] = r
	}
	return c.b.Call(r, grammar.Return), nil
}

// first finds a schema that has one of some keywords.
func (j *conjunction) first(keywords []string) (*value, string) {
	for _, v := range j.own {
		for _, k := range keywords {
			if v.fields[k] != nil {
				return v, k
			}
		}
	}
	return nil, ""
}
