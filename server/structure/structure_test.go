package structure

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/tokenizer"
)

// words is the demo model's tokenizer.
var words = sync.OnceValue(func() *tokenizer.Tokenizer {
	data, err := fs.ReadFile(demo.Files(), "tokenizer.json")
	if err != nil {
		panic(err)
	}
	t, err := tokenizer.Parse(data)
	if err != nil {
		panic(err)
	}
	return t
})

func newCompiler(t testing.TB) *Compiler {
	t.Helper()
	c, err := New(words())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ids encodes a turn with its control tokens.
func ids(text string) (out []int32) {
	for text != "" {
		at := strings.Index(text, "<|")
		if at < 0 {
			return words().Append(out, text)
		}
		out = words().Append(out, text[:at])
		end := at + strings.Index(text[at:], "|>") + 2
		id, ok := words().Special(text[at:end])
		if !ok {
			panic(text[at:end])
		}
		out, text = append(out, id), text[end:]
	}
	return out
}

func isAllowed(mask []uint64, id int32) bool { return mask[id/64]>>(id%64)&1 != 0 }

// follows returns how much of a turn a constraint lets pass: all of it, or what comes before the first token it refuses.
func follows(c *Constraint, turn string) (whole bool, passed string) {
	mask := make([]uint64, (words().Size()+63)/64)
	for _, id := range ids(turn) {
		c.Mask(mask)
		if !isAllowed(mask, id) {
			return false, passed
		}
		c.Accept(id)
		passed += string(words().TokenBytes(id))
	}
	return c.matcher.Complete(), passed
}

const (
	thought = "<|channel|>analysis<|message|>Well.<|end|><|start|>assistant"
	preface = "<|channel|>commentary<|message|>I will look.<|end|><|start|>assistant"
	object  = `{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}`
)

func TestTurns(t *testing.T) {
	format := &Format{Schema: json.RawMessage(object)}
	strict := Tool{Name: "add", Schema: json.RawMessage(object), Strict: true}
	free := Tool{Name: "find", Schema: json.RawMessage(`{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}`)}
	odd := Tool{Name: "odd", Schema: json.RawMessage(`{"type":"object","not":{}}`)}
	for name, tc := range map[string]struct {
		request       Request
		passes, stops []string
	}{
		"a schema for the answer": {
			Request{Format: format},
			[]string{
				`<|channel|>final<|message|>{"n":1}<|return|>`, thought + `<|channel|>final<|message|>{"n": 1}<|return|>`, thought + `<|channel|>final <|constrain|>json<|message|>{"n":1}<|return|>`,
			},
			[]string{
				`<|channel|>final<|message|>Hello<|return|>`, thought + `<|channel|>final<|message|>{"m":1}<|return|>`, preface + `<|channel|>final<|message|>{"n":1}<|return|>`,
				`<|channel|>final<|message|>{"n":1}<|end|>`, `<|channel|>analysis<|message|>Well.<|return|>`, `<|channel|>final<|message|><|return|>`, thought + thought,
				` to=functions.add<|channel|>commentary<|message|>{"n":1}<|call|>`,
			},
		},
		"a schema for the answer, and tools": {
			Request{Format: format, Tools: []Tool{strict, free}},
			[]string{`<|channel|>final<|message|>{"n":1}<|return|>`, ` to=functions.add<|channel|>commentary json<|message|>{"n":1}<|call|>`, thought + `<|channel|>commentary to=functions.find<|message|>anything<|call|>`},
			[]string{` to=functions.add<|channel|>commentary json<|message|>{"m":1}<|call|>`, `<|channel|>final<|message|>Hello<|return|>`},
		},
		"a call is required": {
			Request{Tools: []Tool{strict, free, odd}, Choice: ChoiceRequired},
			[]string{
				` to=functions.add<|channel|>commentary<|message|>{"n":1}<|call|>`, thought + `<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"n":1}<|call|>`,
				` to=functions.find<|channel|>commentary json<|message|>{"q":"x"}<|call|>`, ` to=functions.odd<|channel|>commentary json<|message|>{"any":[1]}<|call|>`,
			},
			[]string{
				`<|channel|>final<|message|>Hello<|return|>`, ` to=functions.find<|channel|>commentary json<|message|>{"p":1}<|call|>`, ` to=functions.other<|channel|>commentary<|message|>{}<|call|>`,
				` to=functions.odd<|channel|>commentary json<|message|>x<|call|>`, ` to=functions.add<|channel|>analysis<|message|>{"n":1}<|call|>`, `<|channel|>analysis<|message|>Well.<|call|>`,
			},
		},
		"strict functions": {
			Request{Tools: []Tool{strict, free}},
			[]string{
				thought + preface + thought + `<|channel|>final<|message|>Hello<|return|>`, ` to=functions.add<|channel|>commentary<|message|>{"n":-3}<|call|>`,
				` to=functions.find<|channel|>commentary<|message|>whatever<|call|>`,
			},
			[]string{` to=functions.add<|channel|>commentary<|message|>{"n":"x"}<|call|>`, ` to=functions.invented<|channel|>commentary<|message|>`},
		},
		"a function without arguments": {
			Request{Tools: []Tool{{Name: "now", Strict: true}}}, []string{` to=functions.now<|channel|>commentary<|message|>{}<|call|>`}, []string{` to=functions.now<|channel|>commentary<|message|>{"a":1}<|call|>`},
		},
		"no calls": {
			Request{Choice: ChoiceNone, Tools: []Tool{free}},
			[]string{thought + preface + `<|channel|>final<|message|>Hello<|return|>`},
			[]string{` to=functions.find<|channel|>`, `<|channel|>commentary to=functions.find`},
		},
		"a pattern": {
			Request{Format: &Format{Pattern: "[0-9]{3}|x"}}, []string{`<|channel|>final<|message|>123<|return|>`, `<|channel|>final<|message|>x<|return|>`}, []string{`<|channel|>final<|message|>12<|return|>`, `<|channel|>final<|message|>1234`},
		},
		"a choice": {
			Request{Format: &Format{Choices: []string{"yes", "no", "not now"}}}, []string{`<|channel|>final<|message|>not now<|return|>`, thought + `<|channel|>final<|message|>no<|return|>`}, []string{`<|channel|>final<|message|>now<|return|>`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := newCompiler(t).Plan(t.Context(), tc.request)
			if err != nil {
				t.Fatal(err)
			}
			for _, turn := range tc.passes {
				if ok, passed := follows(p.Constraint(1000), turn); !ok {
					t.Errorf("%s stops behind %s", turn, passed)
				}
			}
			for _, turn := range tc.stops {
				if ok, passed := follows(p.Constraint(1000), turn); ok || passed == turn {
					t.Errorf("%s passes", turn)
				}
			}
		})
	}
}

func TestNothingIsConstrained(t *testing.T) {
	p, err := newCompiler(t).Plan(t.Context(), Request{Tools: []Tool{{Name: "f"}}})
	if p != nil || err != nil {
		t.Errorf("plan %v, error %v", p, err)
	}
}

func TestRefusals(t *testing.T) {
	bad := json.RawMessage(`{"type":"object","not":{}}`)
	c := newCompiler(t)
	_, err := c.Plan(t.Context(), Request{Format: &Format{Schema: bad}})
	if e, ok := errors.AsType[*FormatError](err); !ok || !strings.Contains(e.Error(), `"not"`) {
		t.Errorf("a schema: %v", err)
	}
	_, err = c.Plan(t.Context(), Request{Format: &Format{Pattern: `(a)\1`}})
	if e, ok := errors.AsType[*FormatError](err); !ok || !strings.Contains(e.Error(), "backreferences") {
		t.Errorf("a pattern: %v", err)
	}
	_, err = c.Plan(t.Context(), Request{Tools: []Tool{{Name: "f"}, {Name: "g", Schema: bad, Strict: true}}})
	if e, ok := errors.AsType[*ToolError](err); !ok || e.Tool != 1 || !strings.Contains(e.Error(), `"not"`) {
		t.Errorf("a function: %v", err)
	}
}

// TestReasoningEnds has a model that would think for ever.
func TestReasoningEnds(t *testing.T) {
	p, err := newCompiler(t).Plan(t.Context(), Request{Format: &Format{Schema: json.RawMessage(object)}})
	if err != nil {
		t.Fatal(err)
	}
	c := p.Constraint(40)
	think, end := ids("Well"), ids("<|end|>")[0]
	for _, id := range ids("<|channel|>analysis<|message|>") {
		c.Accept(id)
	}
	mask := make([]uint64, (words().Size()+63)/64)
	for n := 3; ; n++ {
		if c.Mask(mask); !isAllowed(mask, think[0]) {
			ones := 0
			for _, w := range mask {
				ones += bits.OnesCount64(w)
			}
			if n != 30 || ones != 1 || !isAllowed(mask, end) {
				t.Errorf("after %d tokens %d are allowed", n, ones)
			}
			return
		}
		if n > 40 {
			t.Fatal("the reasoning goes on")
		}
		c.Accept(think[0])
	}
}

// TestRandomTurnsParse writes turns at random and has the parser read them.
func TestRandomTurnsParse(t *testing.T) {
	e, err := harmony.New(words())
	if err != nil {
		t.Fatal(err)
	}
	tools := []Tool{{Name: "add", Schema: json.RawMessage(object)}, {Name: "now", Strict: true}}
	p, err := newCompiler(t).Plan(t.Context(), Request{Tools: tools, Choice: ChoiceRequired})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	mask := make([]uint64, (words().Size()+63)/64)
	for range 300 {
		c, parser := p.Constraint(80), e.NewParser("add", "now")
		var name, arguments strings.Builder
		for n := 0; !c.matcher.Complete() && n < 300; n++ {
			c.Mask(mask)
			var some []int32
			for id := range int32(words().Size()) {
				if isAllowed(mask, id) {
					some = append(some, id)
				}
			}
			if len(some) == 0 {
				t.Fatal("nothing is allowed")
			}
			id := some[random.IntN(len(some))]
			c.Accept(id)
			for _, d := range parser.Push(id) {
				switch d.Kind {
				case harmony.KindToolCall:
					name.WriteString(d.Name)
					arguments.WriteString(d.Text)
				case harmony.KindContent:
					t.Errorf("content %q", d.Text)
				}
			}
		}
		if !slices.Contains([]string{"add", "now"}, name.String()) || !json.Valid([]byte(arguments.String())) {
			t.Fatalf("a call of %q with %q", name.String(), arguments.String())
		}
	}
}

// TestPlansAreKept also makes many at once.
func TestPlansAreKept(t *testing.T) {
	c := newCompiler(t)
	var wait sync.WaitGroup
	plans := make([]*Plan, 200)
	for i := range plans {
		wait.Go(func() {
			p, err := c.Plan(t.Context(), Request{Format: &Format{Choices: []string{strings.Repeat("x", 1+i%100)}}})
			if err != nil {
				t.Error(err)
			}
			plans[i] = p
		})
	}
	wait.Wait()
	c.mu.Lock()
	if n := len(c.known); n > maxGrammars || n != c.order.Len() || n < maxGrammars/2 {
		t.Errorf("%d grammars are kept", n)
	}
	c.mu.Unlock()
	again := Request{Format: &Format{Choices: []string{"again"}}}
	first, _ := c.Plan(t.Context(), again)
	if second, _ := c.Plan(t.Context(), again); first.grammar != second.grammar {
		t.Error("the same request was compiled twice")
	}
}
