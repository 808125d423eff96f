package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/options"
)

// bodies are one well-formed request to each handler that reads one.
var bodies = map[string]string{
	"/v1/chat/completions": `{"model":"gpt-oss-demo","messages":[{"role":"system","content":"a"},{"role":"user","name":"u","content":[{"type":"text","text":"b"}]},
		{"role":"assistant","content":null,"reasoning":"r","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"1","content":"c"}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}}],
		"tool_choice":"auto","stop":["x"],"logit_bias":{"97":1},"n":2,"seed":1,"temperature":1,"top_p":1,"top_k":1,"min_p":0,"max_tokens":9,"min_tokens":1,"logprobs":true,"top_logprobs":1,
		"stream":true,"stream_options":{"include_usage":true},"stop_token_ids":[1],"reasoning":{"effort":"low"},"chat_template_kwargs":{"model_identity":"m"},"metadata":{"a":"b"},"cache_salt":"s",
		"frequency_penalty":1,"presence_penalty":1,"repetition_penalty":1,"ignore_eos":false,"parallel_tool_calls":true,"reasoning_level":"low","reasoning_effort":"low","user":"u","verbosity":"low"}`,
	"/v1/completions":             `{"model":"gpt-oss-demo","prompt":["a<|end|>","b"],"n":2,"best_of":2,"echo":true,"max_tokens":3,"stop":"x","suffix":"","stream":true,"skip_special_tokens":true,"parse_special":true}`,
	"/generate":                   `{"inputs":"a","parameters":{"do_sample":true,"temperature":1,"top_k":1,"top_p":0.5,"max_new_tokens":5,"stop":["x"],"truncate":3,"details":true,"seed":1,"top_n_tokens":2,"return_full_text":true}}`,
	"/generate_stream":            `{"inputs":"a","parameters":{"repetition_penalty":1,"frequency_penalty":1,"typical_p":1,"watermark":false,"best_of":1,"grammar":null,"adapter_id":null}}`,
	"/tokenize":                   `{"model":"gpt-oss-demo","prompt":"a<|end|>","return_token_strs":true,"parse_special":true,"add_special_tokens":true}`,
	"/detokenize":                 `{"model":"gpt-oss-demo","tokens":[97,257]}`,
	"/v1/chat/completions/render": `{"model":"gpt-oss-demo","messages":[{"role":"user","content":"b"}],"functions":[{"name":"f","parameters":{}}],"function_call":"auto"}`,
}

// nasty are values that take the place of those above.
var nasty = []string{
	`null`, `true`, `0`, `-1`, `0.5`, `1e999`, `99999999999999999999`, `-0`, `""`, `"\u0000"`, `"\ud800"`, `"🦄<|start|>"`, `"` + strings.Repeat("x", 3000) + `"`,
	`[]`, `{}`, `[null]`, `[1,"a",{},[]]`, `{"a":1,"a":2,"":3,"type":"object"}`, strings.Repeat("[", 300) + strings.Repeat("]", 300),
	strings.Repeat(`{"properties":`, 200) + "1" + strings.Repeat("}", 200), `[` + strings.Repeat(`"y",`, 300) + `"z"]`,
}

// places lists the paths of all values within a value.
func places(v any, at []string) (out [][]string) {
	out = append(out, slices.Clone(at))
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			out = append(out, places(item, append(at, key))...)
		}
	case []any:
		for i, item := range v {
			out = append(out, places(item, append(at, strconv.Itoa(i)))...)
		}
	}
	return out
}

// replaced returns a value with another in a place of it.
func replaced(v any, at []string, with json.RawMessage) any {
	if len(at) == 0 {
		return with
	}
	switch v := v.(type) {
	case map[string]any:
		out := maps.Clone(v)
		out[at[0]] = replaced(v[at[0]], at[1:], with)
		return out
	case []any:
		i, _ := strconv.Atoi(at[0])
		out := slices.Clone(v)
		out[i] = replaced(v[i], at[1:], with)
		return out
	}
	return v
}

// newTarget is a server without a network, whose model says whatever it is asked.
func newTarget(tb testing.TB) *Server {
	tb.Helper()
	s, err := New(Config{Options: options.Default(), Version: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	if t, ok := tb.(*testing.T); ok {
		s.SetModel(newModel(t, says("<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>commentary to=functions.f<|message|>{}<|call|>")))
	}
	return s
}

// checkAnswered sends a body, and holds the answer to what a client may expect of any: no failure of ours, and an error that
// names the parameter wherever the body is JSON.
func checkAnswered(t *testing.T, s *Server, path, body string) {
	t.Helper()
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body)))
	switch {
	case rec.Code == 200:
		if strings.Contains(rec.Body.String(), `{"error":`) {
			t.Errorf("%s with %.2000s\na stream that fails: %s", path, body, rec.Body)
		}
	case rec.Code == 422 && strings.HasPrefix(path, "/generate"):
		if !strings.Contains(rec.Body.String(), `"error":"Input validation error: `) {
			t.Errorf("%s with %.2000s\n%s", path, body, rec.Body)
		}
	case rec.Code == 400 || rec.Code == 404:
		e := decode[openai.ErrorBody](t, rec.Body.String()).Error
		if e == nil || e.Message == "" || e.Code == nil || e.Param == nil && *e.Code != openai.CodeInvalidJSON {
			t.Errorf("%s with %.2000s\nstatus %d: %s", path, body, rec.Code, rec.Body)
		}
	default:
		t.Errorf("%s with %.2000s\nstatus %d: %s", path, body, rec.Code, rec.Body)
	}
	if active := s.active.Load(); active != 0 {
		t.Errorf("%s with %.2000s\nleaves %d requests active", path, body, active)
	}
}

