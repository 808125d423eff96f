package server

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/openai"
)

func (f *fixture) complete(t *testing.T, more string) reply {
	t.Helper()
	return f.do(t, http.MethodPost, "/v1/completions", `{"model":"gpt-oss-demo"`+more+`}`)
}

func TestTextOnTheWire(t *testing.T) {
	f := newFixture(t, says(" world<|end|>!<|return|>"))
	got := f.complete(t, `,"prompt":"Hello"`)
	want := `{"id":"cmpl-test","object":"text_completion","created":1746627633,"model":"gpt-oss-demo","choices":[{"index":0,"text":" world!","logprobs":null,` +
		`"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":0},` +
		`"completion_tokens_details":{"reasoning_tokens":0}},"system_fingerprint":"` + fingerprint + `"}` + "\n"
	if got.status != 200 || got.body != want {
		t.Errorf("status %d\ngot  %s\nwant %s", got.status, got.body, want)
	}
	events := f.complete(t, `,"prompt":"Hello","stream":true,"stream_options":{"include_usage":true}`).events(t)
	if first := events[0]; !strings.Contains(first, `"choices":[{"index":0,"text":" ","logprobs":null,"finish_reason":null}],"usage":null`) {
		t.Errorf("the first event is %s", first)
	}
	if last := events[len(events)-2]; !strings.Contains(last, `"choices":[],"usage":{"prompt_tokens":5`) || events[len(events)-1] != "[DONE]" {
		t.Errorf("the stream ends with %q", events[len(events)-2:])
	}
}

func TestPrompts(t *testing.T) {
	cases := map[string]struct {
		more string
		want []string // prompts, control tokens by their names
	}{
		"a text":                     {`,"prompt":"ab"`, []string{"ab"}},
		"control tokens by names":    {`,"prompt":"a<|start|>b<|nothing|><|x<|end|>"`, []string{"a[start]b<|nothing|><|x[end]"}},
		"names that are only text":   {`,"prompt":"a<|start|>","parse_special":false`, []string{"a<|start|>"}},
		"ids":                        {`,"prompt":[97,256,98]`, []string{"a[start]b"}},
		"texts":                      {`,"prompt":["a","b"]`, []string{"a", "b"}},
		"lists of ids":               {`,"prompt":[[97],[98,99]]`, []string{"a", "bc"}},
		"two answers to each of two": {`,"prompt":["a","b"],"n":2`, []string{"a", "a", "b", "b"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := says("x<|return|>")
			f := newFixture(t, g)
			got := f.complete(t, tc.more)
			if got.status != 200 {
				t.Fatal(got.body)
			}
			if n := len(decode[openai.TextCompletion](t, got.body).Choices); n != len(tc.want) {
				t.Errorf("%d choices, want %d", n, len(tc.want))
			}
			count := map[string]int{}
			for _, r := range g.requests {
				prompt := ""
				for _, id := range r.Prompt {
					text := string(words().TokenBytes(id))
					if words().IsSpecial(id) {
						text = "[" + strings.Trim(text, "<|>") + "]"
					}
					prompt += text
				}
				count[prompt]++
			}
			for _, want := range tc.want {
				count[want]--
			}
			for prompt, n := range count {
				if n != 0 {
					t.Errorf("prompt %q comes %d times too often", prompt, n)
				}
			}
		})
	}
}

func TestTextShapes(t *testing.T) {
	cases := map[string]struct {
		output, more string
		want         []string
		finish       openai.FinishReason
	}{
		"the prompt is repeated":             {"b<|return|>", `,"prompt":"a","echo":true`, []string{"ab"}, openai.FinishStop},
		"the prompt alone":                   {"b<|return|>", `,"prompt":"a","echo":true,"max_tokens":0`, []string{"a"}, openai.FinishLength},
		"a prompt of ids is spelled":         {"b<|return|>", `,"prompt":[97,256],"echo":true`, []string{"ab"}, openai.FinishStop},
		"control tokens are shown if wanted": {"a<|end|>b<|return|>", `,"prompt":"x","skip_special_tokens":false`, []string{"a<|end|>b"}, openai.FinishStop},
		"a stop sequence":                    {"abENDc", `,"prompt":"x","stop":"END"`, []string{"ab"}, openai.FinishStop},
		"a stop token":                       {"ab", `,"prompt":"x","stop_token_ids":[98]`, []string{"a"}, openai.FinishStop},
		"the model's format is shown as is":  {hello, `,"prompt":"x"`, []string{"analysisHm.assistantfinalHello!"}, openai.FinishStop},
		"past the end":                       {"a<|return|>b", `,"prompt":"x","ignore_eos":true`, []string{"ab"}, openai.FinishStop},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, says(tc.output))
			whole := decode[openai.TextCompletion](t, f.complete(t, tc.more).body)
			var got []string
			for _, c := range whole.Choices {
				got = append(got, c.Text)
				if *c.FinishReason != tc.finish {
					t.Errorf("finish reason %s", *c.FinishReason)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want,+got):\n%s", diff)
			}
		})
	}
}

