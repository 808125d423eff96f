package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/structure"
	"github.com/gptoss/gptoss-operator/server/tgi"
)

// insists is a server with a model that means to say text, and says it as far as it is let.
func insists(t *testing.T, text string) *fixture {
	t.Helper()
	g := says(text)
	f := newFixture(t, g)
	forms, err := structure.New(words())
	if err != nil {
		t.Fatal(err)
	}
	m := newModel(t, g)
	m.Structure = forms
	f.SetModel(m)
	return f
}

const (
	chatty    = `<|channel|>analysis<|message|>They want {"n": "JSON"}.<|end|><|start|>assistant<|channel|>final<|message|>Sure! Here it is.<|return|>`
	numbered  = `{"type":"object","properties":{"n":{"type":"integer","minimum":0,"maximum":9}},"required":["n"],"additionalProperties":false}`
	numbering = `,"tools":[{"type":"function","function":{"name":"count","parameters":` + numbered + `}},{"type":"function","function":{"name":"stop-it","parameters":` + numbered + `}}]`
)

// TestReportedSchemasHoldTheAnswerOnly has the schema neither on from the first token, which is reasoning, nor never.
func TestReportedSchemasHoldTheAnswerOnly(t *testing.T) {
	for name, format := range map[string]string{
		"strict":     `,"response_format":{"type":"json_schema","json_schema":{"name":"count","strict":true,"schema":` + numbered + `}}`,
		"not strict": `,"response_format":{"type":"json_schema","json_schema":{"name":"count","schema":` + numbered + `}}`,
		"guided":     `,"guided_json":` + numbered,
	} {
		t.Run(name, func(t *testing.T) {
			f := insists(t, chatty)
			c := decode[openai.ChatCompletion](t, f.chat(t, ask(format)).body).Choices[0]
			if c.Message.Reasoning != `They want {"n": "JSON"}.` || c.FinishReason != openai.FinishStop || c.Message.Content == nil {
				t.Fatalf("answered %s", shown(c))
			}
			validate(t, numbered, *c.Message.Content)
		})
	}
	f := insists(t, `<|channel|>final<|message|>{"n": [1]}, as you wished.<|return|>`)
	c := decode[openai.ChatCompletion](t, f.chat(t, ask(`,"response_format":{"type":"json_object"}`)).body).Choices[0]
	if c.Message.Content == nil || *c.Message.Content != `{"n": [1]}` || c.FinishReason != openai.FinishStop {
		t.Errorf("answered %s", shown(c))
	}
}

// TestReportedForcedToolsAreCalled has a model that would rather talk, or call another function.
func TestReportedForcedToolsAreCalled(t *testing.T) {
	const other = `<|channel|>analysis<|message|>No.<|end|><|start|>assistant to=functions.count<|channel|>commentary json<|message|>[{"n": 1}]]<|call|>`
	for name, tc := range map[string]struct{ output, choice, want string }{
		"required, and it talks":            {chatty, `"required"`, ""},
		"named, and it talks":               {chatty, `{"type":"function","function":{"name":"stop-it"}}`, "stop-it"},
		"named, and it calls another":       {other, `{"type":"function","function":{"name":"stop-it"}}`, "stop-it"},
		"named, and its arguments are none": {other, `{"type":"function","function":{"name":"count"}}`, "count"},
		"one of those that are allowed":     {other, `{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"stop-it"}}]}}`, "stop-it"},
	} {
		t.Run(name, func(t *testing.T) {
			f := insists(t, tc.output)
			c := decode[openai.ChatCompletion](t, f.chat(t, ask(numbering+`,"tool_choice":`+tc.choice)).body).Choices[0]
			calls := c.Message.ToolCalls
			if c.FinishReason != openai.FinishToolCalls || len(calls) != 1 || tc.want != "" && calls[0].Function.Name != tc.want {
				t.Fatalf("answered %s", shown(c))
			}
			validate(t, numbered, calls[0].Function.Arguments)
		})
	}
}

