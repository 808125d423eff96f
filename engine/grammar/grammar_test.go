package grammar

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/grammar/regular"
)

// words is a vocabulary of some texts, whose last token is a control token.
func words(texts ...string) *Vocabulary {
	return NewVocabulary(len(texts)+1, func(id int32) ([]byte, bool) {
		if int(id) == len(texts) {
			return []byte("<|end|>"), true
		}
		return []byte(texts[id]), false
	})
}

func build(t *testing.T, v *Vocabulary, write func(b *Builder) Node) *Grammar {
	t.Helper()
	b := NewBuilder()
	p, err := b.Build(write(b))
	if err != nil {
		t.Fatal(err)
	}
	return New(p, v)
}

// allowed lists the texts of the tokens that may come next, checked against the automaton. A control token is shown by name.
func allowed(t *testing.T, m *Matcher, v *Vocabulary) []string {
	t.Helper()
	mask := make([]uint64, v.Words())
	m.Mask(mask)
	out := []string{}
	for id := range int32(len(v.texts)) {
		set := mask[id/64]>>(id%64)&1 != 0
		if set != m.Allows(id) {
			t.Errorf("the mask says %v of %q, the automaton does not", set, v.texts[id])
		}
		if set {
			text := string(v.texts[id])
			if strings.HasPrefix(text, "\xff") {
				text = "<|end|>"
			}
			out = append(out, text)
		}
	}
	return out
}

func accept(m *Matcher, v *Vocabulary, texts ...string) {
	for _, text := range texts {
		m.Accept(v.Find(text))
	}
}

