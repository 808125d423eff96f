package prompt

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// at is the time at which all tests play.
var at = time.Date(2025, 5, 7, 14, 20, 33, 0, time.UTC)

func request(t *testing.T, body string) *openai.ChatRequest {
	t.Helper()
	r, err := openai.DecodeChatRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return &r
}

func TestConversation(t *testing.T) {
	developer := func(text string) harmony.Message {
		return harmony.Message{Role: harmony.RoleDeveloper, Content: []harmony.Content{&harmony.Developer{Instructions: text}}}
	}
	user := harmony.NewMessage(harmony.RoleUser, "hi")
	said := func(channel, text string) harmony.Message {
		m := harmony.NewMessage(harmony.RoleAssistant, text)
		m.Channel = channel
		return m
	}
	const tool = `,"tools":[{"type":"function","function":{"name":"f","description":"d"}}]`
	withTool := harmony.Functions(harmony.Tool{Name: "f", Description: "d"})
	const loop = `{"role":"user","content":"hi"},
		{"role":"assistant","content":"wait","reasoning":"why","tool_calls":[
			{"id":"1","type":"function","function":{"name":"a.b","arguments":"{}"}},{"id":"2","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
		{"role":"tool","tool_call_id":"2","content":"two"},{"role":"tool","tool_call_id":"1","content":null}`
	cases := map[string]struct {
		messages, more string
		want           []harmony.Message
	}{
		"a lone user": {`{"role":"user","content":"hi"}`, "", []harmony.Message{user}},
		"the first system message instructs, later ones stay in place": {
			`{"role":"system","content":"one"},{"role":"developer","content":"two"},{"role":"user","content":"hi"},{"role":"system","content":"three"}`, "",
			[]harmony.Message{developer("one"), developer("two"), user, developer("three")},
		},
		"a system message after the user keeps its place": {
			`{"role":"user","content":"hi"},{"role":"system","content":"one"}`, "",
			[]harmony.Message{user, developer("one")},
		},
		"the reasoning line is not repeated": {
			`{"role":"system","content":"Be brief.\nReasoning: high\nBe kind."},{"role":"system","content":"reasoning: low"},{"role":"user","content":"hi"}`, "",
			[]harmony.Message{developer("Be brief.\nBe kind."), user},
		},
		"a named user": {
			`{"role":"user","name":"Zoë <|start|>x","content":"hi"}`, "",
			[]harmony.Message{{Role: harmony.RoleUser, Name: "Zo_startx", Content: []harmony.Content{harmony.Text("hi")}}},
		},
		"a finished turn": {
			`{"role":"user","content":"hi"},{"role":"assistant","content":"yes","reasoning_content":"why"},{"role":"assistant","content":null}`, "",
			[]harmony.Message{user, said("analysis", "why"), said("final", "yes")},
		},
		"tools without instructions": {
			`{"role":"user","content":"hi"}`, tool,
			[]harmony.Message{{Role: harmony.RoleDeveloper, Content: []harmony.Content{&harmony.Developer{Tools: []harmony.Namespace{withTool}}}}, user},
		},
		"tools with instructions": {
			`{"role":"system","content":"one"},{"role":"user","content":"hi"}`, tool,
			[]harmony.Message{{Role: harmony.RoleDeveloper, Content: []harmony.Content{&harmony.Developer{Instructions: "one", Tools: []harmony.Namespace{withTool}}}}, user},
		},
		"tool_choice none hides the tools": {`{"role":"user","content":"hi"}`, tool + `,"tool_choice":"none"`, []harmony.Message{user}},
		"a tool loop, answered out of order": {
			loop, "",
			[]harmony.Message{
				user, said("analysis", "why"), said("commentary", "wait"), harmony.ToolCall("a_b", "{}"), harmony.ToolCall("f", `{"x":1}`),
				harmony.ToolResult("f", "two"), harmony.ToolResult("a_b", ""),
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := request(t, `{"model":"m","messages":[`+tc.messages+`]`+tc.more+`}`)
			got := Conversation(r, "high", at, NewNames(r)).Messages
			system := harmony.NewSystem()
			system.CurrentDate, system.Effort = "2025-05-07", harmony.EffortHigh
			want := append([]harmony.Message{{Role: harmony.RoleSystem, Content: []harmony.Content{system}}}, tc.want...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want,+got):\n%s", diff)
			}
		})
	}
}

func TestReasoningEffort(t *testing.T) {
	const system = `"messages":[{"role":"system","content":"Reasoning: low"},{"role":"developer","content":"x\r\n  REASONING: High \r\ny"},{"role":"user","content":"Reasoning: low"}]`
	const silent = `"messages":[{"role":"system","content":"My reasoning: high or low."},{"role":"user","content":"Reasoning: high"}]`
	cases := map[string]struct{ body, want string }{
		"the server's default":                 {silent, "medium"},
		"the last system text":                 {system, "high"},
		"the template's argument over text":    {system + `,"chat_template_kwargs":{"reasoning_effort":"low"}`, "low"},
		"reasoning.effort over the template":   {system + `,"chat_template_kwargs":{"reasoning_effort":"low"},"reasoning":{"effort":"medium"}`, "medium"},
		"reasoning_effort over the object":     {silent + `,"reasoning_effort":"max","reasoning":{"effort":"medium"}`, "high"},
		"reasoning_level over everything":      {system + `,"reasoning_level":"low","reasoning_effort":"high"`, "low"},
		"an effort that the model has not":     {silent + `,"reasoning_effort":"none"`, "low"},
		"an object without effort says naught": {silent + `,"reasoning":{}`, "medium"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Effort(request(t, `{"model":"m",`+tc.body+`}`), "medium"); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestFunctionNames(t *testing.T) {
	r := &openai.ChatRequest{
		Tools: []openai.Tool{{Name: "a-b"}, {Name: "a.b"}, {Name: "a_b"}, {Name: "2x"}, {Name: "plain"}},
		Messages: []openai.Message{{ToolCalls: []openai.ToolCall{
			{Function: openai.FunctionCall{Name: "a-b"}}, {Function: openai.FunctionCall{Name: "gone"}},
		}}},
	}
	n := NewNames(r)
	want := map[string]string{"a-b": "a_b_2", "a.b": "a_b_3", "a_b": "a_b", "2x": "_2x", "plain": "plain", "gone": "gone"}
	for name, shown := range want {
		if got := n.ToModel(name); got != shown {
			t.Errorf("the model sees %q as %q, want %q", name, got, shown)
		}
		if got := n.ToClient(shown); got != name {
			t.Errorf("the client sees %q as %q, want %q", shown, got, name)
		}
	}
	if got := n.ToClient("invented"); got != "invented" {
		t.Errorf("an invented name became %q", got)
	}
	if diff := cmp.Diff([]string{"a_b_2", "a-b", "a_b_3", "a.b", "a_b", "a_b", "_2x", "2x", "plain", "plain"}, n.Offered(r)); diff != "" {
		t.Errorf("offered (-want,+got):\n%s", diff)
	}
}
