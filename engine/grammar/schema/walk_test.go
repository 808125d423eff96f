package schema

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/gptoss/gptoss-operator/engine/grammar"
	"github.com/gptoss/gptoss-operator/engine/tokenizer/o200k"
)

// harmony is the vocabulary of gpt-oss.
var harmony = sync.OnceValue(func() *grammar.Vocabulary {
	t, err := o200k.Harmony()
	if err != nil {
		panic(err)
	}
	return grammar.NewVocabulary(t.Size(), func(id int32) ([]byte, bool) { return t.TokenBytes(id), t.IsSpecial(id) })
})

// generator makes schemas at random, of all that is supported.
type generator struct {
	*rand.Rand
	definitions []string
}

func (g *generator) schema(depth int) string {
	if depth <= 0 {
		return g.leaf()
	}
	switch g.IntN(9) {
	case 0, 1, 2:
		return g.object(depth)
	case 3:
		return g.array(depth)
	case 4:
		return fmt.Sprintf(`{"anyOf":[%s,%s,{"type":"null"}]}`, g.schema(depth-1), g.schema(depth-1))
	case 5:
		return fmt.Sprintf(`{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"x":%s},"required":["kind","x"]},{"type":"object","properties":{"kind":{"const":"b"},"y":%s},"required":["kind"]}]}`,
			g.schema(depth-1), g.schema(depth-1))
	case 6:
		return fmt.Sprintf(`{"allOf":[{"type":"object","properties":{"p":%s},"required":["p"]},{"type":"object","properties":{"p":{},"q":%s}}]}`, g.leaf(), g.schema(depth-1))
	case 7:
		if len(g.definitions) > 0 {
			return fmt.Sprintf(`{"$ref":"#/$defs/%s"}`, g.definitions[g.IntN(len(g.definitions))])
		}
	}
	return g.leaf()
}

func (g *generator) leaf() string {
	low := g.IntN(5)
	leaves := []string{
		`{"type":"boolean"}`, `{"type":"null"}`, `{"type":"integer"}`, `{"type":"number"}`, `{"const":"fix"}`,
		`{"enum":["red","green","grün","b\"l\\ue",1,null,2.5]}`, `{"type":["string","null"],"maxLength":20}`, `{"type":"string","nullable":false,"maxLength":7}`,
		fmt.Sprintf(`{"type":"string","minLength":%d,"maxLength":%d}`, low, low+g.IntN(40)),
		fmt.Sprintf(`{"type":"integer","minimum":%d,"maximum":%d}`, g.IntN(100)-50, 50+g.IntN(1000)),
		fmt.Sprintf(`{"type":"number","exclusiveMinimum":%d.5,"maximum":%d.25}`, g.IntN(20)-10, 11+g.IntN(100)),
		fmt.Sprintf(`{"type":"integer","multipleOf":%d,"exclusiveMaximum":100000}`, 1+g.IntN(9)),
		`{"type":"number","multipleOf":0.01,"minimum":0,"maximum":1000}`,
		`{"type":"string","pattern":"^[A-Z]{2}-[0-9]{1,4}$"}`, `{"type":"string","pattern":"^(foo|ba[rz])+x?$","maxLength":30}`,
		`{"type":"string","pattern":"[0-9]","maxLength":12}`, `{"type":"string","pattern":"^\\p{Lu}[\\wé\"\\\\]{0,8}$"}`, `{"type":"string","pattern":"^[^a-z]{1,6}$"}`,
	}
	for _, f := range []string{"date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"} {
		leaves = append(leaves, fmt.Sprintf(`{"type":"string","format":%q,"maxLength":80}`, f))
	}
	return leaves[g.IntN(len(leaves))]
}

func (g *generator) object(depth int) string {
	names := []string{"id", "name", "naïve", "a\\\"b", "value", "items", "x y"}
	g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var properties, required []string
	for _, name := range names[:g.IntN(5)] {
		properties = append(properties, fmt.Sprintf(`"%s":%s`, name, g.schema(depth-1)))
		if g.IntN(3) > 0 {
			required = append(required, `"`+name+`"`)
		}
	}
	more := []string{"", `,"additionalProperties":false`, `,"additionalProperties":{"type":"integer"},"propertyNames":{"pattern":"^[a-z]{0,9}$"}`}[g.IntN(3)]
	if strings.Contains(more, "propertyNames") {
		required = nil
	}
	return fmt.Sprintf(`{"type":"object","title":"T","properties":{%s},"required":[%s]%s}`, strings.Join(properties, ","), strings.Join(required, ","), more)
}

func (g *generator) array(depth int) string {
	if g.IntN(3) == 0 {
		return fmt.Sprintf(`{"type":"array","prefixItems":[%s,%s],"items":false,"minItems":%d}`, g.schema(depth-1), g.leaf(), g.IntN(3))
	}
	low := g.IntN(3)
	return fmt.Sprintf(`{"type":"array","items":%s,"minItems":%d,"maxItems":%d}`, g.schema(depth-1), low, low+g.IntN(4))
}

