package schema

import (
	"errors"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/grammar"
	"github.com/gptoss/gptoss-operator/engine/grammar/schema/schematest"
)

// syllables are tokens of several bytes, as they cut JSON in awkward places.
var syllables = []string{
	`{"`, `":`, `": "`, `","`, `"}`, `"]`, `},{"`, `[]`, `, "`, `\"`, `\u`, `\u00`, `00e9"`, "é\xf0", "\x9f\x98", "\x80\":", `a"`, `ab`, `b","a`, `12`, `3,`, `0.5`, `null`, `true,`, "\n  ", ` {`, `-1`, `e+`, `}}`,
}

// letters is a vocabulary of single bytes, whose ids they are, and of syllables.
var letters = grammar.NewVocabulary(256+len(syllables), func(id int32) ([]byte, bool) {
	if id < 256 {
		return []byte{byte(id)}, false
	}
	return []byte(syllables[id-256]), false
})

func compiled(raw string) (*grammar.Grammar, error) {
	b := grammar.NewBuilder()
	rule, err := New(b).Add([]byte(raw))
	if err != nil {
		return nil, err
	}
	p, err := b.Build(b.Call(rule, grammar.Return))
	if err != nil {
		return nil, err
	}
	return grammar.New(p, letters), nil
}

// writes reports whether a grammar may write a text.
func writes(g *grammar.Grammar, text string) bool {
	m := g.NewMatcher()
	for _, c := range []byte(text) {
		m.Accept(int32(c))
	}
	return m.Complete()
}

// sample is a schema with texts: those it writes must validate, the invalid ones must not. What is unwritten would validate,
// and is left out as the package comment says.
type sample struct {
	schema                     string
	writes, invalid, unwritten []string
}

func (s sample) run(t *testing.T) {
	g, err := compiled(s.schema)
	if err != nil {
		t.Fatal(err)
	}
	validator := schematest.Compile(t, s.schema)
	for _, text := range s.writes {
		if !writes(g, text) {
			t.Errorf("%s is not written", text)
		}
		if !schematest.Validates(validator, text) {
			t.Errorf("%s is written, but does not validate", text)
		}
	}
	for _, text := range s.invalid {
		if writes(g, text) {
			t.Errorf("%s is written", text)
		}
		if schematest.Validates(validator, text) {
			t.Errorf("%s validates; the test is wrong", text)
		}
	}
	for _, text := range s.unwritten {
		if writes(g, text) {
			t.Errorf("%s is written", text)
		}
		if !schematest.Validates(validator, text) {
			t.Errorf("%s does not validate; the test is wrong", text)
		}
	}
}

func TestStrings(t *testing.T) {
	for name, tc := range map[string]sample{
		"any string": {
			`{"type":"string"}`,
			[]string{`""`, `"a"`, `"é😀"`, `"\n\u00e9\ud83d\ude00\/\""`, "\"\u007f\""},
			[]string{`a`, "\"\n\"", `"\x"`, `"\ud83d`, `1`, `"a`},
			nil,
		},
		"lengths in characters": {
			`{"type":"string","minLength":2,"maxLength":3}`,
			[]string{`"ab"`, `"é😀"`, `"\u00e9\ud83d\ude00x"`, `"\n\n\n"`},
			[]string{`""`, `"a"`, `"abcd"`, `"😀"`, `"\ud83d\ude00"`, `"éééé"`},
			nil,
		},
		"a pattern": {
			`{"type":"string","pattern":"^[a-c\"\\\\\\n]+$"}`,
			[]string{`"abc"`, `"a\"\\\n"`},
			[]string{`""`, `"d"`, `"abcd"`},
			[]string{`"\u0061"`},
		},
		"a pattern that is found anywhere": {
			`{"type":"string","pattern":"b"}`,
			[]string{`"b"`, `"abc"`, `"é\tb\u00e9"`},
			[]string{`"a"`, `""`},
			nil,
		},
		"a pattern and lengths": {
			`{"type":"string","pattern":"^(ab)*$","minLength":3,"maxLength":6}`,
			[]string{`"abab"`, `"ababab"`},
			[]string{`"ab"`, `"abababab"`, `"aba"`},
			nil,
		},
		"a pattern and a format": {
			`{"type":"string","pattern":"^2024","format":"date"}`,
			[]string{`"2024-02-29"`},
			[]string{`"2023-01-01"`, `"2024-02-30"`},
			nil,
		},
		"a format with a bound, as Pydantic writes addresses": {
			`{"type":"string","format":"uri","minLength":1,"maxLength":2083}`,
			[]string{`"https://example.org/a?b=c"`},
			[]string{`""`, `"no"`, `"https://example.org/` + strings.Repeat("a", 2083) + `"`},
			nil,
		},
		"enum": {
			`{"enum":["a","ab","é\"",1,null,{"x":[1,true]}]}`,
			[]string{`"a"`, `"ab"`, `"é\""`, `1`, `null`, `{"x":[1,true]}`},
			[]string{`"b"`, `2`, `"abc"`, `{}`},
			[]string{`1.0`, `{"x": [1,true]}`},
		},
		"enum and other keywords": {
			`{"type":["string","null"],"enum":["red","blue","x",1,null],"minLength":2}`,
			[]string{`"red"`, `"blue"`, `null`},
			[]string{`"x"`, `1`},
			nil,
		},
		"const": {`{"const":"on"}`, []string{`"on"`}, []string{`"off"`, `null`}, nil},
	} {
		t.Run(name, tc.run)
	}
}

