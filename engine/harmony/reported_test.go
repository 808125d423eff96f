package harmony

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReportedOutputs has the outputs on which users of other servers saw errors,
// leaked control tokens or lost answers, by where they reported it.
func TestReportedOutputs(t *testing.T) {
	checkCases(t, map[string]parseCase{
		"vllm 32587: a channel token in a function's name": {
			output: "<channel>commentary to=functions.query_dataset<channel>commentary json<message>{}<call>",
			want:   answer{Calls: []call{{"query_dataset", "{}"}}},
		},
		"vllm 32633, 35906: control tokens in content": {
			output: "<channel>final<message>a<constrain>b<reserved>c<return>",
			want:   answer{Content: "abc"},
		},
		"a channel token in content begins another message": {
			output: "<channel>analysis<message>a<channel>commentary to=functions.f json<message>{}<call>",
			want:   answer{Reasoning: "a", Calls: []call{{"f", "{}"}}},
		},
		"vllm 23567: words left over in the header": {
			output: "<channel>commentary to=functions.f json for you<message>{}<call>",
			want:   answer{Calls: []call{{"f", "{}"}}},
		},
		"a content type before the channel": {
			output: " to=functions.f code<channel>commentary<message>{}<call>",
			want:   answer{Calls: []call{{"f", "{}"}}},
		},
		"constrain touches the name": {
			output: "<channel>commentary to=functions.f<constrain>json<message>{}<call>",
			want:   answer{Calls: []call{{"f", "{}"}}},
		},
		"vllm 22515: commentary where start should stand": {
			output: "<channel>analysis<message>a<end>commentary to=functions.f json<message>{}<call>",
			want:   answer{Reasoning: "a", Calls: []call{{"f", "{}"}}},
		},
		"vllm 50690: generation past the terminator": {
			output: "<channel>final<message>a<return><return>b<start>assistant<channel>final<message>c",
			want:   answer{Content: "a"},
		},
		"vllm 41902: reasoning that is cut off": {
			output: "<channel>analysis<message>so", want: answer{Reasoning: "so"},
		},
		"an answer without a header": {
			output: "The answer is 4.<return>", want: answer{Content: "The answer is 4."},
		},
		"vllm 51977: a hyphen in a function's name": {
			output: "<channel>commentary to=functions.web-browsing json<message>{}<call>",
			want:   answer{Calls: []call{{"web-browsing", "{}"}}},
		},
		"ollama 11704: arguments that are no JSON": {
			output: "<channel>commentary to=functions.f json<message>[{\"a\": 1}]]<call>",
			want:   answer{Calls: []call{{"f", "[{\"a\": 1}]]"}}},
		},
		"an unknown channel": {
			output: "<channel>commentaryanalysis<message>a<end><start>assistant<channel>final<message>b<return>",
			want:   answer{Content: "b"},
		},
		"llama.cpp 19814: two calls in one turn": {
			output: "<channel>commentary to=functions.f json<message>1<end><start>assistant to=functions.g<channel>commentary json<message>2<call>",
			want:   answer{Calls: []call{{"f", "1"}, {"g", "2"}}},
		},
		"a built-in tool that is not on": {
			output: "<channel>analysis to=browser.search code<message>{}<end><start>assistant<channel>final<message>b<return>",
			want:   answer{Content: "b"},
		},
	})
}

// TestReportedPrompts has what users of other servers found missing or forged in
// their prompts.
func TestReportedPrompts(t *testing.T) {
	system := NewSystem()
	system.ModelIdentity, system.Effort, system.CurrentDate = "You are Zoë.", EffortHigh, "2025-05-07"
	developer := func(text string) Message {
		return Message{Role: RoleDeveloper, Content: []Content{&Developer{Instructions: text}}}
	}
	said := func(channel, text string) Message {
		return Message{Role: RoleAssistant, Channel: channel, Content: []Content{Text(text)}}
	}
	for name, tc := range map[string]struct {
		messages []Message
		want     string // in the prompt
	}{
		"vllm 23975: an identity of one's own":      {[]Message{{Role: RoleSystem, Content: []Content{system}}}, "<message>You are Zoë.\nKnowledge cutoff: 2024-06\n"},
		"vllm 22809: the effort":                    {[]Message{{Role: RoleSystem, Content: []Content{system}}}, "\n\nReasoning: high\n\n"},
		"the date comes from the caller's clock":    {[]Message{{Role: RoleSystem, Content: []Content{system}}}, "\nCurrent date: 2025-05-07\n"},
		"vllm 33210: a second developer message":    {[]Message{developer("one"), developer("two")}, "one<end><start>developer<message># Instructions\n\ntwo<end>"},
		"Rapid-MLX 1765: a system message later on": {[]Message{NewMessage(RoleUser, "a"), NewMessage(RoleSystem, "b")}, "a<end><start>system<message>b<end>"},
		"vllm 27653: reasoning between calls": {
			[]Message{NewMessage(RoleUser, "q"), said("analysis", "why"), ToolCall("f", "{}"), ToolResult("f", "4")},
			"<channel>analysis<message>why<end><start>assistant to=functions.f<channel>commentary json<message>{}<call>",
		},
		"llama.cpp 15417: return becomes end in a history": {[]Message{said("final", "4"), NewMessage(RoleUser, "q")}, "<message>4<end><start>user"},
		"llama.cpp 17607: control tokens in a user's text": {[]Message{NewMessage(RoleUser, "<|end|>")}, "<start>user<message><|end|><end><start>assistant"},
		"the answer of a function is not quoted":           {[]Message{ToolResult("f", `say "4"`)}, `<start>functions.f to=assistant<channel>commentary<message>say "4"<end>`},
	} {
		t.Run(name, func(t *testing.T) {
			e := newRealEncoding(t)
			ids, err := e.Render(Conversation{Messages: tc.messages})
			if err != nil {
				t.Fatal(err)
			}
			got := spell(e, ids)
			if want := spell(e, tokens(t, e, tc.want)); !strings.Contains(got, want) {
				t.Errorf("%q is not in %q", want, got)
			}
		})
	}
}

// TestEveryHeaderOrder puts the parts of a call's header into each order that models
// were seen to write.
func TestEveryHeaderOrder(t *testing.T) {
	e := newRealEncoding(t)
	want := answer{Calls: []call{{"get_weather", `{"city":"Paris"}`}}}
	for _, first := range []string{
		"<channel>commentary to=functions.get_weather", " to=functions.get_weather<channel>commentary", "<channel>analysis to=functions.get_weather",
		"<channel>commentary to=get_weather", "<channel>commentary functions.get_weather", "<channel>commentary get_weather",
		"<start>assistant to=functions.get_weather<channel>commentary", "<start>assistant<channel>commentary to=functions.get_weather",
		"assistant<channel>commentary to=functions.get_weather", "<channel>commentary to=assistant<channel>commentary to=functions.get_weather",
	} {
		for _, kind := range []string{"", " json", " <constrain>json", "<constrain>json", " code", "<constrain> json"} {
			output := first + kind + `<message>{"city":"Paris"}`
			for _, end := range []string{"<call>", "<end>", "<return>", "<endoftext>", ""} {
				got := parse(t, e.NewParser("get_weather"), tokens(t, e, output+end))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s%s (-want +got):\n%s", output, end, diff)
				}
			}
		}
	}
}
