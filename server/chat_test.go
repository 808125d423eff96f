package server

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// fingerprint is that of the test's model.
const fingerprint = "fp_1742f720c8"

func TestAnswerAsAWhole(t *testing.T) {
	g := says(hello)
	g.cached = 5
	f := newFixture(t, g)
	got := f.chat(t, ask(""))
	want := `{"id":"chatcmpl-test","object":"chat.completion","created":1746627633,"model":"gpt-oss-demo",` +
		`"choices":[{"index":0,"message":{"role":"assistant","content":"Hello!","reasoning":"Hm.","reasoning_content":"Hm.","refusal":null},"logprobs":null,"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":3}},"system_fingerprint":"` + fingerprint + `"}` + "\n"
	prompt, completion := len(g.request(t).Prompt), len(g.tokens)
	if want := fmt.Sprintf(want, prompt, completion, prompt+completion); got.status != 200 || got.body != want {
		t.Errorf("status %d\ngot  %s\nwant %s", got.status, got.body, want)
	}
	if kind := got.header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("content type %q", kind)
	}
}

func TestAnswerAsAStream(t *testing.T) {
	f := newFixture(t, says("<|channel|>analysis<|message|>R<|end|><|start|>assistant<|channel|>final<|message|>é!<|return|>"))
	got := f.chat(t, ask(`,"stream":true`))
	chunk := func(choice string) string {
		return `{"id":"chatcmpl-test","object":"chat.completion.chunk","created":1746627633,"model":"gpt-oss-demo","choices":[` + choice + `],"system_fingerprint":"` + fingerprint + `"}`
	}
	want := []string{
		chunk(`{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}`),
		chunk(`{"index":0,"delta":{"reasoning":"R","reasoning_content":"R"},"logprobs":null,"finish_reason":null}`),
		chunk(`{"index":0,"delta":{"content":"é"},"logprobs":null,"finish_reason":null}`),
		chunk(`{"index":0,"delta":{"content":"!"},"logprobs":null,"finish_reason":null}`),
		chunk(`{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}`),
		"[DONE]",
	}
	if diff := cmp.Diff(want, got.events(t)); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", "X-Accel-Buffering": "no",
	} {
		if got := got.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestStreamUsage(t *testing.T) {
	f := newFixture(t, says(hello))
	events := f.chat(t, ask(`,"stream":true,"stream_options":{"include_usage":true}`)).events(t)
	for _, e := range events[:len(events)-2] {
		if !strings.Contains(e, `,"usage":null,`) {
			t.Errorf("usage is not null in %s", e)
		}
	}
	last := events[len(events)-2]
	if !strings.Contains(last, `"choices":[],"usage":{"prompt_tokens":`) {
		t.Errorf("the usage chunk is %s", last)
	}
	if plain := f.chat(t, ask(`,"stream":true`)).body; strings.Contains(plain, "usage") {
		t.Errorf("usage where nobody asked: %s", plain)
	}
}

// TestEachDeltaIsFlushed reads an event before the model has gone on.
func TestEachDeltaIsFlushed(t *testing.T) {
	g := says("<|channel|>final<|message|>ab<|return|>")
	g.gate = make(chan struct{})
	f := newFixture(t, g)
	response := openStream(t, f)
	defer response.Body.Close()
	buffer := make([]byte, 4096)
	expect := func(want string) {
		t.Helper()
		n, err := response.Body.Read(buffer)
		if err != nil || !strings.Contains(string(buffer[:n]), want) {
			t.Fatalf("read %q, %v; want %s", buffer[:n], err, want)
		}
	}
	expect(`"role":"assistant"`)
	for range len(g.tokens) - 3 { // channel, "final" in bytes, message
		g.gate <- struct{}{}
	}
	g.gate <- struct{}{}
	expect(`"delta":{"content":"a"}`)
	g.gate <- struct{}{}
	expect(`"delta":{"content":"b"}`)
	close(g.gate)
	if rest, err := io.ReadAll(response.Body); err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Fatalf("the rest is %q, %v", rest, err)
	}
}

// openStream sends a request and leaves the reading to the caller.
func openStream(t *testing.T, f *fixture) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/v1/chat/completions", strings.NewReader(ask(`,"stream":true`)))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func TestClientLeaves(t *testing.T) {
	g := says(hello)
	g.gate, g.cancelled = make(chan struct{}), make(chan struct{})
	f := newFixture(t, g)
	response := openStream(t, f)
	g.gate <- struct{}{}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	<-g.cancelled
}

