package server

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/tgi"
)

func (f *fixture) generated(t *testing.T, path, inputs, parameters string) reply {
	t.Helper()
	quoted, err := json.Marshal(inputs)
	if err != nil {
		t.Fatal(err)
	}
	return f.do(t, http.MethodPost, path, fmt.Sprintf(`{"inputs":%s,"parameters":{%s}}`, quoted, parameters))
}

func raw(c *Config) { c.Options.GenerateRaw = true }

func TestGenerate(t *testing.T) {
	cases := map[string]struct {
		output, parameters string
		change             func(*Config)
		want               string
	}{
		"the answer to a message":       {hello, "", nil, `{"generated_text":"Hello!"}`},
		"the inputs before it":          {hello, `"return_full_text":true`, nil, `{"generated_text":"Hi Hello!"}`},
		"a raw continuation":            {" you<|return|>", "", raw, `{"generated_text":" you"}`},
		"a raw continuation in Harmony": {hello, "", raw, `{"generated_text":"analysisHm.assistantfinalHello!"}`},
		"details": {
			"<|channel|>final<|message|>a<|return|>", `"details":true,"seed":7`, nil,
			`{"generated_text":"a","details":{"finish_reason":"eos_token","generated_tokens":9,"seed":7,"prefill":[],"tokens":[{"id":97,"text":"a","logprob":-7,"special":false}]}}`,
		},
		"details of a raw one, with alternatives": {
			"a<|return|>", `"details":true,"top_n_tokens":3`, raw,
			`{"generated_text":"a","details":{"finish_reason":"eos_token","generated_tokens":2,"seed":null,"prefill":[],"tokens":[{"id":97,"text":"a","logprob":0,"special":false}],` +
				`"top_tokens":[[{"id":97,"text":"a","logprob":0,"special":false},{"id":98,"text":"b","logprob":-9999,"special":false},` +
				`{"id":256,"text":"\u003c|start|\u003e","logprob":-0.5,"special":true}]]}}`,
		},
		"a stop sequence": {
			"<|channel|>final<|message|>abc", `"details":true,"stop":["b"]`, nil,
			`{"generated_text":"a","details":{"finish_reason":"stop_sequence","generated_tokens":9,"seed":null,"prefill":[],"tokens":[{"id":97,"text":"a","logprob":-7,"special":false}]}}`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var change []func(*Config)
			if tc.change != nil {
				change = append(change, tc.change)
			}
			f := newFixture(t, says(tc.output), change...)
			got := f.generated(t, "/generate", "Hi ", tc.parameters)
			if got.status != 200 || got.body != tc.want+"\n" {
				t.Errorf("status %d\ngot  %s\nwant %s", got.status, got.body, tc.want)
			}
			if got.header.Get("X-Compute-Type") != "cpu" || got.header.Get("X-Prompt-Tokens") == "" {
				t.Errorf("header %v", got.header)
			}
		})
	}
}

func TestGenerateAsksTheEngine(t *testing.T) {
	cases := map[string]struct {
		parameters  string
		temperature float64
		tokens      int
		prompt      string // within it
	}{
		"nothing said is greedy": {"", 0, 100, "<|start|>user<|message|>abcdef<|end|>"},
		"sampling":               {`"do_sample":true,"max_new_tokens":5`, 1, 5, "abcdef"},
		"a cut is sampling":      {`"top_k":5`, 1, 100, "abcdef"},
		"a temperature":          {`"temperature":0.3`, 0.3, 100, "abcdef"},
		"the last inputs":        {`"truncate":2`, 0, 100, "<|message|>ef<|end|>"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := says(hello)
			f := newFixture(t, g)
			f.generated(t, "/generate", "abcdef", tc.parameters)
			r := g.request(t)
			if r.Sampling.Temperature != tc.temperature || r.Sampling.TopP != 1 || r.MaxTokens != tc.tokens {
				t.Errorf("asked for %+v", r)
			}
			if prompt := named(r.Prompt); !strings.Contains(prompt, tc.prompt) {
				t.Errorf("no %q in the prompt %q", tc.prompt, prompt)
			}
		})
	}
}

// named spells a prompt with control tokens by their names.
func named(prompt []int32) string {
	var b strings.Builder
	for _, id := range prompt {
		b.Write(words().TokenBytes(id))
	}
	return b.String()
}

