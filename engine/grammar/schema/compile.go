package schema

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/grammar"
	"github.com/gptoss/gptoss-operator/engine/grammar/regular"
)

// Bounds of what a schema may ask for.
const (
	maxRules  = 20_000
	maxProbes = 2_000      // pairs of oneOf that are looked at
	maxProbed = 400_000    // places of grammars made for that
	maxVisits = 200_000    // schemas that are put together
	maxWork   = 60_000_000 // steps that automata take to make
	maxIndent = 32
)

// Compiler adds the rules of schemas to a grammar.
type Compiler struct {
	b        *grammar.Builder
	roots    int32 // how many schemas came before; part of a rule's name
	rules    map[string]grammar.Rule
	leaves   map[string]grammar.Rule
	space    grammar.Rule
	checked  map[*value]bool
	root     *value
	automata map[string]*regular.DFA // of patterns
	// listedKeys has the values of each enum.
	listedKeys map[*value]map[string]bool
	spent      *spent
	probing    bool // formats count for nothing, oneOf as anyOf
}

// spent is what a schema has cost.
type spent struct{ probes, probed, visits, work int }

// New returns a compiler.
func New(b *grammar.Builder) *Compiler {
	c := &Compiler{
		b: b, rules: map[string]grammar.Rule{}, leaves: map[string]grammar.Rule{}, checked: map[*value]bool{},
		automata: map[string]*regular.DFA{}, listedKeys: map[*value]map[string]bool{}, spent: &spent{},
	}
	c.space = b.Rule()
	indent := b.Choice(grammar.Return)
	for range maxIndent {
		indent = b.Choice(b.Literal(" ", indent), b.Literal("\t", indent), grammar.Return)
	}
	b.Define(c.space, b.Choice(b.Literal(" ", grammar.Return), b.Literal("\n", indent), grammar.Return))
	return c
}

// Add returns the rule that reads what validates. An error that is the schema's fault is an [*Error].
func (c *Compiler) Add(raw []byte) (grammar.Rule, error) {
	root, err := read(raw)
	if err != nil {
		return 0, &Error{Pointer: "#", Reason: err.Error()}
	}
	c.root, c.spent = root, &spent{}
	c.roots++
	rule, err := c.rule(&conjunction{}, root)
	if err == nil {
		err = c.b.Err()
	}
	if err != nil {
		return 0, c.blame(err)
	}
	if c.b.Empty(c.b.Call(rule, grammar.Return)) {
		return 0, &Error{Pointer: "#", Reason: grammar.ErrEmpty.Error()}
	}
	return rule, nil
}

// blame makes an [*Error] of what is too large.
func (c *Compiler) blame(err error) error {
	if errors.Is(err, grammar.ErrTooLarge) {
		return &Error{Pointer: "#", Reason: "it takes too many states"}
	}
	return err
}

// conjunction is schemas that must all hold: their own keywords, and choices between further schemas.
type conjunction struct {
	own     []*value
	choices []*value // arrays of anyOf and oneOf
	never   bool
}

// with adds a schema and those it refers to.
func (c *Compiler) with(j *conjunction, v *value, following []*value) error {
	if !c.checked[v] {
		if err := check(v); err != nil {
			return err
		}
		c.checked[v] = true
	}
	if v.kind == boolean {
		j.never = j.never || v.is("false")
		return nil
	}
	if slices.Contains(following, v) {
		return fail(v, "$ref", "it leads back to itself")
	}
	if c.spent.visits++; c.spent.visits > maxVisits {
		return grammar.ErrTooLarge
	}
	following = append(following, v)
	if !slices.Contains(j.own, v) {
		j.own = append(j.own, v)
	}
	if ref := v.fields["$ref"]; ref != nil {
		to, err := c.resolve(v, ref.text)
		if err != nil {
			return err
		}
		if err := c.with(j, to, following); err != nil {
			return err
		}
	}
	if all := v.fields["allOf"]; all != nil {
		for _, item := range all.items {
			if err := c.with(j, item, following); err != nil {
				return err
			}
		}
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if choice := v.fields[key]; choice != nil && !slices.Contains(j.choices, choice) {
			j.choices = append(j.choices, choice)
		}
	}
	return nil
}

// resolve finds what a reference within the schema means.
func (c *Compiler) resolve(v *value, ref string) (*value, error) {
	fragment, ok := strings.CutPrefix(ref, "#")
	if id := c.root.fields["$id"]; !ok && id != nil && id.text != "" {
		fragment, ok = strings.CutPrefix(ref, strings.TrimSuffix(id.text, "#")+"#")
	}
	path, err := url.PathUnescape(fragment)
	if !ok || err != nil || path != "" && path[0] != '/' {
		return nil, fail(v, "$ref", "only references within the schema are supported, such as \"#/$defs/name\"")
	}
	at := c.root
	for _, name := range strings.Split(path, "/")[1:] {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		var next *value
		switch at.kind {
		case object:
			next = at.fields[name]
		case array:
			if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(at.items) {
				next = at.items[i]
			}
		}
		if next == nil {
			return nil, fail(v, "$ref", "there is nothing at %.100q", ref)
		}
		at = next
	}
	return at, nil
}