// document makes a schema with definitions that may refer to each other and to themselves.
func (g *generator) document() string {
	g.definitions = []string{"one", "two"}[:g.IntN(3)]
	var defs []string
	for _, name := range g.definitions {
		defs = append(defs, fmt.Sprintf(`%q:{"type":"object","properties":{"v":%s,"next":{"anyOf":[{"type":"null"},%s]}},"required":["v"],"additionalProperties":false}`, name, g.leaf(), g.schema(1)))
	}
	root := g.object(3)
	return strings.TrimSuffix(root, "}") + `,"$defs":{` + strings.Join(defs, ",") + `}}`
}

// walk writes at random: any allowed token is as good as any other. Past some length it takes the shortest way out that
// one look ahead shows, so that recursion ends.
func walk(t *testing.T, v *grammar.Vocabulary, g *grammar.Grammar, random *rand.Rand) []int32 {
	t.Helper()
	m := g.NewMatcher()
	mask := make([]uint64, v.Words())
	var out, ids []int32
	for !m.Complete() {
		m.Mask(mask)
		ids = ids[:0]
		for i, w := range mask {
			for ; w != 0; w &= w - 1 {
				ids = append(ids, int32(64*i+bits.TrailingZeros64(w)))
			}
		}
		if len(ids) == 0 {
			t.Fatalf("nothing is allowed after %d tokens", len(out))
		}
		id := ids[random.IntN(len(ids))]
		if len(out) > 150 { // single bytes that close: the ids of bytes come first in o200k
			for _, c := range `"}]n,0123456789` {
				if short := v.Find(string(c)); short >= 0 && mask[short/64]>>(short%64)&1 != 0 {
					id = short
					break
				}
			}
		}
		m.Accept(id)
		if out = append(out, id); len(out) > 3000 {
			return nil
		}
	}
	return out
}

// TestRandomSchemas writes a thousand documents under masks, for schemas that were made at random, and has each validated.
func TestRandomSchemas(t *testing.T) {
	schemas, walks := 220, 5
	if testing.Short() || raceDetector {
		schemas = 20
	}
	v := harmony()
	written := 0
	for seed := range schemas {
		g := generator{Rand: rand.New(rand.NewPCG(uint64(seed), 5))}
		raw := g.document()
		b := grammar.NewBuilder()
		rule, err := New(b).Add([]byte(raw))
		if err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
		p, err := b.Build(b.Call(rule, grammar.Return))
		if err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
		compiled, validator := grammar.New(p, v), oracle(t, raw)
		for range walks {
			var text strings.Builder
			for _, id := range walk(t, v, compiled, g.Rand) {
				text.Write(v.Text(id))
			}
			if text.Len() == 0 {
				continue // a recursion that did not end
			}
			written++
			switch s := text.String(); {
			case !utf8.ValidString(s) || !json.Valid([]byte(s)):
				t.Fatalf("not JSON: %q for %s", s, raw)
			case !validates(validator, s):
				t.Fatalf("%s does not validate against %s", s, raw)
			}
		}
	}
	if want := schemas * walks * 9 / 10; written < want {
		t.Errorf("%d documents were written, want at least %d", written, want)
	}
	t.Logf("%d documents for %d schemas", written, schemas)
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}`, `{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"$ref":"#"},{"type":"null"}]}}}`,
		`{"oneOf":[{"const":1},{"const":2}]}`, `{"allOf":[{"$ref":"#"}]}`, `{"type":"string","pattern":"(a*)*b","maxLength":99}`, `{"enum":[{}]}`, `{"type":["array","string"],"items":{}}`,
		`{"patternProperties":{"^a":{},"b$":false},"additionalProperties":{"type":"null"}}`, `{"multipleOf":0.5,"minimum":-3}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		g, err := compiled(raw)
		if err != nil {
			return
		}
		// Whatever can be written leads on.
		m := g.NewMatcher()
		mask := make([]uint64, letters.Words())
		random := rand.New(rand.NewPCG(1, 1))
		for range 200 {
			if m.Complete() {
				return
			}
			m.Mask(mask)
			var ids []int32
			for id := range int32(256 + len(syllables)) {
				allowed := mask[id/64]>>(id%64)&1 != 0
				if allowed != m.Allows(id) {
					t.Fatalf("the mask says %v of token %d, the automaton does not", allowed, id)
				}
				if allowed {
					ids = append(ids, id)
				}
			}
			if len(ids) == 0 {
				t.Fatalf("nothing is allowed in %s", raw)
			}
			m.Accept(ids[random.IntN(len(ids))])
		}
	})
}
