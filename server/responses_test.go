package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/responses"
)

// preambleAndCall is a whole turn: reasoning, two preambles in a row, reasoning again and a call.
const preambleAndCall = "<|channel|>analysis<|message|>Ask.<|end|><|start|>assistant<|channel|>commentary<|message|>One.<|end|>" +
	"<|start|>assistant<|channel|>commentary<|message|>Two.<|end|><|start|>assistant<|channel|>analysis<|message|>Now.<|end|>" +
	`<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Oslo"}<|call|>`

const flatWeather = `,"tools":[{"type":"function","name":"get-weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}]`

// respond sends a create request.
func (f *fixture) respond(t *testing.T, more string, header ...string) reply {
	t.Helper()
	return f.do(t, http.MethodPost, "/v1/responses", `{"model":"gpt-oss-demo","input":"hi"`+more+`}`, header...)
}

// outline is what a response's output consists of.
func outline(t *testing.T, body string) []string {
	t.Helper()
	var r struct {
		Output []struct {
			Type, Name, Arguments, Status string
			Content                       []struct{ Text string }
		}
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	var out []string
	for _, i := range r.Output {
		line := i.Type + " " + i.Status + ": " + i.Name + i.Arguments
		for _, c := range i.Content {
			line += c.Text
		}
		out = append(out, line)
	}
	return out
}

func TestResponseItems(t *testing.T) {
	cases := map[string]struct {
		output string
		reason engine.FinishReason
		more   string
		want   []string
	}{
		"an answer":           {hello, "", "", []string{"reasoning completed: Hm.", "message completed: Hello!"}},
		"a turn with a call":  {preambleAndCall, "", flatWeather, []string{"reasoning completed: Ask.", "message completed: One.", "message completed: Two.", "reasoning completed: Now.", `function_call completed: get-weather{"city":"Oslo"}`}},
		"cut off":             {"<|channel|>final<|message|>Hel", engine.FinishLength, "", []string{"message incomplete: Hel"}},
		"a stop sequence":     {hello, "", `,"stop":"lo"`, []string{"reasoning completed: Hm.", "message completed: Hel"}},
		"one across messages": {preambleAndCall, "", `,"stop":"e.Tw"`, []string{"reasoning completed: Ask.", "message completed: One.", "message completed: Two.", "reasoning completed: Now.", `function_call completed: get_weather{"city":"Oslo"}`}},
		"reasoning hidden":    {hello, "", `,"include_reasoning":false`, []string{"message completed: Hello!"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, &script{tokens: ids(tc.output), reason: tc.reason})
			got := f.respond(t, tc.more)
			if diff := cmp.Diff(tc.want, outline(t, got.body)); diff != "" {
				t.Errorf("(-want,+got):\n%s\n%s", diff, got.body)
			}
		})
	}
}

func TestResponseUsageAndLogprobs(t *testing.T) {
	g := says(hello)
	g.cached = 5
	f := newFixture(t, g)
	got := f.respond(t, `,"include":["message.output_text.logprobs"],"top_logprobs":1`)
	r := decode[struct {
		ID     string
		Usage  responses.Usage
		Output []struct {
			Content []struct{ Logprobs []responses.Logprob }
		}
	}](t, got.body)
	prompt, completion := len(g.request(t).Prompt), len(g.tokens)
	want := responses.Usage{
		InputTokens: prompt, InputTokensDetails: responses.InputDetails{CachedTokens: 5},
		OutputTokens: completion, OutputTokensDetails: responses.OutputDetails{ReasoningTokens: 3}, TotalTokens: prompt + completion,
	}
	if diff := cmp.Diff(want, r.Usage); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
	tokens := ""
	for _, l := range r.Output[1].Content[0].Logprobs {
		tokens += l.Token
	}
	if tokens != "Hello!" || g.request(t).ID != r.ID {
		t.Errorf("the tokens are %q, the engine's request is %q, in %s", tokens, g.request(t).ID, got.body)
	}
	if log := f.log.String(); !strings.Contains(log, fmt.Sprintf(`"completion_id":"resp_test","finish_reason":"stop","prompt_tokens":%d,"completion_tokens":%d`, prompt, completion)) {
		t.Errorf("the log is %s", log)
	}
}

