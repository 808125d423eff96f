package schema

import (
	"fmt"
	"math/bits"
	"testing"
	"time"

	"github.com/gptoss/gptoss-operator/engine/grammar"
	"github.com/gptoss/gptoss-operator/engine/tokenizer/o200k"
)

// realistic are schemas as clients send them, with an answer each.
var realistic = map[string]struct{ schema, answer string }{
	"person": {
		`{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},"email":{"type":"string","format":"email"},"bio":{"type":"string","maxLength":400},"tags":{"type":"array","items":{"type":"string"}}},"required":["name","age","email","bio","tags"],"additionalProperties":false}`,
		`{"name": "Jane Doe", "age": 42, "email": "jane.doe@example.org", "bio": "Jane has written compilers, bread recipes and a small novel about the Arctic. She lives in Tromsø with \"two and a half\" cats, and speaks 中文 a little.", "tags": ["writer", "engineer", "baker", "cats"]}`,
	},
	"invoice": {
		`{"$defs":{"Item":{"type":"object","properties":{"sku":{"type":"string","pattern":"^[A-Z]{3}-[0-9]{4,6}$"},"title":{"type":"string","minLength":1,"maxLength":120},"quantity":{"type":"integer","exclusiveMinimum":0},"price":{"type":"number","minimum":0,"multipleOf":0.01},"note":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}},"required":["sku","title","quantity","price"]},"Status":{"enum":["draft","sent","paid","overdue"],"type":"string"}},"type":"object","properties":{"id":{"type":"string","format":"uuid"},"issued":{"type":"string","format":"date"},"status":{"$ref":"#/$defs/Status"},"items":{"type":"array","items":{"$ref":"#/$defs/Item"},"minItems":1,"maxItems":50},"meta":{"type":"object","additionalProperties":{"type":"string"}}},"required":["id","issued","status","items"]}`,
		`{"id":"123e4567-e89b-12d3-a456-426614174000","issued":"2025-05-07","status":"overdue","items":[{"sku":"ABC-12345","title":"Coffee beans, dark roast, one kilogram","quantity":2,"price":18.95,"note":null},{"sku":"XYZ-0042","title":"Paper filters","quantity":100,"price":0.05},{"sku":"TEA-2024","title":"Green tea — first flush","quantity":1,"price":12.5,"note":"Gift wrap, please; no card."}],"meta":{"channel":"web","region":"eu-north-1"}}`,
	},
	"tree": {
		`{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"label":{"type":"string"},"children":{"type":"array","items":{"$ref":"#/$defs/node"}}},"required":["label","children"],"additionalProperties":false}}}`,
		"{\n  \"label\": \"animals\",\n  \"children\": [\n    {\"label\": \"mammals\", \"children\": [{\"label\": \"whales\", \"children\": []}, {\"label\": \"bats\", \"children\": []}]},\n    {\"label\": \"birds\", \"children\": [{\"label\": \"owls\", \"children\": []}]}\n  ]\n}",
	},
	"any object": {
		`{"type":"object"}`,
		`{"answer": 42, "steps": ["read the question", "think, at length", "reply"], "nested": {"ok": true, "score": -1.5e-3, "none": null}}`,
	},
}