func TestTextLogprobs(t *testing.T) {
	f := newFixture(t, &script{tokens: append(ids("é"), piece(9), 'z'), reason: engine.FinishLength})
	choice := decode[openai.TextCompletion](t, f.complete(t, `,"prompt":"x","logprobs":1`).body).Choices[0]
	want := &openai.TextLogprobs{
		Tokens: []string{`bytes:\xc3`, `bytes:\xa9`, "ENDEND", "z"}, TokenLogprobs: []*float64{new(0.0), new(-1.0), new(-2.0), new(-3.0)},
		TopLogprobs: []map[string]float64{{`bytes:\xc3`: 0}, {`bytes:\xa9`: -1}, {"ENDEND": -2}, {"z": -3}}, TextOffset: []int{0, 0, 1, 7},
	}
	if diff := cmp.Diff(want, choice.Logprobs); diff != "" || choice.Text != "éENDENDz" {
		t.Errorf("text %q (-want,+got):\n%s", choice.Text, diff)
	}
}

// TestTextStreamEqualsWhole puts events of random outputs together and compares with the answer in one piece.
func TestTextStreamEqualsWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 7))
	tails := []string{"", `,"stop":["END","€"]`, `,"logprobs":2`, `,"echo":true,"n":3`, `,"skip_special_tokens":false,"logprobs":0`, `,"stop_token_ids":[33]`}
	for range 150 {
		tokens, tail := generated(r), `,"prompt":["pé","q"]`+tails[r.IntN(len(tails))]
		f := newFixture(t, &script{tokens: tokens, reason: engine.FinishLength})
		whole := decode[openai.TextCompletion](t, f.complete(t, tail).body)
		streamed := assembleText(t, f.complete(t, tail+`,"stream":true,"stream_options":{"include_usage":true}`), strings.Contains(tail, "logprobs"))
		if diff := cmp.Diff(whole, streamed); diff != "" {
			t.Fatalf("output %q%s (-whole,+streamed):\n%s", spell(tokens), tail, diff)
		}
	}
}

func assembleText(t *testing.T, r reply, logprobs bool) (out openai.TextCompletion) {
	t.Helper()
	events := r.events(t)
	for _, e := range events[:len(events)-1] {
		event := decode[openai.TextCompletion](t, e)
		choices := out.Choices
		out = event
		out.Choices = choices
		for _, c := range event.Choices {
			for len(out.Choices) <= c.Index {
				next := openai.TextChoice{Index: len(out.Choices)}
				if logprobs {
					next.Logprobs = &openai.TextLogprobs{Tokens: []string{}, TokenLogprobs: []*float64{}, TopLogprobs: []map[string]float64{}, TextOffset: []int{}}
				}
				out.Choices = append(out.Choices, next)
			}
			into := &out.Choices[c.Index]
			into.Text += c.Text
			into.FinishReason = c.FinishReason
			if l := c.Logprobs; l != nil {
				into.Logprobs.Tokens = append(into.Logprobs.Tokens, l.Tokens...)
				into.Logprobs.TokenLogprobs = append(into.Logprobs.TokenLogprobs, l.TokenLogprobs...)
				into.Logprobs.TopLogprobs = append(into.Logprobs.TopLogprobs, l.TopLogprobs...)
				into.Logprobs.TextOffset = append(into.Logprobs.TextOffset, l.TextOffset...)
			}
		}
	}
	return out
}

