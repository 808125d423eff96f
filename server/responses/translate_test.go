package responses

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gptoss/gptoss-operator/server/openai"
)

func TestConversations(t *testing.T) {
	user := openai.Message{Role: openai.RoleUser, Content: "hi"}
	called := openai.ToolCall{ID: "c1", Type: "function", Function: openai.FunctionCall{Name: "f", Arguments: "{}"}}
	cases := map[string]struct {
		body string
		want []openai.Message
	}{
		"a text":                     {`"input":"hi"`, []openai.Message{user}},
		"instructions come first":    {`"instructions":"Be brief.","input":"hi"`, []openai.Message{{Role: openai.RoleDeveloper, Content: "Be brief."}, user}},
		"a message without a type":   {`"input":[{"role":"user","content":"hi"}]`, []openai.Message{user}},
		"parts are joined":           {`"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"h"},{"type":"input_text","text":"i"}]}]`, []openai.Message{user}},
		"parts of chat requests":     {`"input":[{"role":"user","content":[{"type":"text","text":"hi"}]}]`, []openai.Message{user}},
		"system and developer":       {`"input":[{"role":"system","content":"a"},{"role":"developer","content":"b"},{"role":"user","content":"hi"}]`, []openai.Message{{Role: openai.RoleSystem, Content: "a"}, {Role: openai.RoleDeveloper, Content: "b"}, user}},
		"a refusal is what was said": {`"input":[{"role":"assistant","content":[{"type":"refusal","refusal":"No."}]},{"role":"user","content":"hi"}]`, []openai.Message{{Role: openai.RoleAssistant, Content: "No."}, user}},
		"a turn with a call is one message": {
			`"input":[{"role":"user","content":"hi"},{"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"Ask."}]},` +
				`{"type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Wait.","annotations":[]}]},` +
				`{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"42"}]`,
			[]openai.Message{user, {Role: openai.RoleAssistant, Reasoning: "Ask.", Content: "Wait.", ToolCalls: []openai.ToolCall{called}}, {Role: openai.RoleTool, ToolCallID: "c1", Content: "42"}},
		},
		"two turns of reasoning stay two": {
			`"input":[{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"A"}]},{"type":"reasoning","summary":[{"type":"summary_text","text":"B"}]},{"role":"user","content":"hi"}]`,
			[]openai.Message{{Role: openai.RoleAssistant, Reasoning: "A"}, {Role: openai.RoleAssistant, Reasoning: "B"}, user},
		},
		"encoded reasoning": {
			`"input":[{"type":"reasoning","summary":[],"encrypted_content":"` + seal("Hm. é") + `"},{"role":"user","content":"hi"}]`,
			[]openai.Message{{Role: openai.RoleAssistant, Reasoning: "Hm. é"}, user},
		},
		"a summary where the encryption is another's": {
			`"input":[{"type":"reasoning","summary":[{"type":"summary_text","text":"B"}],"encrypted_content":"gAAAA"},{"role":"user","content":"hi"}]`,
			[]openai.Message{{Role: openai.RoleAssistant, Reasoning: "B"}, user},
		},
		"a result in parts": {
			`"input":[{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"4"},{"type":"input_text","text":"2"}]}]`,
			[]openai.Message{{Role: openai.RoleAssistant, ToolCalls: []openai.ToolCall{called}}, {Role: openai.RoleTool, ToolCallID: "c1", Content: "42"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := &fake{}
			f := newFixture(t, m)
			if got := f.create(t, `{"model":"gpt-oss-demo",`+tc.body+`}`); got.status != 200 {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			if diff := cmp.Diff(tc.want, m.last(t).Messages, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want,+got):\n%s", diff)
			}
		})
	}
}

func TestParameters(t *testing.T) {
	m := &fake{}
	f := newFixture(t, m)
	got := f.create(t, ask(weather+`,"max_output_tokens":7,"temperature":0.5,"top_p":0.25,"seed":4,"reasoning":{"effort":"high"},"tool_choice":"none","top_logprobs":3`))
	if got.status != 200 {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	r := m.last(t)
	if *r.MaxTokens != 7 || *r.Temperature != 0.5 || *r.TopP != 0.25 || *r.Seed != 4 || r.ReasoningObjectEffort != "high" || r.ToolChoice != openai.ToolChoiceNone {
		t.Errorf("request %+v", r)
	}
	if !r.Logprobs || r.TopLogprobs != 3 || r.Stream || !r.IncludeReasoning {
		t.Errorf("request %+v", r)
	}
	want := []openai.Tool{{Name: "get_weather", Description: "The weather", Parameters: []byte(`{"type":"object","properties":{"city":{"type":"string"}}}`)}}
	if diff := cmp.Diff(want, r.Tools); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
}

// TestForms checks what becomes of text.format and tool_choice; whether chat serves it is chat's business.
func TestForms(t *testing.T) {
	cases := map[string]struct {
		more, name, want string
	}{
		"plain text":     {`,"text":{"format":{"type":"text"}}`, "response_format", `{"type":"text"}`},
		"any object":     {`,"text":{"format":{"type":"json_object"}}`, "response_format", `{"type":"json_object"}`},
		"a schema":       {`,"text":{"format":{"type":"json_schema","name":"n","strict":true,"schema":{"b":1,"a":2}}}`, "response_format", `{"json_schema":{"name":"n","schema":{"b":1,"a":2},"strict":true},"type":"json_schema"}`},
		"a word":         {weather + `,"tool_choice":"required"`, "tool_choice", `"required"`},
		"a function":     {weather + `,"tool_choice":{"type":"function","name":"get_weather"}`, "tool_choice", `{"function":{"name":"get_weather"},"type":"function"}`},
		"some functions": {weather + `,"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"get_weather"}]}`, "tool_choice", `{"allowed_tools":{"mode":"auto","tools":[{"function":{"name":"get_weather"},"type":"function"}]},"type":"allowed_tools"}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			q, err := readRequest([]byte(ask(tc.more)))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(q.chat(nil)[tc.name]); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	call := `{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"}`
	cases := map[string]struct {
		body        string
		param, want string
	}{
		"no JSON":               {`{`, "", "The request body is not valid JSON"},
		"no model":              {`{"input":"hi"}`, "model", "Missing required field: model"},
		"no input":              {`{"model":"m"}`, "input", "Missing required field: input"},
		"input of no type":      {`{"model":"m","input":5}`, "input", "Invalid type for 'input': expected a string or an array of items, but got a number."},
		"empty input":           {`{"model":"m","input":[]}`, "input", "Invalid value for 'input': must have at least one item."},
		"an image":              {`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]}`, "input[0].content[0].type", "Unsupported content part 'input[0].content[0].type' of type \"input_image\": the model reads text only."},
		"a part without text":   {`{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}`, "input[0].content[0].text", "Missing required field: input[0].content[0].text"},
		"an odd item":           {`{"model":"m","input":[{"type":"computer_call"}]}`, "input[0].type", "Unsupported item 'input[0].type' of type \"computer_call\""},
		"an odd role":           {`{"model":"m","input":[{"role":"tool","content":"x"}]}`, "input[0].role", "Invalid value for 'input[0].role': must be user, assistant, system or developer."},
		"no content":            {`{"model":"m","input":[{"role":"user"}]}`, "input[0].content", "Missing required field: input[0].content"},
		"a result of no call":   {`{"model":"m","input":[` + call + `,{"type":"function_call_output","call_id":"c2","output":"x"}]}`, "input[1].call_id", "Invalid value for 'input[1].call_id': no assistant message before it made the call \"c2\"."},
		"a result of nothing":   {`{"model":"m","input":[` + call + `,{"type":"function_call_output","call_id":"c1"}]}`, "input[1].output", "Missing required field: input[1].output"},
		"a call's odd name":     {`{"model":"m","input":[` + strings.Replace(call, `"f"`, `"f f"`, 1) + `]}`, "input[0].name", "Invalid value for 'input[0].name': must be 1 to 64 letters"},
		"others' encryption":    {`{"model":"m","input":[{"type":"reasoning","summary":[],"encrypted_content":"gAAAA"}]}`, "input[0].encrypted_content", "Invalid value for 'input[0].encrypted_content': it was not made by this server"},
		"an unknown reference":  {`{"model":"m","input":[{"type":"item_reference","id":"rs_9"}]}`, "input[0].id", "Item with id \"rs_9\" not found"},
		"a tool of OpenAI's":    {ask(`,"tools":[{"type":"web_search"}]`), "tools[0].type", "Unsupported tool \"web_search\": this server runs no tools of its own"},
		"a tool's odd name":     {ask(`,"tools":[{"type":"function","name":"f f"}]`), "tools[0].name", "Invalid value for 'tools[0].name': must be 1 to 64 letters"},
		"odd parameters":        {ask(`,"tools":[{"type":"function","name":"f","parameters":5}]`), "tools[0].parameters", "Invalid type for 'tools[0].parameters': expected an object, but got a number."},
		"choice of OpenAI's":    {ask(`,"tool_choice":{"type":"file_search"}`), "tool_choice.type", "Unsupported tool choice \"file_search\""},
		"choice of no function": {ask(weather + `,"tool_choice":{"type":"function","name":"g"}`), "tool_choice", "Invalid value for 'tool_choice': there is no function \"g\" in tools."},
		"too many tokens":       {ask(`,"max_output_tokens":0`), "max_output_tokens", "Invalid value for 'max_output_tokens': must be an integer from 1 to"},
		"a high temperature":    {ask(`,"temperature":3`), "temperature", "Invalid value for 'temperature': must be a number from 0 to 2."},
		"an odd effort":         {ask(`,"reasoning":{"effort":"huge"}`), "reasoning.effort", "Invalid value for 'reasoning.effort'"},
		"an odd summary":        {ask(`,"reasoning":{"summary":"long"}`), "reasoning.summary", "Invalid value for 'reasoning.summary': must be auto, concise or detailed."},
		"an odd format":         {ask(`,"text":{"format":{"type":"xml"}}`), "text.format.type", "Invalid value for 'text.format.type': must be text, json_object or json_schema."},
		"an odd verbosity":      {ask(`,"text":{"verbosity":"mute"}`), "text.verbosity", "Invalid value for 'text.verbosity': must be low, medium or high."},
		"an odd truncation":     {ask(`,"truncation":"all"`), "truncation", "Invalid value for 'truncation': must be auto or disabled."},
		"an odd include":        {ask(`,"include":["everything"]`), "include[0]", "Invalid value for 'include[0]': must be one of"},
		"metadata of numbers":   {ask(`,"metadata":{"a":1}`), "metadata.a", "Invalid type for 'metadata.a': expected a string, but got a number."},
		"long metadata":         {ask(`,"metadata":{"a":"` + strings.Repeat("x", 513) + `"}`), "metadata", "Invalid value for 'metadata': keys have at most 64 characters and values at most 512."},
		"options, no stream":    {ask(`,"stream_options":{}`), "stream_options", "Invalid value for 'stream_options': it is only allowed when stream is true."},
		"background, no store":  {ask(`,"background":true,"store":false`), "background", "Invalid value for 'background'"},
		"a conversation":        {ask(`,"conversation":"conv_1"`), "conversation", "Unsupported parameter: 'conversation' is not supported: there are no conversation objects; use previous_response_id."},
		"chat's messages":       {ask(`,"messages":[{}]`), "messages", "Unsupported parameter: 'messages'. In the Responses API it is 'input'."},
		"chat's format":         {ask(`,"response_format":{"type":"text"}`), "response_format", "Unsupported parameter: 'response_format'. In the Responses API it is 'text.format'."},
		"an unknown response":   {ask(`,"previous_response_id":"resp_9"`), "previous_response_id", "Previous response with id \"resp_9\" not found"},
		"what chat refuses":     {ask(`,"web_search_options":{}`), "web_search_options", "Unsupported parameter: 'web_search_options'"},
	}
	f := newFixture(t, &fake{})
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e := f.create(t, tc.body).error(t)
			param := ""
			if e.Param != nil {
				param = *e.Param
			}
			if e.Status != http.StatusBadRequest && e.Status != http.StatusNotFound || param != tc.param || !strings.HasPrefix(e.Message, tc.want) {
				t.Errorf("status %d, param %q: %s", e.Status, param, e.Message)
			}
		})
	}
}

// TestErrorsOfTheModel has what is refused later than reading keep its status and speak of this API's parameters.
func TestErrorsOfTheModel(t *testing.T) {
	refusal := openai.NewError(http.StatusTooManyRequests, openai.TypeRateLimit, openai.CodeQueueFull, "", "Too many.")
	for _, more := range []string{"", `,"stream":true`, `,"background":true`, `,"background":true,"stream":true`} {
		f := newFixture(t, &fake{refuse: refusal})
		if e := f.create(t, ask(more)).error(t); e.Status != 429 || e.Message != "Too many." {
			t.Errorf("%s: %+v", more, e)
		}
		f = newFixture(t, &fake{limit: 1})
		if e := f.create(t, ask(more)).error(t); e.Status != 400 || *e.Param != "input" || *e.Code != openai.CodeContextLengthExceeded {
			t.Errorf("%s: %+v", more, e)
		}
		if n := f.Running(); n != 0 {
			t.Errorf("%s: %d are left", more, n)
		}
	}
}

func TestTruncation(t *testing.T) {
	turn := func(role, text string) string { return `{"role":"` + role + `","content":"` + text + `"}` }
	long := `{"model":"m","instructions":"brief","input":[` + turn("developer", "rules") + `,` + turn("user", strings.Repeat("a", 50)) +
		`,{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"` + strings.Repeat("b", 50) + `"},` +
		turn("assistant", "old") + `,` + turn("user", "last") + `]`
	cases := map[string]struct {
		limit int
		more  string
		want  []string // contents
	}{
		"everything fits":             {1000, `,"truncation":"auto"`, []string{"brief", "rules", strings.Repeat("a", 50), "", strings.Repeat("b", 50), "old", "last"}},
		"the oldest goes":             {90, `,"truncation":"auto"`, []string{"brief", "rules", "", strings.Repeat("b", 50), "old", "last"}},
		"a result goes with its call": {50, `,"truncation":"auto"`, []string{"brief", "rules", "old", "last"}},
		"room for the answer":         {34, `,"truncation":"auto","max_output_tokens":16`, []string{"brief", "rules", "old", "last"}},
		"the last stays":              {17, `,"truncation":"auto"`, []string{"brief", "rules", "last"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := &fake{limit: tc.limit}
			f := newFixture(t, m)
			if got := f.create(t, long+tc.more+`}`); got.status != 200 {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			var got []string
			for _, message := range m.last(t).Messages {
				got = append(got, message.Content)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want,+got):\n%s", diff)
			}
		})
	}
	t.Run("what is far too long", func(t *testing.T) {
		m := &fake{limit: 10}
		f := newFixture(t, m)
		f.create(t, `{"model":"m","truncation":"auto","input":[`+strings.Repeat(turn("user", strings.Repeat("a", 99))+`,`, 50)+turn("user", "last")+`]}`)
		if n := len(m.last(t).Messages); n != 1 {
			t.Errorf("%d messages are left", n)
		}
	})
	for _, more := range []string{"", `,"truncation":"disabled"`, `,"truncation":"auto","max_output_tokens":1`} {
		f := newFixture(t, &fake{limit: 12})
		if e := f.create(t, long+more+`}`).error(t); *e.Code != openai.CodeContextLengthExceeded {
			t.Errorf("%s: %+v", more, e)
		}
	}
}

func TestCountInput(t *testing.T) {
	f := newFixture(t, &fake{})
	got := f.do(t, http.MethodPost, "/v1/responses/input_tokens", ask(`,"instructions":"four"`))
	if want := `{"object":"response.input_tokens","input_tokens":6}` + "\n"; got.body != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
	if e := f.do(t, http.MethodPost, "/v1/responses/input_tokens", `{}`).error(t); e.Status != 400 {
		t.Errorf("got %+v", e)
	}
}

func FuzzCreate(f *testing.F) {
	for _, tc := range scripts() {
		f.Add(ask(tc.more))
	}
	f.Add(`{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"reasoning","summary":[],"encrypted_content":"gptoss1.AA"},{"type":"function_call","call_id":"c","name":"f","arguments":"{"},{"type":"function_call_output","call_id":"c","output":[]},{"id":"x"}]}`)
	f.Add(ask(`,"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]},"tools":[null,{}],"text":{"format":{"type":"json_schema","schema":[]}}`))
	f.Fuzz(func(t *testing.T, body string) {
		a := New(Config{Model: &fake{}, NewID: func(prefix string) string { return prefix }, Bounds: Bounds{Count: 1}})
		q, err := readRequest([]byte(body))
		if err == nil {
			err = a.resolve("", q)
		}
		if err == nil {
			_, err = a.fit(q, q.turns(&link{}))
		}
		if e, ok := err.(*openai.Error); err != nil && (!ok || e.Status >= 500 || e.Message == "") { //nolint:errorlint // a wrapped error would be a mistake here
			t.Fatalf("%q: %v", body, err)
		}
		if err == nil {
			encode(q.response)
			encode(q.input)
		}
	})
}
