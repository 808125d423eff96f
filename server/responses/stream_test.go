package responses

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/server/openai"
)

var update = flag.Bool("update", false, "write the golden files anew")

const weather = `,"tools":[{"type":"function","name":"get_weather","description":"The weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}},"strict":false}]`

// scripts are answers of the model.
func scripts() map[string]struct {
	fake *fake
	more string
} {
	return map[string]struct {
		fake *fake
		more string
	}{
		"answer": {&fake{pieces: []Piece{reasoning(0, "Hm"), reasoning(0, "."), content(1, "Hel"), content(1, "lo!")}}, ""},
		"call": {&fake{finish: openai.FinishToolCalls, pieces: []Piece{
			reasoning(0, "Ask."), content(1, "One moment."), call(0, "get_weather", ""), call(0, "", `{"city":`), call(0, "", `"Oslo"}`),
		}}, weather},
		"preamble":          {&fake{pieces: []Piece{content(0, "A"), content(1, "B")}}, ""},
		"two-calls":         {&fake{finish: openai.FinishToolCalls, pieces: []Piece{call(0, "get_weather", "{}"), reasoning(1, "And."), call(1, "get_weather", "")}}, weather},
		"cut-in-text":       {&fake{finish: openai.FinishLength, pieces: []Piece{reasoning(0, "Hm"), content(1, "Hel")}}, `,"max_output_tokens":2`},
		"cut-in-call":       {&fake{finish: openai.FinishLength, pieces: []Piece{call(0, "get_weather", `{"ci`)}}, weather},
		"nothing":           {&fake{}, ""},
		"failed":            {&fake{err: fmt.Errorf("a secret detail"), pieces: []Piece{content(0, "Hel")}}, ""},
		"background":        {&fake{pieces: []Piece{content(0, "Hello!")}}, `,"background":true`},
		"logprobs":          {&fake{pieces: []Piece{{Delta: openai.Delta{Content: new("Hi")}, Tokens: tokens("Hi")}}}, `,"include":["message.output_text.logprobs"],"top_logprobs":1`},
		"replayable":        {&fake{pieces: []Piece{reasoning(0, "Hm."), content(1, "Hi")}}, `,"store":false,"include":["reasoning.encrypted_content"]`},
		"everything-echoed": {&fake{pieces: []Piece{content(0, "Hi")}}, everything + weather},
	}
}

func tokens(text string) []openai.TokenLogprob {
	one := openai.TopLogprob{Token: text, Logprob: -0.5, Bytes: []int{72, 105}}
	return []openai.TokenLogprob{{TopLogprob: one, TopLogprobs: []openai.TopLogprob{one}}}
}

const everything = `,"instructions":"Be brief.","metadata":{"k":"v"},"max_output_tokens":100,"max_tool_calls":3,"parallel_tool_calls":false,` +
	`"prompt_cache_key":"p","safety_identifier":"s","user":"u","reasoning":{"effort":"high","summary":"auto"},"temperature":0,"text":{"verbosity":"low"},` +
	`"tool_choice":"auto","truncation":"auto","service_tier":"auto","store":true,"include":[]`

// TestEvents compares whole streams with golden files, which were read against OpenAI's documentation.
func TestEvents(t *testing.T) {
	for name, tc := range scripts() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, tc.fake)
			got := f.create(t, ask(tc.more+`,"stream":true`))
			got.events(t)
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got.body), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.body); diff != "" {
				t.Errorf("(-want,+got):\n%s", diff)
			}
			if strings.Contains(got.body, "secret") || strings.Contains(got.body, "[DONE]") {
				t.Errorf("got %s", got.body)
			}
			for name, want := range map[string]string{
				"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", "X-Accel-Buffering": "no",
			} {
				if got := got.header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestStreamEqualsWhole has random answers sent as a stream, whole, in the background, and retrieved: the output that the
// events add up to, that of the last event, and those of the other ways are the same.
func TestStreamEqualsWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		m := &fake{pieces: randomPieces(r), finish: []openai.FinishReason{openai.FinishStop, openai.FinishLength}[r.IntN(2)]}
		f := newFixture(t, m)
		more := weather + []string{"", `,"stream_options":{"include_obfuscation":true}`}[r.IntN(2)]
		events := f.create(t, ask(more+`,"stream":true`)).events(t)
		last := events[len(events)-1]["response"].(object)
		if diff := cmp.Diff(last["output"], any(assemble(t, events))); diff != "" {
			t.Fatalf("pieces %v (-last event,+assembled):\n%s", m.pieces, diff)
		}
		retrieved := f.do(t, http.MethodGet, "/v1/responses/"+last["id"].(string), "").object(t)
		if diff := cmp.Diff(last, retrieved); diff != "" {
			t.Fatalf("pieces %v (-last event,+retrieved):\n%s", m.pieces, diff)
		}
		whole := f.create(t, ask(weather)).object(t)
		if diff := cmp.Diff(anonymous(t, last), anonymous(t, whole)); diff != "" {
			t.Fatalf("pieces %v (-streamed,+whole):\n%s", m.pieces, diff)
		}
		behind := f.create(t, ask(weather+`,"background":true,"stream":true`)).events(t)
		final := behind[len(behind)-1]["response"].(object)
		final["background"] = false
		if diff := cmp.Diff(anonymous(t, last), anonymous(t, final)); diff != "" {
			t.Fatalf("pieces %v (-streamed,+background):\n%s", m.pieces, diff)
		}
	}
}

