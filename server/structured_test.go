package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/grammar/schema/schematest"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/structure"
)

// withDemo starts a server with the demo model, whose answers may be held to a form.
func withDemo(t *testing.T) *fixture {
	t.Helper()
	m, _ := demoModel(t, engine.Options{ContextLength: 2048, Threads: 1, PrefixCaching: true})
	forms, err := structure.New(m.Vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	m.Structure = forms
	f := newFixture(t, nil)
	f.SetModel(m)
	return f
}

func validate(t *testing.T, schema, text string) {
	t.Helper()
	if !schematest.Validates(schematest.Compile(t, schema), text) {
		t.Errorf("%s does not satisfy %s", text, schema)
	}
}

// bounded are schemas whose values end within a few hundred bytes, whatever is drawn.
var bounded = []string{
	`{"type":"object","properties":{"city":{"type":"string","maxLength":12},"days":{"type":"integer","minimum":1,"maximum":14}},"required":["city","days"],"additionalProperties":false}`,
	`{"type":"object","properties":{"unit":{"enum":["celsius","kelvin"]},"on":{"type":["string","null"],"format":"date"}},"required":["unit"],"additionalProperties":false}`,
	`{"type":"object","properties":{"tags":{"type":"array","items":{"type":"string","pattern":"^[a-z]{1,5}$"},"maxItems":3}},"required":["tags"],"additionalProperties":false}`,
	`{"type":"object","properties":{"p":{"anyOf":[{"type":"number","minimum":0,"maximum":1},{"type":"boolean"}]}},"required":["p"],"additionalProperties":false}`,
}

func (f *fixture) completion(t *testing.T, more string) openai.ChatCompletion {
	t.Helper()
	r := f.chat(t, ask(`,"temperature":1,"top_p":1`+more))
	if r.status != http.StatusOK {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	return decode[openai.ChatCompletion](t, r.body)
}

// TestForcedCalls has the demo model call tools at temperature 1.
func TestForcedCalls(t *testing.T) {
	f := withDemo(t)
	var tools []string
	for i, schema := range bounded {
		tools = append(tools, fmt.Sprintf(`{"type":"function","function":{"name":"tool-%d","strict":%v,"parameters":%s}}`, i, i%2 == 0, schema))
	}
	offered := `,"tools":[` + strings.Join(tools, ",") + `]`
	for i := range 24 {
		want := fmt.Sprintf("tool-%d", i%len(bounded))
		choice := fmt.Sprintf(`,"tool_choice":{"type":"function","function":{"name":%q}}`, want)
		if i%3 == 0 {
			choice, want = `,"tool_choice":"required"`, ""
		}
		c := f.completion(t, offered+choice+fmt.Sprintf(`,"seed":%d`, i))
		m := c.Choices[0].Message
		if len(m.ToolCalls) != 1 || c.Choices[0].FinishReason != openai.FinishToolCalls || m.Content != nil && *m.Content != "" {
			t.Fatalf("%d calls, finish reason %s, content %v", len(m.ToolCalls), c.Choices[0].FinishReason, m.Content)
		}
		call := m.ToolCalls[0].Function
		if want != "" && call.Name != want {
			t.Errorf("a call of %q, want %q", call.Name, want)
		}
		var n int
		if _, err := fmt.Sscanf(call.Name, "tool-%d", &n); err != nil || n >= len(bounded) {
			t.Fatalf("a call of %q", call.Name)
		}
		validate(t, bounded[n], call.Arguments)
	}
}

// TestForcedAnswers has the demo model answer in a form, streaming and not.
func TestForcedAnswers(t *testing.T) {
	f := withDemo(t)
	for i := range 16 {
		schema := bounded[i%len(bounded)]
		format := fmt.Sprintf(`,"seed":%d,"response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":%s}}`, i, schema)
		c := f.completion(t, format)
		if c.Choices[0].FinishReason != openai.FinishStop || c.Choices[0].Message.Content == nil {
			t.Fatalf("finish reason %s", c.Choices[0].FinishReason)
		}
		validate(t, schema, *c.Choices[0].Message.Content)
		if i > 2 {
			continue
		}
		var streamed strings.Builder
		for _, event := range f.chat(t, ask(`,"temperature":1,"top_p":1,"stream":true`+format)).events(t) {
			if event != "[DONE]" {
				chunk := decode[struct {
					Choices []struct{ Delta struct{ Content string } }
				}](t, event)
				if len(chunk.Choices) > 0 {
					streamed.WriteString(chunk.Choices[0].Delta.Content)
				}
			}
		}
		if streamed.String() != *c.Choices[0].Message.Content {
			t.Errorf("streamed %s, else %s", streamed.String(), *c.Choices[0].Message.Content)
		}
	}
	for name, tc := range map[string]struct {
		more string
		good func(string) bool
	}{
		"an object":            {`,"response_format":{"type":"json_object"},"max_tokens":400,"temperature":0`, func(s string) bool { return s[0] == '{' }},
		"a choice":             {`,"guided_choice":["yes","no"]`, func(s string) bool { return s == "yes" || s == "no" }},
		"a regular expression": {`,"structured_outputs":{"regex":"[a-c]{3}-[0-9]"}`, func(s string) bool { return len(s) == 5 && s[3] == '-' }},
		"guided JSON":          {`,"guided_json":{"const":{"a":1}}`, func(s string) bool { return s == `{"a":1}` }},
	} {
		c := f.completion(t, `,"seed":1`+tc.more)
		if s := c.Choices[0].Message.Content; s == nil || *s == "" || !tc.good(*s) {
			t.Errorf("%s: %v", name, s)
		}
	}
}

// TestForcedReasoningLeavesRoom gives few tokens, of which reasoning may take a part only.
func TestForcedReasoningLeavesRoom(t *testing.T) {
	f := withDemo(t)
	c := f.completion(t, `,"max_tokens":72,"seed":3,"tools":[{"type":"function","function":{"name":"now","strict":true}}],"tool_choice":"required","reasoning_effort":"high"`)
	m := c.Choices[0].Message
	if c.Usage.CompletionTokensDetails.ReasoningTokens > 54 || len(m.ToolCalls) != 1 {
		t.Errorf("%d reasoning tokens, %d calls", c.Usage.CompletionTokensDetails.ReasoningTokens, len(m.ToolCalls))
	}
}

func TestFormsAreRefused(t *testing.T) {
	f := withDemo(t)
	tool := func(function string) string { return `,"tools":[{"type":"function","function":` + function + `}]` }
	for name, tc := range map[string]struct{ more, param, says string }{
		"an unsupported keyword":            {`,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":{"a":{"not":{}}}}}}`, "response_format.json_schema.schema", `"not" at #/properties/a`},
		"no schema":                         {`,"response_format":{"type":"json_schema","json_schema":{"name":"x"}}`, "response_format.json_schema.schema", "Missing"},
		"no name":                           {`,"response_format":{"type":"json_schema","json_schema":{"schema":{}}}`, "response_format.json_schema.name", "Missing"},
		"an unknown type":                   {`,"response_format":{"type":"xml"}`, "response_format.type", "json_schema"},
		"a strict function":                 {tool(`{"name":"f","strict":true,"parameters":{"type":"object","if":{}}}`), "tools[0].function.parameters", `"if"`},
		"a call without tools":              {`,"tool_choice":"required"`, "tool_choice", "tools"},
		"an unknown function":               {tool(`{"name":"f"}`) + `,"tool_choice":{"type":"function","function":{"name":"g"}}`, "tool_choice", `"g"`},
		"an unknown mode":                   {tool(`{"name":"f"}`) + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"none","tools":[{"type":"function","function":{"name":"f"}}]}}`, "tool_choice.allowed_tools.mode", "auto"},
		"two forms":                         {`,"guided_choice":["a"],"guided_regex":"b"`, "guided_choice", "guided_regex"},
		"a pattern that is not regular":     {`,"guided_regex":"(a)\\1"`, "guided_regex", "backreferences"},
		"a grammar":                         {`,"guided_grammar":"root ::= x"`, "guided_grammar", "guided_regex"},
		"an empty choice":                   {`,"guided_choice":[]`, "guided_choice", "1 to"},
		"a schema of the wrong type":        {`,"guided_json":[1]`, "guided_json", "object"},
		"a schema that nothing can satisfy": {`,"guided_json":{"type":"integer","minimum":2,"maximum":1}`, "guided_json", "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := f.chat(t, ask(tc.more))
			e := r.error(t)
			if r.status != http.StatusBadRequest || e.Param == nil || *e.Param != tc.param || !strings.Contains(e.Message, tc.says) {
				t.Errorf("status %d, param %v: %s", r.status, e.Param, e.Message)
			}
		})
	}
}

// TestModelIsToldOfTheSchema looks at the prompt.
func TestModelIsToldOfTheSchema(t *testing.T) {
	g := says(hello)
	f := newFixture(t, g)
	forms, err := structure.New(words())
	if err != nil {
		t.Fatal(err)
	}
	m := newModel(t, g)
	m.Structure = forms
	f.SetModel(m)
	r := f.chat(t, ask(`,"response_format":{"type":"json_schema","json_schema":{"name":"weather","description":"What it is like.","schema":{"type": "object", "properties": {"b": {}, "a": {}}}}}`))
	if r.status != http.StatusOK {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	request := g.request(t)
	want := "# Response Formats\n\n## weather\n\n// What it is like.\n" + `{"type":"object","properties":{"b":{},"a":{}}}` + "<|end|>"
	var prompt strings.Builder
	for _, id := range request.Prompt {
		prompt.Write(words().TokenBytes(id))
	}
	if !strings.Contains(prompt.String(), want) {
		t.Errorf("%q is not in the prompt: %q", want, prompt.String())
	}
	if request.Constraint == nil {
		t.Error("the request has no constraint")
	}
}