func TestToolCalls(t *testing.T) {
	const output = "<|channel|>analysis<|message|>Ask.<|end|><|start|>assistant<|channel|>commentary<|message|>One moment.<|end|>" +
		`<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Oslo"}<|call|>`
	f := newFixture(t, says(output))
	got := f.chat(t, ask(`,"tools":[{"type":"function","function":{"name":"get-weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]`))
	choice := decode[openai.ChatCompletion](t, got.body).Choices[0]
	text := "One moment."
	want := openai.Choice{
		Message: openai.ResponseMessage{
			Role: "assistant", Content: &text, Reasoning: "Ask.", ReasoningContent: "Ask.",
			ToolCalls: []openai.ToolCall{{ID: "call_test", Type: "function", Function: openai.FunctionCall{Name: "get-weather", Arguments: `{"city":"Oslo"}`}}},
		},
		FinishReason: openai.FinishToolCalls,
	}
	if diff := cmp.Diff(want, choice); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
}

func TestFinishReasons(t *testing.T) {
	const call = `<|channel|>commentary to=functions.f<|message|>{"a":`
	cases := map[string]struct {
		output      string
		reason      engine.FinishReason
		more        string
		wantContent string // of the message, "null" for none
		want        openai.FinishReason
	}{
		"the model stops":                     {hello, engine.FinishStop, "", "Hello!", openai.FinishStop},
		"cut off in the answer":               {"<|channel|>final<|message|>Hel", engine.FinishLength, "", "Hel", openai.FinishLength},
		"cut off while reasoning":             {"<|channel|>analysis<|message|>Hm", engine.FinishLength, "", "", openai.FinishLength},
		"a call is content null":              {call + "1}<|call|>", engine.FinishStop, "", "null", openai.FinishToolCalls},
		"a call cut off is no finished call":  {call, engine.FinishLength, "", "null", openai.FinishLength},
		"a stop sequence":                     {hello, engine.FinishStop, `,"stop":["l","lo"]`, "He", openai.FinishStop},
		"a stop sequence in reasoning only":   {hello, engine.FinishStop, `,"stop":"Hm"`, "Hello!", openai.FinishStop},
		"what began a stop sequence is shown": {hello, engine.FinishStop, `,"stop":"!?"`, "Hello!", openai.FinishStop},
		"a preamble and an answer": {
			"<|channel|>commentary<|message|>A<|end|><|start|>assistant<|channel|>final<|message|>B<|return|>", engine.FinishStop, "", "A\n\nB", openai.FinishStop,
		},
		"nothing at all": {"<|return|>", engine.FinishStop, "", "", openai.FinishStop},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, &script{tokens: ids(tc.output), reason: tc.reason})
			choice := decode[openai.ChatCompletion](t, f.chat(t, ask(tc.more)).body).Choices[0]
			content := "null"
			if choice.Message.Content != nil {
				content = *choice.Message.Content
			}
			if content != tc.wantContent || choice.FinishReason != tc.want {
				t.Errorf("content %q, finish %q; want %q, %q", content, choice.FinishReason, tc.wantContent, tc.want)
			}
		})
	}
}

func TestReasoningCanBeHidden(t *testing.T) {
	f := newFixture(t, says(hello))
	if got := f.chat(t, ask(`,"include_reasoning":false`)).body; strings.Contains(got, "Hm.") || !strings.Contains(got, "Hello!") {
		t.Errorf("got %s", got)
	}
}

// TestStreamEqualsWhole puts the chunks of random outputs together and compares with the answer in one piece.
func TestStreamEqualsWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	parts := append([]string{
		"analysis", "final", "commentary", "assistant", " to=functions.f", " to=functions.g", "json", "Hé", "END", "\xff", "\xe2\x82", " ", `{"a":1}`,
	}, controlTokens...)
	tails := []string{"", `,"stop":["END","é"]`, `,"include_reasoning":false`}
	for range 400 {
		var output strings.Builder
		if r.IntN(2) == 0 {
			output.WriteString("<|channel|>final<|message|>")
		}
		for range r.IntN(30) {
			output.WriteString(parts[r.IntN(len(parts))])
		}
		reason := engine.FinishStop
		if r.IntN(2) == 0 {
			reason = engine.FinishLength
		}
		f := newFixture(t, &script{tokens: ids(output.String()), reason: reason})
		tail := tails[r.IntN(len(tails))]
		whole := decode[openai.ChatCompletion](t, f.chat(t, ask(tail)).body)
		streamed := assemble(t, f.chat(t, ask(tail+`,"stream":true,"stream_options":{"include_usage":true}`)))
		if diff := cmp.Diff(whole, streamed); diff != "" {
			t.Fatalf("output %q%s (-whole,+streamed):\n%s", output.String(), tail, diff)
		}
	}
}