func randomPieces(r *rand.Rand) []Piece {
	var out []Piece
	message, calls := 0, 0
	for range r.IntN(12) {
		message += r.IntN(2)
		text := []string{"", "a", "é\n", "\"<&>", "\u2028"}[r.IntN(5)]
		switch r.IntN(4) {
		case 0:
			out = append(out, reasoning(message, text))
		case 1, 2:
			p := content(message, text)
			if r.IntN(2) == 0 {
				p.Tokens = tokens(text)
			}
			out = append(out, p)
		default:
			out = append(out, call(calls, "get_weather", text))
			for range r.IntN(3) {
				out = append(out, call(calls, "", "{}"))
			}
			calls++
			message++
		}
	}
	return out
}

// anonymous is an object without the ids, which are never the same.
func anonymous(t *testing.T, o object) object {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var out object
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	delete(out, "id")
	for _, i := range out["output"].([]any) {
		delete(i.(object), "id")
	}
	return out
}

// assemble does what an SDK does with a stream, from the deltas alone.
func assemble(t *testing.T, events []object) []any {
	t.Helper()
	out := []any{}
	for _, e := range events {
		n := -1
		if index, ok := e["output_index"].(float64); ok {
			n = int(index)
		}
		switch e["type"] {
		case "response.output_item.added":
			if n != len(out) {
				t.Fatalf("item %d came as number %d", len(out), n)
			}
			out = append(out, e["item"])
		case "response.content_part.added":
			out[n].(object)["content"] = []any{e["part"]}
		case "response.output_text.delta", "response.reasoning_text.delta":
			part := out[n].(object)["content"].([]any)[int(e["content_index"].(float64))].(object)
			part["text"] = part["text"].(string) + e["delta"].(string)
			if tokens, ok := e["logprobs"].([]any); ok {
				part["logprobs"] = append(part["logprobs"].([]any), tokens...)
			}
		case "response.function_call_arguments.delta":
			item := out[n].(object)
			item["arguments"] = item["arguments"].(string) + e["delta"].(string)
		case "response.output_item.done":
			out[n].(object)["status"] = e["item"].(object)["status"]
			if diff := cmp.Diff(e["item"], out[n]); diff != "" {
				t.Fatalf("item %d (-done,+deltas):\n%s", n, diff)
			}
		}
	}
	return out
}

func TestPaddedDeltas(t *testing.T) {
	f := newFixture(t, &fake{pieces: []Piece{reasoning(0, "Hm."), content(1, "Hello!"), content(1, strings.Repeat("x", 40)), call(0, "f", "{}")}})
	padded := 0
	for _, e := range f.create(t, ask(`,"stream":true,"stream_options":{"include_obfuscation":true}`)).events(t) {
		if delta, ok := e["delta"].(string); ok {
			padded++
			if n := len(delta) + len(e["obfuscation"].(string)); n%paddedTo != 0 {
				t.Errorf("%d bytes in %v", n, e)
			}
		}
	}
	if padded != 4 {
		t.Errorf("%d deltas", padded)
	}
	if plain := f.create(t, ask(`,"stream":true`)).body; strings.Contains(plain, "obfuscation") {
		t.Errorf("padding where nobody asked: %s", plain)
	}
}