// TestLookahead has a pattern that the validator's library cannot read: Zod's, for an e-mail address.
func TestLookahead(t *testing.T) {
	g, err := compiled(`{"type":"string","format":"email","pattern":"^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$"}`)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`"jane.doe+x@example.org"`: true, `"jane..doe@example.org"`: false, `".a@b.cc"`: false, `"jane"`: false, "\"a\xff@b.cc\"": false,
	} {
		if got := writes(g, text); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestValues(t *testing.T) {
	for name, tc := range map[string]sample{
		"anything": {
			`{}`,
			[]string{`null`, `[1, {"a": [true,false]}, "x"]`, `-1.5e10`, `{}`, `[]`, "{\n  \"a\": 1\n}"},
			[]string{`nul`, `[1,]`, `{"a"}`, `01`},
			[]string{` 1`, "[1 ,2]", "[\n\n1]", "1e400"},
		},
		"integers": {
			`{"type":"integer"}`, []string{`0`, `-12`, `999999999999999999`}, []string{`1.5`, `"1"`, `-`}, []string{`1.0`, `1e2`},
		},
		"bounds of integers": {
			`{"type":"integer","minimum":-3,"exclusiveMaximum":12}`, []string{`-3`, `0`, `9`, `11`}, []string{`-4`, `12`, `100`}, []string{`-0`},
		},
		"bounds of numbers": {
			`{"type":"number","exclusiveMinimum":0,"maximum":1}`, []string{`0.1`, `1`, `1.0`, `0.00001`}, []string{`0`, `0.0`, `1.1`, `-1`}, []string{`1e-3`},
		},
		"multiples": {`{"type":"number","multipleOf":0.05}`, []string{`0.05`, `1.5`, `-3`}, []string{`0.01`, `1.51`}, nil},
		"a list of types": {
			`{"type":["integer","null","boolean"]}`, []string{`1`, `null`, `true`}, []string{`"a"`, `1.5`}, nil,
		},
		"keywords imply a type": {
			`{"minimum":3}`, []string{`3`, `3.5`}, []string{`2`}, []string{`"a"`},
		},
		"anyOf": {
			`{"anyOf":[{"type":"string","maxLength":2},{"type":"null"},{"type":"integer","minimum":5}]}`,
			[]string{`"ab"`, `null`, `7`},
			[]string{`"abc"`, `1`, `true`},
			nil,
		},
		"anyOf beside other keywords": {
			`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"anyOf":[{"required":["a"]},{"required":["b"]}],"additionalProperties":false}`,
			[]string{`{"a":1}`, `{"b":1}`, `{"a":1,"b":2}`},
			[]string{`{}`, `{"a":"x"}`},
			nil,
		},
		"allOf": {
			`{"allOf":[{"type":"object","properties":{"a":{"type":"number"}},"required":["a"]},{"type":"object","properties":{"a":{"type":"integer","minimum":2},"b":{"type":"string"}},"required":["b"]}]}`,
			[]string{`{"a":2,"b":""}`},
			[]string{`{"a":1,"b":""}`, `{"a":2}`, `{"a":2.5,"b":""}`},
			[]string{`{"b":"","a":2}`},
		},
		"oneOf with types that exclude each other": {
			`{"oneOf":[{"type":"string"},{"type":"integer"},{"type":"object","properties":{"k":{"const":1}},"required":["k"]},{"type":"object","properties":{"k":{"const":2}},"required":["k"]}]}`,
			[]string{`"a"`, `1`, `{"k":1}`, `{"k":2}`},
			[]string{`{"k":3}`, `{}`, `null`},
			nil,
		},
		"oneOf with a discriminator, as Pydantic writes it": {
			`{"$defs":{"Cat":{"type":"object","properties":{"kind":{"const":"cat"},"lives":{"type":"integer"}},"required":["kind"]},"Dog":{"type":"object","properties":{"kind":{"enum":["dog","wolf"]},"tricks":{"type":"array"}},"required":["kind"]}},"oneOf":[{"$ref":"#/$defs/Cat"},{"$ref":"#/$defs/Dog"}],"discriminator":{"propertyName":"kind"}}`,
			[]string{`{"kind":"cat","lives":9}`, `{"kind":"wolf"}`},
			[]string{`{"kind":"cow"}`, `{"lives":1}`},
			nil,
		},
		"a reference with neighbours": {
			`{"$defs":{"a":{"type":"integer"}},"$ref":"#/$defs/a","minimum":3,"description":"x"}`, []string{`3`}, []string{`2`, `"x"`}, nil,
		},
		"recursion": {
			`{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"],"additionalProperties":false}}}`,
			[]string{`{"v":1,"next":{"v":2,"next":{"v":3,"next":null}}}`},
			[]string{`{"v":1}`, `{"v":1,"next":{"v":2}}`, `{"v":1,"next":1}`},
			nil,
		},
		"recursion in a choice": {
			`{"anyOf":[{"type":"integer"},{"$ref":"#"},{"type":"array","items":{"$ref":"#"}}]}`, []string{`1`, `[1,[2,[]]]`}, []string{`"a"`, `["a"]`}, nil,
		},
	} {
		t.Run(name, tc.run)
	}
}

func TestObjects(t *testing.T) {
	for name, tc := range map[string]sample{
		"properties in their order": {
			`{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"string"}},"required":["b","a"],"additionalProperties":false}`,
			[]string{`{"b":1,"a":"x"}`, `{"b": 1, "a": "x"}`, "{\n  \"b\": 1,\n  \"a\": \"x\"\n}", "{\n\t\"b\": 1,\n\t\"a\": \"x\"\n}"},
			[]string{`{"b":1}`, `{}`, `{"b":1,"a":"x","c":1}`, `{"b":1,"a":"x"`, `{"b":1,,"a":"x"}`},
			[]string{`{"a":"x","b":1}`, "{\n\n\"b\":1,\"a\":\"x\"}", "{\"b\" :1,\"a\":\"x\"}", "{  \"b\":1,\"a\":\"x\"}"},
		},
		"properties that may be left out": {
			`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"},"c":{"type":"integer"},"d":{"type":"integer"}},"required":["b"],"additionalProperties":false}`,
			[]string{`{"b":1}`, `{"a":1,"b":1}`, `{"b":1,"d":1}`, `{"a":1,"b":1,"c":1,"d":1}`, "{\n\"b\":1\n}"},
			[]string{`{}`, `{"a":1}`, `{"b":1,}`, `{,"b":1}`, `{"c":1}`},
			nil,
		},
		"no property is required": {
			`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"additionalProperties":false}`,
			[]string{`{}`, `{"a":1}`, `{"b":1}`, `{"a":1,"b":1}`},
			[]string{`{"c":1}`, `{"a":1,}`, `{"a":null}`},
			[]string{`{"b":1,"a":1}`},
		},
		"nothing is said of others": {
			`{"type":"object","properties":{"a":{"type":"integer"}}}`, []string{`{}`, `{"a":1}`}, []string{`{"a":"x"}`}, []string{`{"b":1}`},
		},
		"others with a schema": {
			`{"type":"object","properties":{"a":{"type":"integer"},"ab":{"type":"integer"}},"required":["a"],"additionalProperties":{"type":"boolean"}}`,
			[]string{`{"a":1}`, `{"a":1,"b":true,"abc":false,"é\n":true,"":true}`, `{"a":1,"ab":2,"x":true}`},
			[]string{`{"a":1,"b":1}`, `{"a":true}`, `{"a":1,"a":true}`, `{"b":true}`, `{"a":1,"ab":true}`},
			[]string{`{"b":true,"a":1}`},
		},
		"a declared name with an escape": {
			`{"type":"object","properties":{"a\"b":{"type":"integer"}},"additionalProperties":{"type":"boolean"}}`,
			[]string{`{"a\"b":1}`, `{"a\"c":true}`},
			[]string{`{"a\"b":true}`, `{"a\u0022b":true}`},
			nil,
		},
		"a map": {
			`{"type":"object","additionalProperties":{"type":"integer"}}`, []string{`{}`, `{"a":1}`, `{"a":1,"b":2}`}, []string{`{"a":"x"}`}, nil,
		},
		"a map with bounds": {
			`{"type":"object","additionalProperties":{"type":"integer"},"minProperties":1,"maxProperties":2}`,
			[]string{`{"a":1}`, `{"a":1,"b":2}`},
			[]string{`{}`, `{"a":1,"b":2,"c":3}`},
			nil,
		},
		"names": {
			`{"type":"object","propertyNames":{"pattern":"^[a-z]{2}$"},"additionalProperties":{"type":"integer"}}`,
			[]string{`{}`, `{"de":1,"fr":2}`},
			[]string{`{"deu":1}`, `{"1":1}`},
			nil,
		},
		"names that are listed": {
			`{"type":"object","propertyNames":{"enum":["x","y"]},"additionalProperties":{"type":"integer"}}`, []string{`{"y":1}`}, []string{`{"z":1}`}, nil,
		},
		"patterns of names": {
			`{"type":"object","properties":{"x_a":{"type":"integer"}},"patternProperties":{"^x_":{"minimum":0,"type":"integer"},"^y_":{"type":"string"}},"additionalProperties":false}`,
			[]string{`{}`, `{"x_a":1,"x_b":2,"y_":""}`},
			[]string{`{"x_a":-1}`, `{"x_b":-1}`, `{"z":1}`, `{"y_a":1}`},
			nil,
		},
		"required but not declared": {
			`{"type":"object","properties":{"a":{"type":"integer"}},"required":["b"]}`, []string{`{"a":1,"b":null}`, `{"b":[]}`}, []string{`{"a":1}`}, nil,
		},
		"a property that must be absent": {
			`{"type":"object","properties":{"a":false,"b":{"type":"integer"}}}`, []string{`{}`, `{"b":1}`}, []string{`{"a":1}`}, nil,
		},
	} {
		t.Run(name, tc.run)
	}
}

func TestArrays(t *testing.T) {
	for name, tc := range map[string]sample{
		"items": {
			`{"type":"array","items":{"type":"integer"}}`, []string{`[]`, `[1]`, `[1,2, 3]`, "[\n  1,\n  2\n]"}, []string{`[1,]`, `[,1]`, `["a"]`}, nil,
		},
		"bounds": {
			`{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3}`, []string{`[1,2]`, `[1,2,3]`}, []string{`[]`, `[1]`, `[1,2,3,4]`}, nil,
		},
		"at least two":  {`{"type":"array","items":{"type":"integer"},"minItems":2}`, []string{`[1,2]`, `[1,2,3,4,5]`}, []string{`[]`, `[1]`}, nil},
		"none":          {`{"type":"array","maxItems":0}`, []string{`[]`}, []string{`[1]`}, nil},
		"one, of a set": {`{"type":"array","items":{"type":"integer"},"maxItems":1,"uniqueItems":true}`, []string{`[]`, `[1]`}, []string{`[1,1]`}, nil},
		"a tuple": {
			`{"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"minItems":2,"maxItems":2}`,
			[]string{`[1,"a"]`},
			[]string{`[1]`, `["a",1]`, `[1,"a",2]`},
			nil,
		},
		"a tuple and others": {
			`{"type":"array","prefixItems":[{"type":"integer"}],"items":{"type":"string"}}`, []string{`[]`, `[1]`, `[1,"a","b"]`}, []string{`["a"]`, `[1,2]`}, nil,
		},
		"a closed tuple": {
			`{"type":"array","prefixItems":[{"type":"integer"}],"items":false}`, []string{`[]`, `[1]`}, []string{`[1,2]`}, nil,
		},
		"an open tuple": {`{"type":"array","prefixItems":[{"type":"integer"}]}`, []string{`[]`, `[1]`}, []string{`["a"]`}, []string{`[1,2]`}},
	} {
		t.Run(name, tc.run)
	}
}

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct{ schema, pointer, keyword string }{
		"a keyword that is not supported":    {`{"type":"object","properties":{"a/b":{"not":{}}}}`, "#/properties/a~1b", "not"},
		"conditions":                         {`{"if":{}}`, "#", "if"},
		"a misspelt keyword":                 {`{"type":"string","maxLenght":3}`, "#", "maxLenght"},
		"unique items":                       {`{"type":"array","uniqueItems":true}`, "#", "uniqueItems"},
		"contains":                           {`{"type":"array","contains":{}}`, "#", "contains"},
		"an unknown format":                  {`{"type":"string","format":"color"}`, "#", "format"},
		"a pattern that is not regular":      {`{"type":"string","pattern":"(a)\\1"}`, "#", "pattern"},
		"a pattern that is too complex":      {`{"type":"string","pattern":"(a|b)*a(a|b){20}$"}`, "#", "pattern"},
		"a reference to nowhere":             {`{"$ref":"#/$defs/x"}`, "#", "$ref"},
		"a reference to elsewhere":           {`{"$ref":"https://example.org/x"}`, "#", "$ref"},
		"a reference to itself":              {`{"$ref":"#"}`, "#", "$ref"},
		"oneOf with overlap":                 {`{"oneOf":[{"type":"integer"},{"type":"number"}]}`, "#", "oneOf"},
		"oneOf that formats only tell apart": {`{"oneOf":[{"type":"string","format":"date"},{"type":"string","format":"email"}]}`, "#", "oneOf"},
		"an unknown type":                    {`{"type":"text"}`, "#", "type"},
		"a keyword of the wrong type":        {`{"minLength":"3"}`, "#", "minLength"},
		"exclusive bounds of old":            {`{"minimum":3,"exclusiveMinimum":true}`, "#", "exclusiveMinimum"},
		"a negative length":                  {`{"maxLength":-1}`, "#", "maxLength"},
		"too many items":                     {`{"type":"array","minItems":100000}`, "#", "minItems"},
		"many distinct properties":           {`{"type":"object","additionalProperties":true,"minProperties":3}`, "#", "minProperties"},
		"nothing fits":                       {`{"type":"string","enum":[1]}`, "#", ""},
		"false":                              {`false`, "#", ""},
		"lengths out of order":               {`{"type":"string","minLength":3,"maxLength":2}`, "#", ""},
		"recursion without an end":           {`{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}`, "#", ""},
		"no schema":                          {`3`, "#", ""},
		"no JSON":                            {`{"type":`, "#", ""},
		"two documents":                      {`{} {}`, "#", ""},
		"very deep":                          {strings.Repeat(`{"items":`, 200) + `{}` + strings.Repeat(`}`, 200), "#", ""},
		"a number of many digits":            {`{"minimum":1e99999999}`, "#", ""},
		"very many states":                   {`{"type":"array","maxItems":8000,"items":{"type":"array","maxItems":8000,"items":{"type":"array","maxItems":8000,"items":{"type":"array","maxItems":8000,"items":{"type":"array","maxItems":8000,"items":{"type":"array","maxItems":8000,"items":{"type":"array","maxItems":8000,"items":{"type":"array","maxItems":8000,"items":{"type":"array","maxItems":8000}}}}}}}}}`, "#", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compiled(tc.schema)
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("error %v, want one about the schema", err)
			}
			if e.Pointer != tc.pointer || e.Keyword != tc.keyword {
				t.Errorf("%v: about %q at %s, want %q at %s", e, e.Keyword, e.Pointer, tc.keyword, tc.pointer)
			}
			if tc.keyword != "" && !strings.Contains(e.Error(), tc.keyword) {
				t.Errorf("%q does not name the keyword", e.Error())
			}
		})
	}
}