// assemble does what an SDK does with a stream.
func assemble(t *testing.T, r reply) openai.ChatCompletion {
	t.Helper()
	events := r.events(t)
	if events[len(events)-1] != "[DONE]" {
		t.Fatalf("the stream ends with %s", events[len(events)-1])
	}
	var out openai.ChatCompletion
	for _, e := range events[:len(events)-1] {
		chunk := decode[openai.ChatChunk](t, e)
		out.ID, out.Object, out.Created, out.Model, out.Origin = chunk.ID, "chat.completion", chunk.Created, chunk.Model, chunk.Origin
		if chunk.Usage != nil && chunk.Usage.Usage != nil {
			out.Usage = *chunk.Usage.Usage
		}
		for _, c := range chunk.Choices {
			for len(out.Choices) <= c.Index {
				out.Choices = append(out.Choices, openai.Choice{Index: len(out.Choices)})
			}
			extend(t, &out.Choices[c.Index], c)
		}
	}
	for i := range out.Choices {
		m := &out.Choices[i].Message
		if value(m.Content) == "" && (len(m.ToolCalls) > 0 || m.FunctionCall != nil) {
			m.Content = nil // the first chunk's "" is all there was
		}
	}
	return out
}

// extend adds a chunk to a choice that has not ended.
func extend(t *testing.T, choice *openai.Choice, c openai.ChunkChoice) {
	t.Helper()
	if choice.FinishReason != "" {
		t.Fatalf("choice %d goes on after its end", c.Index)
	}
	if c.FinishReason != nil {
		choice.FinishReason = *c.FinishReason
	}
	m := &choice.Message
	if c.Delta.Role != "" {
		m.Role = c.Delta.Role
	}
	if c.Delta.Content != nil {
		m.Content = new(value(m.Content) + *c.Delta.Content)
	}
	m.Reasoning += c.Delta.Reasoning
	m.ReasoningContent += c.Delta.ReasoningContent
	if c.Logprobs != nil {
		choice.Logprobs = &openai.Logprobs{Content: append(entries(*choice), c.Logprobs.Content...)}
	}
	addCalls(m, c.Delta.ToolCalls)
	if f := c.Delta.FunctionCall; f != nil {
		if m.FunctionCall == nil {
			m.FunctionCall = &openai.FunctionCall{Name: f.Name}
		}
		m.FunctionCall.Arguments += f.Arguments
	}
}

func entries(c openai.Choice) []openai.TokenLogprob {
	if c.Logprobs == nil {
		return nil
	}
	return c.Logprobs.Content
}