// TestBestOf has three answers of which the last to be made is the likeliest: the script reports the numbers of tokens as
// their improbabilities, so the shortest is.
func TestBestOf(t *testing.T) {
	g := &several{answers: []string{"long answer", "middling", "ab"}}
	f := newFixture(t, g)
	got := decode[openai.TextCompletion](t, f.complete(t, `,"prompt":"x","best_of":3,"n":2`).body)
	var texts []string
	for i, c := range got.Choices {
		texts = append(texts, fmt.Sprintf("%t %s", c.Index == i, c.Text))
	}
	if diff := cmp.Diff([]string{"true ab", "true middling"}, texts); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
	if want := len("long answer" + "middling" + "ab"); got.Usage.Usage.CompletionTokens != want {
		t.Errorf("%d completion tokens, want those of all three, %d", got.Usage.Usage.CompletionTokens, want)
	}
}

func TestRefusedTexts(t *testing.T) {
	cases := map[string]struct{ more, code, param string }{
		"no prompt":                  {"", openai.CodeMissingField, "prompt"},
		"an empty prompt":            {`,"prompt":""`, openai.CodeInvalidValue, "prompt"},
		"no prompts":                 {`,"prompt":[]`, openai.CodeInvalidValue, "prompt"},
		"an empty prompt of two":     {`,"prompt":["a",""]`, openai.CodeInvalidValue, "prompt[1]"},
		"a prompt of another type":   {`,"prompt":{"a":1}`, openai.CodeInvalidType, "prompt"},
		"a list of neither":          {`,"prompt":[true]`, openai.CodeInvalidType, "prompt[0]"},
		"ids and texts":              {`,"prompt":[97,"a"]`, openai.CodeInvalidValue, "prompt[1]"},
		"no such token":              {`,"prompt":[97,99999]`, openai.CodeInvalidValue, "prompt[1]"},
		"a negative token":           {`,"prompt":[-1]`, openai.CodeInvalidValue, "prompt[0]"},
		"a huge token":               {`,"prompt":[1e99]`, openai.CodeInvalidValue, "prompt[0]"},
		"an empty list of ids":       {`,"prompt":[[97],[]]`, openai.CodeInvalidValue, "prompt[1]"},
		"a suffix":                   {`,"prompt":"a","suffix":"b"`, openai.CodeUnsupported, "suffix"},
		"no tokens without echo":     {`,"prompt":"a","max_tokens":0`, openai.CodeInvalidValue, "max_tokens"},
		"echo with logprobs":         {`,"prompt":"a","echo":true,"logprobs":1`, openai.CodeUnsupported, "logprobs"},
		"best_of below n":            {`,"prompt":"a","best_of":1,"n":2`, openai.CodeInvalidValue, "best_of"},
		"best_of in a stream":        {`,"prompt":"a","best_of":2,"stream":true`, openai.CodeInvalidValue, "best_of"},
		"too many of the best":       {`,"prompt":"a","best_of":9`, openai.CodeInvalidValue, "best_of"},
		"too many prompts":           {`,"prompt":["a","b","c"],"n":3`, openai.CodeInvalidValue, "prompt"},
		"too many log probabilities": {`,"prompt":"a","logprobs":21`, openai.CodeInvalidValue, "logprobs"},
		"a prompt over the context":  {`,"prompt":"` + strings.Repeat("x", 5000) + `"`, openai.CodeContextLengthExceeded, "prompt"},
		"a bias of no token":         {`,"prompt":"a","logit_bias":{"99999":1}`, openai.CodeInvalidValue, "logit_bias"},
		"a stop of no token":         {`,"prompt":"a","stop_token_ids":[1,99999]`, openai.CodeInvalidValue, "stop_token_ids[1]"},
	}
	f := newFixture(t, says("x"))
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := f.complete(t, tc.more)
			if e := got.error(t); e.Status != 400 || *e.Code != tc.code || e.Param == nil || *e.Param != tc.param {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
	if e := f.do(t, http.MethodPost, "/v1/completions", `{"model":"x","prompt":"a"}`).error(t); e.Status != 404 {
		t.Errorf("another model: %+v", e)
	}
}
