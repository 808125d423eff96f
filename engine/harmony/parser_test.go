package harmony

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parseCase is an output, with <x> for the control token x, and what it means.
type parseCase struct {
	output string
	known  []string
	want   answer
}

func checkCases(t *testing.T, cases map[string]parseCase) {
	t.Helper()
	e := newEncoding(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := parse(t, e.NewParser(tc.known...), tokens(t, e, tc.output))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", tc.output, diff)
			}
		})
	}
}

func TestParserReadsHeaders(t *testing.T) {
	checkCases(t, map[string]parseCase{
		"reasoning, then an answer": {
			output: "<channel>analysis<message>hm<end><start>assistant<channel>final<message>4<return>",
			want:   answer{Reasoning: "hm", Content: "4"},
		},
		"a preamble, then a call": {
			output: "<channel>commentary<message>Let me see.<end><start>assistant to=functions.f<channel>commentary json<message>{}<call>",
			want:   answer{Content: "Let me see.", Calls: []call{{"f", "{}"}}},
		},
		"recipient after the channel, constrain without a blank": {
			output: "<channel>commentary to=functions.f<constrain>json<message>{}<call>",
			want:   answer{Calls: []call{{"f", "{}"}}},
		},
		"constrain on the final channel": {
			output: "<channel>final <constrain>json<message>{}<return>",
			want:   answer{Content: "{}"},
		},
		"a bare content type on the final channel": {
			output: "<channel>final json<message>{}<return>",
			want:   answer{Content: "{}"},
		},
		"a call on the analysis channel": {
			output: "<channel>analysis to=functions.f<message>{}<call>",
			want:   answer{Calls: []call{{"f", "{}"}}},
		},
		"a known name without the namespace": {
			output: "<channel>commentary get_x json<message>{}<call>", known: []string{"get_x"},
			want: answer{Calls: []call{{"get_x", "{}"}}},
		},
		"a recipient without the namespace": {
			output: "<channel>commentary to=get_x<message>{}<call>",
			want:   answer{Calls: []call{{"get_x", "{}"}}},
		},
		"a hyphen and a dot in the name": {
			output: "<channel>commentary to=functions.web-browsing.open<message>{}<call>",
			want:   answer{Calls: []call{{"web-browsing.open", "{}"}}},
		},
		"a channel token inside the name's header": {
			output: " to=functions.query_dataset<channel>commentary<channel>commentary json<message>{}<call>",
			want:   answer{Calls: []call{{"query_dataset", "{}"}}},
		},
		"a doubled header": {
			output: "<channel>commentary to=assistant<channel>analysis<message>hm<end><start>assistant<channel>final<message>x<return>",
			want:   answer{Reasoning: "hm", Content: "x"},
		},
		"the role repeated": {
			output: "assistant<channel>final<message>x<return>",
			want:   answer{Content: "x"},
		},
		"role and channel run together": {
			output: "<channel>analysis<message>a<end><start>assistantfinal<message>x<return>",
			want:   answer{Reasoning: "a", Content: "x"},
		},
		"channel and recipient run together": {
			output: "<channel>commentaryto=functions.f<message>{}<call>",
			want:   answer{Calls: []call{{"f", "{}"}}},
		},
		"a blank after to=": {
			output: "<channel>commentary to= functions.f<message>{}<call>",
			want:   answer{Calls: []call{{"f", "{}"}}},
		},
	})
}

func TestParserRecoversBrokenFraming(t *testing.T) {
	checkCases(t, map[string]parseCase{
		"no message token": {
			output: "<channel>final Hello  world<end>",
			want:   answer{Content: "Hello  world"},
		},
		"no message token before arguments": {
			output: `<channel>commentary to=functions.f json{"a": 1}<call>`,
			want:   answer{Calls: []call{{"f", `{"a": 1}`}}},
		},
		"no message token and no content": {
			output: "<channel>commentary to=functions.f<call>",
			want:   answer{Calls: []call{{"f", ""}}},
		},
		"a long message without a message token": {
			output: "<channel>final " + long + "<return>",
			want:   answer{Content: long},
		},
		"no header at all": {
			output: "Hello<return>",
			want:   answer{Content: "Hello"},
		},
		"no channel": {
			output: "<message>Hello<return>",
			want:   answer{Content: "Hello"},
		},
		"no start between messages": {
			output: "<channel>analysis<message>a<end><channel>final<message>b<return>",
			want:   answer{Reasoning: "a", Content: "b"},
		},
		"a header without start and channel tokens": {
			output: "<channel>analysis<message>a<end>commentary to=functions.f json<message>{}<call>",
			want:   answer{Reasoning: "a", Calls: []call{{"f", "{}"}}},
		},
		"text after the end": {
			output: "<channel>analysis<message>a<end>The answer is 4.<return>",
			want:   answer{Reasoning: "a", Content: "The answer is 4."},
		},
		"a start token inside a message": {
			output: "<channel>analysis<message>a<start>assistant<channel>final<message>b<return>",
			want:   answer{Reasoning: "a", Content: "b"},
		},
		"a channel token inside a message": {
			output: "<channel>analysis<message>a<channel>final<message>b<return>",
			want:   answer{Reasoning: "a", Content: "b"},
		},
		"a start token between header and message": {
			output: " to=functions.f<channel>commentary json<start><message>{}<call>",
			want:   answer{Calls: []call{{"f", "{}"}}},
		},
		"an end token behind constrain": {
			output: "<channel>commentary to=functions.f <constrain><end>json<message>{}<call>",
			want:   answer{Calls: []call{{"f", "{}"}}},
		},
		"a header that ends before its message": {
			output: "<channel>commentary to=functions.f<end><start>assistant<channel>final<message>a<return>",
			want:   answer{Content: "a", Calls: []call{{"f", ""}}},
		},
		"a header that ends with the output": {
			output: "<channel>commentary to=functions.f<end>",
			want:   answer{Calls: []call{{"f", ""}}},
		},
		"content that touches the channel": {
			output: "<channel>finalHello<end>",
			want:   answer{Content: "Hello"},
		},
		"the role behind the channel token": {
			output: "<channel>analysis<message>a<end><start><channel>assistantfinal<message>b<return>",
			want:   answer{Reasoning: "a", Content: "b"},
		},
		"two equals signs": {
			output: "<channel>commentary to==functions.f<message>{}<call>",
			want:   answer{Calls: []call{{"f", "{}"}}},
		},
		"a recipient without its to": {
			output: "=functions.f<channel>commentary<message>{}<call>",
			want:   answer{Calls: []call{{"f", "{}"}}},
		},
		"a content type for a recipient": {
			output: "<channel>commentary to= json<message>a<end>",
			want:   answer{Content: "a"},
		},
		"message, constrain and reserved tokens inside a message": {
			output: "<channel>final<message>a<message>b<constrain>c<reserved>d<return>",
			want:   answer{Content: "abcd"},
		},
	})
}