func addCalls(m *openai.ResponseMessage, deltas []openai.ToolCallDelta) {
	for _, d := range deltas {
		if d.Index == len(m.ToolCalls) {
			m.ToolCalls = append(m.ToolCalls, openai.ToolCall{ID: d.ID, Type: d.Type, Function: openai.FunctionCall{Name: d.Function.Name}})
		}
		m.ToolCalls[d.Index].Function.Arguments += d.Function.Arguments
	}
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func TestEngineRequest(t *testing.T) {
	cases := map[string]struct {
		more        string
		tokens      int
		temperature float64
		topP        float64
		seed        *uint64
	}{
		"the server's defaults": {"", 2048, 0.7, 0.9, nil},
		"a temperature of 0":    {`,"temperature":0`, 2048, 0, 0.9, nil},
		"the client's values":   {`,"max_tokens":5,"temperature":0,"top_p":1,"seed":-1`, 5, 0, 1, new(^uint64(0))},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := says(hello)
			f := newFixture(t, g)
			f.chat(t, ask(tc.more))
			got := g.request(t)
			if got.ID != "chatcmpl-test" || got.MaxTokens != tc.tokens || len(got.StopTokens) != 3 {
				t.Errorf("request %+v", got)
			}
			if got.Sampling.Temperature != tc.temperature || got.Sampling.TopP != tc.topP || !cmp.Equal(got.Sampling.Seed, tc.seed) {
				t.Errorf("sampling %+v", got.Sampling)
			}
			if text := words().Decode(got.Prompt); !strings.Contains(text, "Current date: 2025-05-07") || !strings.Contains(text, "Reasoning: medium") {
				t.Errorf("prompt %q", text)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	long := strings.Repeat("long ", 1000)
	cases := map[string]struct {
		submitErr        error
		body             string
		status           int
		kind, code, want string
		param            string
	}{
		"missing messages": {nil, `{"model":"gpt-oss-demo"}`, 400, openai.TypeInvalidRequest, openai.CodeMissingField, "Missing required field: messages", "messages"},
		"unknown model":    {nil, strings.Replace(ask(""), "gpt-oss-demo", "gpt-4o", 1), 404, openai.TypeNotFound, openai.CodeModelNotFound, `The model "gpt-4o" does not exist; this server serves "gpt-oss-demo".`, "model"},
		"body over the limit": {
			nil, ask(`,"user":"` + strings.Repeat("x", 8<<20) + `"`), 400, openai.TypeInvalidRequest, openai.CodeBodyTooLarge,
			"The request body is larger than the limit of 4194304 bytes.", "",
		},
		"prompt over the context": {
			nil, strings.Replace(ask(""), `"hi"`, `"`+long+`"`, 1), 400, openai.TypeInvalidRequest, openai.CodeContextLengthExceeded,
			"This model's maximum context length is 4096 tokens, but the messages take 5246, which leaves no room for an answer. Shorten them.", "messages",
		},
		"queue full":      {fmt.Errorf("engine: %w", engine.ErrQueueFull), ask(""), 429, openai.TypeRateLimit, openai.CodeQueueFull, "Too many requests are waiting; try again after the time in the Retry-After header.", ""},
		"engine closed":   {fmt.Errorf("engine: %w", engine.ErrClosed), ask(""), 503, openai.TypeUnavailable, openai.CodeShuttingDown, "The server is shutting down; send the request again.", ""},
		"engine's refuse": {fmt.Errorf("engine: %w: secret detail", engine.ErrInvalidRequest), ask(""), 500, openai.TypeServer, openai.CodeInternal, "The server failed to answer; the log has the details under the X-Request-Id of this answer.", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, &script{submitErr: tc.submitErr})
			got := f.chat(t, tc.body)
			want := openai.NewError(tc.status, tc.kind, tc.code, tc.param, tc.want)
			if diff := cmp.Diff(want, got.error(t)); diff != "" {
				t.Errorf("(-want,+got):\n%s", diff)
			}
			if wait := got.header.Get("Retry-After"); (wait != "") != (tc.status == 429 || tc.status == 503) {
				t.Errorf("Retry-After is %q", wait)
			}
		})
	}
}

func TestAliasIsServed(t *testing.T) {
	f := newFixture(t, says(hello))
	if got := f.chat(t, strings.Replace(ask(""), "gpt-oss-demo", "the-alias", 1)); got.status != 200 || !strings.Contains(got.body, `"model":"gpt-oss-demo"`) {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

func TestEngineFailsWhileAnswering(t *testing.T) {
	broken := func() *script {
		return &script{tokens: ids("<|channel|>final<|message|>Hel"), reason: engine.FinishError, err: errors.New("engine: out of luck")}
	}
	f := newFixture(t, broken())
	if got := f.chat(t, ask("")).error(t); got.Status != 500 || *got.Code != openai.CodeInternal {
		t.Errorf("as a whole: %+v", got)
	}
	events := f.chat(t, ask(`,"stream":true`)).events(t)
	if n := len(events); events[n-1] != "[DONE]" || !strings.Contains(events[n-2], `{"error":{"message":"The server failed to answer`) {
		t.Errorf("the stream ends with %q", events[n-2:])
	}
	if log := f.log.String(); strings.Count(log, "engine: out of luck") != 2 || strings.Contains(f.chat(t, ask("")).body, "luck") {
		t.Errorf("the log is %s", log)
	}
}