func (j *conjunction) clone() *conjunction {
	return &conjunction{slices.Clone(j.own), slices.Clone(j.choices), j.never}
}

// name tells conjunctions apart.
func (c *Compiler) name(j *conjunction) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", c.roots)
	for _, v := range j.own {
		if carries(v) {
			fmt.Fprintf(&b, "%d,", v.id)
		}
	}
	b.WriteByte('|')
	for _, v := range j.choices {
		fmt.Fprintf(&b, "%d,", v.id)
	}
	if j.never {
		return "never"
	}
	return b.String()
}

// carries reports whether a schema has keywords of its own that say something.
func carries(v *value) bool {
	return slices.ContainsFunc(v.keys, func(k string) bool {
		switch k {
		case "$ref", "allOf", "anyOf", "oneOf", "$defs", "definitions", "$id":
			return false
		}
		return !slices.Contains(annotations, k)
	})
}

// rule returns the rule of a conjunction and further schemas.
func (c *Compiler) rule(j *conjunction, more ...*value) (grammar.Rule, error) {
	j = j.clone()
	for _, v := range more {
		if err := c.with(j, v, nil); err != nil {
			return 0, err
		}
	}
	name := c.name(j)
	if r, ok := c.rules[name]; ok {
		return r, nil
	}
	r := c.b.Rule()
	c.rules[name] = r
	if err := c.b.Err(); err != nil || len(c.rules) > maxRules {
		return r, grammar.ErrTooLarge
	}
	start, err := c.body(j)
	if err != nil {
		return r, err
	}
	c.b.Define(r, start)
	return r, nil
}

func (c *Compiler) body(j *conjunction) (grammar.Node, error) {
	if j.never {
		return c.b.Choice(), nil
	}
	if len(j.choices) == 0 {
		return c.value(j)
	}
	choice := j.choices[0]
	rest := &conjunction{own: j.own, choices: j.choices[1:]}
	if choice.name == "oneOf" && !c.probing {
		if err := c.exclusive(rest, choice); err != nil {
			return 0, err
		}
	}
	var of []grammar.Node
	for _, option := range choice.items {
		r, err := c.rule(rest, option)
		if err != nil {
			return 0, err
		}
		of = append(of, c.b.Call(r, grammar.Return))
	}
	return c.b.Choice(of...), nil
}

// value reads a value of any of the types that are allowed.
func (c *Compiler) value(j *conjunction) (grammar.Node, error) {
	allowed, spoken := allTypes, types(0)
	named := false
	for _, v := range j.own {
		if v.fields["enum"] != nil || v.fields["const"] != nil {
			return c.listed(j)
		}
		t, err := typesIn(v)
		if err != nil {
			return 0, err
		}
		allowed &= t
		named = named || v.fields["type"] != nil
		spoken |= inferred(v)
	}
	if !named && spoken != 0 {
		allowed = spoken
	}
	var of []grammar.Node
	add := func(n grammar.Node, err error) error {
		of = append(of, n)
		return err
	}
	var err error
	if allowed&typeObject != 0 {
		err = add(c.object(j))
	}
	if allowed&typeArray != 0 && err == nil {
		err = add(c.array(j))
	}
	if allowed&typeString != 0 && err == nil {
		err = add(c.string(j))
	}
	if allowed&typeInteger != 0 && err == nil {
		err = add(c.number(j, allowed&typeNumber == 0))
	}
	if allowed&typeBoolean != 0 {
		of = append(of, c.b.Texts([]string{"true", "false"}, grammar.Return))
	}
	if allowed&typeNull != 0 {
		of = append(of, c.b.Literal("null", grammar.Return))
	}
	return c.b.Choice(of...), err
}

// listed reads one of the values that enum and const leave.
func (c *Compiler) listed(j *conjunction) (grammar.Node, error) {
	var values []*value
	for _, v := range j.own {
		if constant := v.fields["const"]; constant != nil {
			values = []*value{constant}
			break
		}
		if list := v.fields["enum"]; list != nil && values == nil {
			values = list.items
		}
	}
	var texts []string
	for _, v := range values {
		ok := true
		for _, s := range j.own {
			holds, err := c.holds(s, v, false, 0)
			if err != nil {
				return 0, err
			}
			ok = ok && holds
		}
		if ok {
			var b strings.Builder
			v.write(&b)
			texts = append(texts, b.String())
		}
	}
	if len(texts) == 0 {
		return c.b.Choice(), nil
	}
	return c.b.Texts(texts, grammar.Return), nil
}