func TestParserDropsWhatIsForNobody(t *testing.T) {
	checkCases(t, map[string]parseCase{
		"an unknown channel": {
			output: "<channel>comment<message>a<end><start>assistant<channel>final<message>b<return>",
			want:   answer{Content: "b"},
		},
		"a call of a built-in tool that is not on": {
			output: "<channel>analysis to=python code<message>1+1<call>",
		},
		"a function of a built-in tool's name": {
			output: "<channel>commentary to=python<message>{}<call>", known: []string{"python"},
			want: answer{Calls: []call{{"python", "{}"}}},
		},
		"a message in the user's name": {
			output: "<channel>final<message>a<end><start>user<message>b<return>",
			want:   answer{Content: "a"},
		},
		"a result in a function's name": {
			output: "<channel>final<message>a<end><start>functions.f to=assistant<channel>commentary<message>b<end>",
			want:   answer{Content: "a"},
		},
		"a result in an unknown tool's name": {
			output: "<channel>final<message>a<end><start>f to=assistant<channel>commentary<message>b<end>",
			want:   answer{Content: "a"},
		},
		"text past the terminator": {
			output: "<channel>final<message>a<return>b<start>assistant<channel>final<message>c<return>",
			want:   answer{Content: "a"},
		},
		"endoftext in a header": {
			output: "<channel>final<endoftext><message>a",
		},
	})
}

func TestParserTakesAnswersThatAreCutOff(t *testing.T) {
	checkCases(t, map[string]parseCase{
		"cut off in a message": {
			output: "<channel>analysis<message>a", want: answer{Reasoning: "a"},
		},
		"cut off in a character": {
			output: "<channel>final<message>a\xe2\x82", want: answer{Content: "a\uFFFD"},
		},
		"half a character is not carried into the next message": {
			output: "<channel>analysis<message>a\xe2\x82<end><start>assistant<channel>final<message>\xac<return>",
			want:   answer{Reasoning: "a\uFFFD", Content: "\uFFFD"},
		},
		"cut off in a function's name":  {output: "<channel>commentary to=functions.get_wea"},
		"cut off in a content type":     {output: "<channel>commentary js"},
		"cut off in a role":             {output: "<channel>analysis<message>a<end><start>assis", want: answer{Reasoning: "a"}},
		"cut off in a channel":          {output: "<channel>ana"},
		"cut off after a call's header": {output: "<channel>commentary to=functions.f json<message>", want: answer{Calls: []call{{"f", ""}}}},
		"nothing":                       {},
	})
}

var long = func() (s string) {
	for range 100 {
		s += "héllo "
	}
	return s + "."
}()

func TestParserCountsTokens(t *testing.T) {
	e := newEncoding(t)
	p := e.NewParser()
	parse(t, p, tokens(t, e, "<channel>analysis<message>abc<end><start>assistant to=functions.f<channel>commentary<message>{}<call>x"))
	want := Usage{Reasoning: 3, ToolCall: 2, Framing: 1 + 8 + 1 + 1 + 1 + 9 + 15 + 1 + 10 + 1 + 1 + 1}
	if diff := cmp.Diff(want, p.Usage()); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
}

func TestParserNumbersMessagesAndCalls(t *testing.T) {
	e := newEncoding(t)
	p := e.NewParser()
	var got []Delta
	for _, id := range tokens(t, e, "<channel>commentary to=functions.f<message>1<end><start>assistant to=functions.g<message>2<end><start>assistant<channel>final<message>3<return>") {
		got = append(got, p.Push(id)...)
	}
	want := []Delta{
		{Kind: KindToolCall, Name: "f"},
		{Kind: KindToolCall, Text: "1"},
		{Kind: KindToolCall, Name: "g", Index: 1, Message: 1},
		{Kind: KindToolCall, Text: "2", Index: 1, Message: 1},
		{Kind: KindContent, Text: "3", Message: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deltas (-want +got):\n%s", diff)
	}
}