// TestGeneratedStreamEqualsWhole has random outputs. The texts of the tokens together are the text, in a stream and in the
// details of a whole.
func TestGeneratedStreamEqualsWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 11))
	for range 150 {
		tokens := generated(r)
		tail := []string{`"top_n_tokens":2`, `"stop":["END","€"]`, `"return_full_text":true`}[r.IntN(3)]
		f := newFixture(t, &script{tokens: tokens, reason: engine.FinishLength}, func(c *Config) { c.Options.GenerateRaw = r.IntN(2) == 0 })
		whole := decode[tgi.Response](t, f.generated(t, "/generate", "p", tail+`,"details":true`).body)
		events := f.generated(t, "/generate_stream", "p", tail).events(t)
		var got tgi.Response
		got.Details = &tgi.Details{Prefill: []tgi.Token{}, Tokens: []tgi.Token{}}
		text := ""
		for i, e := range events {
			event := decode[tgi.Event](t, e)
			text += event.Token.Text
			if !event.Token.Special {
				got.Details.Tokens = append(got.Details.Tokens, event.Token)
				if event.TopTokens != nil {
					got.Details.TopTokens = append(got.Details.TopTokens, event.TopTokens)
				}
			}
			if last := i == len(events)-1; (event.GeneratedText != nil) != last || (event.Details != nil) != last || event.Index != i+1 {
				t.Fatalf("event %d of %d is %s", i, len(events), e)
			} else if last {
				got.GeneratedText = *event.GeneratedText
				got.Details.FinishReason, got.Details.GeneratedTokens = event.Details.FinishReason, event.Details.GeneratedTokens
			}
		}
		if diff := cmp.Diff(whole, got); diff != "" {
			t.Fatalf("output %q, %s (-whole,+streamed):\n%s", spell(tokens), tail, diff)
		}
		if strings.TrimPrefix(got.GeneratedText, "p") != strings.TrimPrefix(text, "p") {
			t.Fatalf("output %q, %s: the tokens spell %q, the text is %q", spell(tokens), tail, text, got.GeneratedText)
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	f := newFixture(t, says(hello))
	cases := map[string]struct{ body, want string }{
		"no inputs":              {`{}`, "missing field `inputs`"},
		"empty inputs":           {`{"inputs":""}`, "`inputs` cannot be empty"},
		"inputs of another type": {`{"inputs":5}`, "`inputs` must be a string, not a number"},
		"no object":              {`[`, "the body is not a JSON object: unexpected EOF"},
		"two objects":            {`{"inputs":"a"}{}`, "the body must be a single JSON object"},
		"a temperature of 0":     {`{"inputs":"a","parameters":{"temperature":0}}`, "`temperature` must be a number from 5e-324 to 100"},
		"half a token":           {`{"inputs":"a","parameters":{"max_new_tokens":1.5}}`, "`parameters.max_new_tokens` must be an integer, not a number 1.5"},
		"no tokens":              {`{"inputs":"a","parameters":{"max_new_tokens":0}}`, "`max_new_tokens` must be an integer from 1 to 2147483647"},
		"top_k 0":                {`{"inputs":"a","parameters":{"top_k":0}}`, "`top_k` must be strictly positive"},
		"five stops":             {`{"inputs":"a","parameters":{"stop":["a","b","c","d","e"]}}`, "`stop` supports up to 4 stop sequences. Given: 5"},
		"an empty stop":          {`{"inputs":"a","parameters":{"stop":[""]}}`, "a sequence of `stop` must have 1 to 1000 bytes"},
		"a watermark":            {`{"inputs":"a","parameters":{"watermark":true}}`, "`watermark` is not supported with this value"},
		"typical_p":              {`{"inputs":"a","parameters":{"typical_p":0.5}}`, "`typical_p` is not supported with this value"},
		"the prompt's details":   {`{"inputs":"a","parameters":{"decoder_input_details":true}}`, "`decoder_input_details` is not supported with this value"},
		"too long":               {`{"inputs":"` + strings.Repeat("x", 5000) + `"}`, "This model's maximum context length is 4096 tokens"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := f.do(t, http.MethodPost, "/generate", tc.body)
			e := decode[tgi.Error](t, got.body)
			if got.status != 422 || e.Type != "validation" || !strings.HasPrefix(e.Error, "Input validation error: "+tc.want) {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

func TestGenerateFails(t *testing.T) {
	full := newFixture(t, &script{submitErr: fmt.Errorf("engine: %w", engine.ErrQueueFull)})
	if got := full.generated(t, "/generate", "a", ""); got.status != 429 || !strings.Contains(got.body, `"error_type":"overloaded"`) || got.header.Get("Retry-After") == "" {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	broken := newFixture(t, &script{tokens: ids("<|channel|>final<|message|>ab"), reason: engine.FinishError, err: fmt.Errorf("engine: broken")})
	if got := broken.generated(t, "/generate", "a", ""); got.status != 500 || !strings.Contains(got.body, `"error_type":"generation"`) {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if events := broken.generated(t, "/generate_stream", "a", "").events(t); !strings.Contains(events[len(events)-1], `"error_type":"generation"`) {
		t.Errorf("the stream ends with %s", events[len(events)-1])
	}
	if got := newFixture(t, nil).generated(t, "/generate", "a", ""); got.status != 503 || !strings.Contains(got.body, `"error_type":"unhealthy"`) {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if got := broken.do(t, http.MethodGet, "/info", ""); got.status != 200 || decode[tgi.Info](t, got.body).MaxTotalTokens != 4096 {
		t.Errorf("info: %s", got.body)
	}
}