// TestReportedPromptsAreReadOnce has a conversation go on with the model's sliding windows.
func TestReportedPromptsAreReadOnce(t *testing.T) {
	f := withDemo(t)
	const past = `{"role":"user","content":"What is the capital of France? Take your time, and tell me in one sentence what you know of it, please."}`
	turn := func(messages string) openai.ChatCompletion {
		r := f.chat(t, `{"model":"gpt-oss-demo","temperature":0,"messages":[`+messages+`]}`)
		if r.status != http.StatusOK {
			t.Fatalf("status %d: %s", r.status, r.body)
		}
		return decode[openai.ChatCompletion](t, r.body)
	}
	first := turn(past)
	content, err := json.Marshal(first.Choices[0].Message.Content)
	if err != nil {
		t.Fatal(err)
	}
	second := turn(past + `,{"role":"assistant","content":` + string(content) + `},{"role":"user","content":"And of Italy?"}`)
	// Memory is kept in blocks, of which the last is not full.
	if cached := second.Usage.PromptTokensDetails.CachedTokens; cached < first.Usage.PromptTokens-2*16 {
		t.Errorf("of %d tokens, then %d, %d were kept", first.Usage.PromptTokens, second.Usage.PromptTokens, cached)
	}
}

// TestFormsOfRawPrompts has the whole of the text held to a form.
func TestFormsOfRawPrompts(t *testing.T) {
	f := withDemo(t)
	for name, tc := range map[string]struct {
		more string
		good func(string) bool
	}{
		"a schema": {`,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":` + numbered + `}}`, func(s string) bool { validate(t, numbered, s); return true }},
		"a choice": {`,"guided_choice":["yes","no"]`, func(s string) bool { return s == "yes" || s == "no" }},
		"a regex":  {`,"structured_outputs":{"regex":"[a-c]{3}-[0-9]"}`, func(s string) bool { return len(s) == 5 && s[3] == '-' }},
	} {
		r := f.complete(t, `,"prompt":["Say: ","And: "],"max_tokens":200,"seed":1,"temperature":1`+tc.more)
		if r.status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", name, r.status, r.body)
		}
		for _, c := range decode[openai.TextCompletion](t, r.body).Choices {
			if !tc.good(c.Text) || *c.FinishReason != openai.FinishStop {
				t.Errorf("%s: %q, finish reason %s", name, c.Text, *c.FinishReason)
			}
		}
	}
	for name, tc := range map[string]struct{ more, param string }{
		"a grammar":              {`,"guided_grammar":"root ::= x"`, "guided_grammar"},
		"an unsupported keyword": {`,"guided_json":{"not":{}}`, "guided_json"},
	} {
		r := f.complete(t, `,"prompt":"Say: "`+tc.more)
		if e := r.error(t); r.status != http.StatusBadRequest || e.Param == nil || *e.Param != tc.param {
			t.Errorf("%s: status %d: %s", name, r.status, r.body)
		}
	}
}

// TestGeneratedForms asks in TGI's way.
func TestGeneratedForms(t *testing.T) {
	f := withDemo(t)
	for name, grammar := range map[string]string{
		"a schema":             `{"type":"json","value":` + numbered + `}`,
		"a schema in a string": `{"type":"json","value":` + quoted(numbered) + `}`,
		"a named schema":       `{"type":"json_schema","value":{"name":"n","schema":` + numbered + `}}`,
		"a regex":              `{"type":"regex","value":"\\{\"n\": ?[0-9]\\}"}`,
	} {
		r := f.generated(t, "/generate", "Count.", `"max_new_tokens":400,"do_sample":true,"seed":3,"grammar":`+grammar)
		if r.status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", name, r.status, r.body)
		}
		validate(t, numbered, decode[struct {
			GeneratedText string `json:"generated_text"`
		}](t, r.body).GeneratedText)
	}
	for name, tc := range map[string]struct{ grammar, says string }{
		"an unknown type":        {`{"type":"ebnf","value":"x"}`, "json, regex or json_schema"},
		"no value":               {`{"type":"regex"}`, "parameters.grammar.value"},
		"an unsupported keyword": {`{"type":"json","value":{"not":{}}}`, `"not"`},
		"no object":              {`"json"`, "parameters.grammar"},
	} {
		r := f.generated(t, "/generate", "Count.", `"grammar":`+tc.grammar)
		if r.status != http.StatusUnprocessableEntity || !strings.Contains(decode[tgi.Error](t, r.body).Error, tc.says) {
			t.Errorf("%s: status %d: %s", name, r.status, r.body)
		}
	}
}
