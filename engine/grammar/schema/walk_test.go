package schema

import (
	"encoding/json"
	"math/bits"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/gptoss/gptoss-operator/engine/grammar"
	"github.com/gptoss/gptoss-operator/engine/grammar/schema/schematest"
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
		random := rand.New(rand.NewPCG(uint64(seed), 5))
		raw := schematest.Random(random)
		b := grammar.NewBuilder()
		rule, err := New(b).Add([]byte(raw))
		if err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
		p, err := b.Build(b.Call(rule, grammar.Return))
		if err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
		compiled, validator := grammar.New(p, v), schematest.Compile(t, raw)
		for range walks {
			var text strings.Builder
			for _, id := range walk(t, v, compiled, random) {
				text.Write(v.Text(id))
			}
			if text.Len() == 0 {
				continue // a recursion that did not end
			}
			written++
			switch s := text.String(); {
			case !utf8.ValidString(s) || !json.Valid([]byte(s)):
				t.Fatalf("not JSON: %q for %s", s, raw)
			case !schematest.Validates(validator, s):
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