// TestHostileValues puts nasty values into every place of every body. A goroutine that is left behind fails the bubble.
func TestHostileValues(t *testing.T) {
	for path, body := range bodies {
		t.Run(path, func(t *testing.T) {
			whole := decode[any](t, body)
			synctest.Test(t, func(t *testing.T) {
				s := newTarget(t)
				checkAnswered(t, s, path, body)
				for i, place := range places(whole, nil) {
					for j, value := range nasty {
						if len(place) > 1 && (i+j)%3 > 0 {
							continue // there are many places deep inside
						}
						changed, err := json.Marshal(replaced(whole, place, json.RawMessage(value)))
						if err != nil {
							t.Fatal(err)
						}
						checkAnswered(t, s, path, string(changed))
					}
				}
			})
		})
	}
}

// TestHostileBodies has what is no value at all.
func TestHostileBodies(t *testing.T) {
	deep := strings.Repeat(`{"messages":[`, 5001)
	synctest.Test(t, func(t *testing.T) {
		s := newTarget(t)
		for path, body := range bodies {
			for _, hostile := range []string{
				"", " ", "\x00", "\xff\xfe", "{", body[:len(body)/2], body + body, body + "x", deep, strings.Repeat("[", 1<<20), `{"model":"gpt-oss-demo","model":"gpt-oss-demo"}`,
				strings.ReplaceAll(body, `"`, "'"), strings.ReplaceAll(body, "a", "\xc3"), strings.ReplaceAll(body, "a", "\u0000"), fmt.Sprintf(`{"a":%q}`, body), `{"model":"gpt-oss-demo","messages":{"length":1e9}}`,
			} {
				checkAnswered(t, s, path, hostile)
			}
		}
	})
}

// TestHostileTools has calls, results and choices that do not fit each other.
func TestHostileTools(t *testing.T) {
	const user, call = `{"role":"user","content":"a"}`, `{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]}`
	cases := map[string]struct{ messages, more, param string }{
		"a result without a call":         {user + `,{"role":"tool","tool_call_id":"1","content":"b"}`, "", "messages[1].tool_call_id"},
		"a result before its call":        {user + `,{"role":"tool","tool_call_id":"1","content":"b"},` + call, "", "messages[1].tool_call_id"},
		"a result of another call":        {user + "," + call + `,{"role":"tool","tool_call_id":"2","content":"b"}`, "", "messages[2].tool_call_id"},
		"a function's without a call":     {user + `,{"role":"function","name":"f","content":"b"}`, "", "messages[1].name"},
		"a call without a name":           {user + `,{"role":"assistant","tool_calls":[{"id":"1","function":{}}]}`, "", "messages[1].tool_calls[0].function.name"},
		"a call of an odd name":           {user + `,{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"<|call|>"}}]}`, "", "messages[1].tool_calls[0].function.name"},
		"a choice that is not on offer":   {user, `,"tool_choice":{"type":"function","function":{"name":"g"}}`, "tool_choice"},
		"two tools of a name":             {user, `,"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"f"}}]`, "tools[1].function.name"},
		"tools and functions":             {user, offered + `,"functions":[{"name":"g"}]`, "functions"},
		"a history without tools is fine": {user + "," + call + `,{"role":"tool","tool_call_id":"1","content":"b"}`, "", ""},
		"an old history is fine": {
			user + `,{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"4"}`, "", "",
		},
		"a call without its result is fine": {user + "," + call, "", ""},
	}
	f := newFixture(t, says(hello))
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := f.chat(t, `{"model":"gpt-oss-demo","messages":[`+tc.messages+`]`+tc.more+`}`)
			if tc.param == "" {
				if got.status != 200 {
					t.Errorf("status %d: %s", got.status, got.body)
				}
				return
			}
			if e := got.error(t); e.Status != 400 || e.Param == nil || *e.Param != tc.param {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

// FuzzHandlers sends anything to every handler that reads a body.
func FuzzHandlers(f *testing.F) {
	var paths []string
	for path := range bodies {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for i, path := range paths {
		f.Add(uint8(i), []byte(bodies[path]))
		f.Add(uint8(i), []byte(`{"model":"gpt-oss-demo"}`))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		checkAnswered(t, newTarget(t), paths[int(which)%len(paths)], string(body))
	})
}