func TestMasks(t *testing.T) {
	// [ "string" , "string" ] with two to three characters in each.
	pair := func(b *Builder) Node {
		s := b.String(2, 3)
		return b.Literal(`["`, b.Call(s, b.Literal(`,"`, b.Call(s, b.Literal(`]`, Return)))))
	}
	vocabulary := []string{`[`, `["`, `"`, `a`, `ab`, `abcd`, `","`, `a","b`, `"]`, `"],`, "\xc3", "\xa9", "é", `\`, `\n`, `n`, `\u0041`, "a\xc3", "😀😀", `["ab","`}
	for name, tc := range map[string]struct {
		after []string
		want  []string
	}{
		"at the beginning":                      {nil, []string{`[`, `["`, `["ab","`}},
		"inside the first bracket":              {[]string{`[`}, []string{`"`, `"]`, `"],`}},
		"a string with room for three":          {[]string{`["`}, []string{`[`, `a`, `ab`, "\xc3", "é", `\`, `\n`, `n`, `\u0041`, "a\xc3", "😀😀"}},
		"one more character is needed":          {[]string{`["`, `a`}, []string{`[`, `["`, `a`, `ab`, `a","b`, "\xc3", "é", `\`, `\n`, `n`, `\u0041`, "a\xc3", "😀😀"}},
		"a character was begun":                 {[]string{`["`, "a\xc3"}, []string{"\xa9"}},
		"an escape was begun":                   {[]string{`["`, `\`}, []string{`"`, `","`, `"]`, `"],`, `\`, `\n`, `n`}},
		"there may be an end":                   {[]string{`["`, `ab`}, []string{`[`, `["`, `"`, `a`, `","`, `a","b`, "\xc3", "é", `\`, `\n`, `n`, `\u0041`}},
		"there must be an end":                  {[]string{`["`, `ab`, `a`}, []string{`"`, `","`}},
		"the second string begins in the token": {[]string{`["`, `a`, `a","b`}, []string{`[`, `["`, `a`, `ab`, "\xc3", "é", `\`, `\n`, `n`, `\u0041`, "a\xc3", "😀😀"}},
		"the end of the second":                 {[]string{`["ab","`, `ab`, "é"}, []string{`"`, `"]`}},
		"nothing follows":                       {[]string{`["ab","`, `ab`, `"]`}, []string{}},
		"what was not allowed":                  {[]string{`["`, `abcd`}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			v := words(vocabulary...)
			m := build(t, v, pair).NewMatcher()
			accept(m, v, tc.after...)
			if diff := cmp.Diff(tc.want, allowed(t, m, v)); diff != "" {
				t.Errorf("allowed (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestControlTokens(t *testing.T) {
	v := words("a", "b", "\xff", "")
	m := build(t, v, func(b *Builder) Node { return b.Literal("a", b.Anything(b.Token(4, b.Literal("b", Return)))) }).NewMatcher()
	accept(m, v, "a")
	if diff := cmp.Diff([]string{"a", "b", "<|end|>"}, allowed(t, m, v)); diff != "" {
		t.Errorf("in free text (-want,+got):\n%s", diff)
	}
	m.Accept(1)
	m.Accept(4)
	if diff := cmp.Diff([]string{"b"}, allowed(t, m, v)); diff != "" {
		t.Errorf("behind the control token (-want,+got):\n%s", diff)
	}
	m.Accept(1)
	if !m.Complete() || m.Dead() {
		t.Error("the answer is not complete")
	}
	if m.Accept(-1); !m.Dead() {
		t.Error("an unknown token was accepted")
	}
}

// TestAmbiguity reads the same bytes in several rules at once.
func TestAmbiguity(t *testing.T) {
	v := words("(", ")", "x", "y", "((", "x)", "))y")
	g := build(t, v, func(b *Builder) Node {
		// one = "(" one ")" | "x", two = "(" two ")" | "x" ")", followed by "y" and "x".
		one, two := b.Rule(), b.Rule()
		b.Define(one, b.Choice(b.Literal("(", b.Call(one, b.Literal(")", Return))), b.Literal("x", Return)))
		b.Define(two, b.Choice(b.Literal("(", b.Call(two, b.Literal(")", Return))), b.Literal("x)", Return)))
		return b.Choice(b.Call(one, b.Literal("y", Return)), b.Call(two, b.Literal("x", Return)))
	})
	m := g.NewMatcher()
	accept(m, v, "((", "x)")
	if diff := cmp.Diff([]string{")"}, allowed(t, m, v)); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
	accept(m, v, ")")
	if diff := cmp.Diff([]string{")", "y"}, allowed(t, m, v)); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
	if accept(m, v, ")"); !slices.Equal(allowed(t, m, v), []string{"x"}) {
		t.Errorf("%v may follow", allowed(t, m, v))
	}
}

func TestTokensWithTheSameBytes(t *testing.T) {
	v := words("a", "b", "a")
	m := build(t, v, func(b *Builder) Node { return b.Literal("a", Return) }).NewMatcher()
	if diff := cmp.Diff([]string{"a", "a"}, allowed(t, m, v)); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
	if m.Accept(2); !m.Complete() {
		t.Error("the second of them is not accepted")
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		write func(b *Builder) Node
		want  error
	}{
		"nothing": {func(b *Builder) Node { return b.Choice() }, ErrEmpty},
		"a rule without an end": {func(b *Builder) Node {
			r := b.Rule()
			b.Define(r, b.Literal("(", b.Call(r, Return)))
			return b.Call(r, Return)
		}, ErrEmpty},
		"a rule without a body":    {func(b *Builder) Node { return b.Call(b.Rule(), Return) }, ErrEmpty},
		"lengths that never fit":   {func(b *Builder) Node { return b.Call(b.Quoted(regular.Strings("ab", "abc"), 4, 9), Return) }, ErrEmpty},
		"too many places":          {func(b *Builder) Node { return b.Literal(strings.Repeat("x", maxNodes), Return) }, ErrTooLarge},
		"a length beyond counting": {func(b *Builder) Node { return b.Call(b.Quoted(regular.Strings("a", "b"), 0, 1<<30), Return) }, ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBuilder()
			if _, err := b.Build(tc.write(b)); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
		})
	}
}

// TestForgetting has a matcher go on after the grammar has forgotten what it kept.
func TestForgetting(t *testing.T) {
	v := words(`"`, "a", "b", `a"`, `,"`)
	g := build(t, v, func(b *Builder) Node {
		list := b.Forward()
		s := b.Quoted(regular.Strings("ab", "aab"), 0, -1)
		item := b.Literal(`"`, b.Call(s, list))
		b.Link(list, Return)
		b.Link(list, b.Literal(",", item))
		return item
	})
	m := g.NewMatcher()
	for range 3 {
		accept(m, v, `"`, "a")
		if diff := cmp.Diff([]string{"a", "b"}, allowed(t, m, v)); diff != "" {
			t.Fatalf("(-want,+got):\n%s", diff)
		}
		g.reset()
		accept(m, v, "b", `"`)
		if !m.Complete() {
			t.Fatal("the list cannot end")
		}
		m = g.NewMatcher()
	}
}