// BenchmarkMask measures a mask and the acceptance of a token over the vocabulary of gpt-oss: warm with a grammar that has
// seen the answer before, cold with one that was just compiled. worst-µs is the slowest mask.
func BenchmarkMask(b *testing.B) {
	words, err := o200k.Harmony()
	if err != nil {
		b.Fatal(err)
	}
	v := harmony()
	mask := make([]uint64, v.Words())
	for name, tc := range realistic {
		ids := words.Encode(tc.answer)
		fresh := func() *grammar.Grammar {
			builder := grammar.NewBuilder()
			rule, err := New(builder).Add([]byte(tc.schema))
			if err != nil {
				b.Fatal(err)
			}
			p, err := builder.Build(builder.Call(rule, grammar.Return))
			if err != nil {
				b.Fatal(err)
			}
			return grammar.New(p, v)
		}
		replay := func(g *grammar.Grammar) (worst time.Duration) {
			m := g.NewMatcher()
			for _, id := range ids {
				began := time.Now()
				m.Mask(mask)
				worst = max(worst, time.Since(began))
				if mask[id/64]>>(id%64)&1 == 0 {
					b.Fatalf("%q is not allowed", v.Text(id))
				}
				m.Accept(id)
			}
			if !m.Complete() {
				b.Fatal("the answer is not complete")
			}
			return worst
		}
		report := func(b *testing.B, worst time.Duration) {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ids)), "ns/token")
			b.ReportMetric(float64(worst.Nanoseconds())/1000, "worst-µs")
		}
		b.Run(fmt.Sprintf("schema=%s/warm", name), func(b *testing.B) {
			g := fresh()
			replay(g)
			b.ReportAllocs()
			worst := time.Duration(0)
			for b.Loop() {
				worst = max(worst, replay(g))
			}
			report(b, worst)
		})
		b.Run(fmt.Sprintf("schema=%s/cold", name), func(b *testing.B) {
			worst := time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				g := fresh()
				b.StartTimer()
				worst = max(worst, replay(g))
			}
			report(b, worst)
		})
		b.Run(fmt.Sprintf("schema=%s/compile", name), func(b *testing.B) {
			for b.Loop() {
				fresh()
			}
		})
	}
}

// BenchmarkVocabulary measures what a server does once.
func BenchmarkVocabulary(b *testing.B) {
	words, err := o200k.Harmony()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		grammar.NewVocabulary(words.Size(), func(id int32) ([]byte, bool) { return words.TokenBytes(id), words.IsSpecial(id) })
	}
}

// TestMasksAgreeWithTheAutomaton holds masks over the whole vocabulary to what the automaton says of each token's bytes, at
// each step of realistic answers.
func TestMasksAgreeWithTheAutomaton(t *testing.T) {
	words, err := o200k.Harmony()
	if err != nil {
		t.Fatal(err)
	}
	v := harmony()
	mask := make([]uint64, v.Words())
	for name, tc := range realistic {
		t.Run(name, func(t *testing.T) {
			b := grammar.NewBuilder()
			rule, err := New(b).Add([]byte(tc.schema))
			if err != nil {
				t.Fatal(err)
			}
			p, err := b.Build(b.Call(rule, grammar.Return))
			if err != nil {
				t.Fatal(err)
			}
			m := grammar.New(p, v).NewMatcher()
			for i, id := range words.Encode(tc.answer) {
				m.Mask(mask)
				if mask[id/64]>>(id%64)&1 == 0 {
					t.Fatalf("token %d, %q, is not allowed", i, v.Text(id))
				}
				if i%30 == 0 {
					agree(t, m, mask, v)
				}
				m.Accept(id)
			}
			if m.Mask(mask); !m.Complete() {
				t.Error("the answer is not complete")
			}
			for _, w := range mask {
				if bits.OnesCount64(w) > 0 {
					t.Fatal("something may follow the answer")
				}
			}
		})
	}
}

func agree(t *testing.T, m *grammar.Matcher, mask []uint64, v *grammar.Vocabulary) {
	t.Helper()
	for id := range int32(o200k.Size) {
		if allowed := mask[id/64]>>(id%64)&1 != 0; allowed != m.Allows(id) {
			t.Fatalf("the mask says %v of %q, the automaton does not", allowed, v.Text(id))
		}
	}
}

func TestWarmMasksAllocateNothing(t *testing.T) {
	tc := realistic["person"]
	words, err := o200k.Harmony()
	if err != nil {
		t.Fatal(err)
	}
	b := grammar.NewBuilder()
	rule, err := New(b).Add([]byte(tc.schema))
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Build(b.Call(rule, grammar.Return))
	if err != nil {
		t.Fatal(err)
	}
	v := harmony()
	g := grammar.New(p, v)
	mask := make([]uint64, v.Words())
	ids := words.Encode(tc.answer)
	m := g.NewMatcher()
	for _, id := range ids { // the tables fill
		m.Mask(mask)
		m.Accept(id)
	}
	m = g.NewMatcher()
	for _, id := range ids[:4] { // and the matcher's own memory
		m.Accept(id)
	}
	at := 4
	if n := testing.AllocsPerRun(20, func() {
		m.Mask(mask)
		m.Accept(ids[at])
		at++
	}); n > 0 {
		t.Errorf("%v allocations for a token", n)
	}
}