func TestInputTokens(t *testing.T) {
	g := says(hello)
	f := newFixture(t, g)
	f.respond(t, "")
	got := f.do(t, http.MethodPost, "/v1/responses/input_tokens", `{"model":"gpt-oss-demo","input":"hi"}`)
	if want := fmt.Sprintf(`{"object":"response.input_tokens","input_tokens":%d}`+"\n", len(g.request(t).Prompt)); got.body != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
}

func TestRefusedResponses(t *testing.T) {
	cases := map[string]struct {
		g           *script
		body        string
		status      int
		code, param string
	}{
		"malformed":       {says(hello), `{`, 400, openai.CodeInvalidJSON, ""},
		"unknown model":   {says(hello), `{"model":"gpt-4o","input":"hi"}`, 404, openai.CodeModelNotFound, "model"},
		"a long input":    {says(hello), `{"model":"gpt-oss-demo","input":"` + strings.Repeat("long ", 1000) + `"}`, 400, openai.CodeContextLengthExceeded, "input"},
		"the queue full":  {&script{submitErr: engine.ErrQueueFull}, `{"model":"gpt-oss-demo","input":"hi"}`, 429, openai.CodeQueueFull, ""},
		"a failing model": {&script{reason: engine.FinishError, err: errors.New("secret")}, `{"model":"gpt-oss-demo","input":"hi"}`, 500, openai.CodeInternal, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, tc.g)
			e := f.do(t, http.MethodPost, "/v1/responses", tc.body).error(t)
			param := ""
			if e.Param != nil {
				param = *e.Param
			}
			if e.Status != tc.status || *e.Code != tc.code || param != tc.param || strings.Contains(e.Message, "secret") {
				t.Errorf("got %+v, param %q", e, param)
			}
			metrics := f.do(t, http.MethodGet, "/v1/metrics", "").body
			if want := fmt.Sprintf(`gpt_oss_request_count{status=%q} 1`, outcome(tc.status)); strings.Count(metrics, want) != 1 {
				t.Errorf("no %s in the metrics", want)
			}
		})
	}
}

// TestResponsesOfOthers has two keys, and a response that only one of them may see.
func TestResponsesOfOthers(t *testing.T) {
	f := newFixture(t, says(hello), func(c *Config) { c.Options.APIKeys = []string{"mine", "theirs"} })
	if got := f.respond(t, "", "Authorization", "Bearer mine"); got.status != 200 {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	for key, want := range map[string]int{"mine": 200, "theirs": 404, "nobody's": 401} {
		if got := f.do(t, http.MethodGet, "/v1/responses/resp_test", "", "Authorization", "Bearer "+key); got.status != want {
			t.Errorf("%s: status %d, want %d", key, got.status, want)
		}
	}
}

// TestShutdownEndsBackgroundResponses cancels one in the engine and says why.
func TestShutdownEndsBackgroundResponses(t *testing.T) {
	g := says(hello)
	g.gate, g.cancelled = make(chan struct{}), make(chan struct{})
	f := newFixture(t, g)
	if got := f.respond(t, `,"background":true`); !strings.Contains(got.body, `"status":"queued"`) {
		t.Fatalf("got %s", got.body)
	}
	f.responses.Close(errShutdown)
	<-g.cancelled
	got := f.do(t, http.MethodGet, "/v1/responses/resp_test", "").body
	if !strings.Contains(got, `"status":"failed"`) || !strings.Contains(got, `"error":{"code":"server_error","message":"The server is shutting down; send the request again."}`) {
		t.Errorf("got %s", got)
	}
	if e := f.respond(t, `,"background":true`).error(t); e.Status != 503 || f.active.Load() != 0 {
		t.Errorf("got %+v, %d active", e, f.active.Load())
	}
}

func TestPanicInAResponse(t *testing.T) {
	for _, more := range []string{"", `,"stream":true`, `,"background":true`} {
		var n atomic.Int64
		f := newFixture(t, &script{panics: true}, func(c *Config) { c.NewID = func(prefix string) string { return fmt.Sprint(prefix, n.Add(1)) } })
		if e := f.respond(t, more).error(t); e.Status != 500 || *e.Code != openai.CodeInternal {
			t.Errorf("%s: %+v", more, e)
		}
		if metrics := f.do(t, http.MethodGet, "/v1/metrics", "").body; !strings.Contains(metrics, "gpt_oss_panics_total 1\n") {
			t.Errorf("%s: the panic is not counted", more)
		}
	}
}
