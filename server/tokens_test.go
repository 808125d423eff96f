package server

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/server/openai"
)

func TestTokenize(t *testing.T) {
	f := newFixture(t, says(hello))
	cases := map[string]struct{ body, want string }{
		"a text":               {`{"prompt":"ab"}`, `{"count":2,"max_model_len":4096,"tokens":[97,98],"token_strs":null}`},
		"nothing":              {`{"prompt":""}`, `{"count":0,"max_model_len":4096,"tokens":[],"token_strs":null}`},
		"as llama.cpp asks":    {`{"content":"a","add_special":true,"with_pieces":true}`, `{"count":1,"max_model_len":4096,"tokens":[97],"token_strs":["a"]}`},
		"a control token":      {`{"model":"gpt-oss-demo","prompt":"a<|end|>","return_token_strs":true}`, `{"count":2,"max_model_len":4096,"tokens":[97,257],"token_strs":["a","\u003c|end|\u003e"]}`},
		"its name as text":     {`{"prompt":"<|","parse_special":false}`, `{"count":2,"max_model_len":4096,"tokens":[60,124],"token_strs":null}`},
		"half characters":      {`{"prompt":"é","return_token_strs":true}`, `{"count":2,"max_model_len":4096,"tokens":[195,169],"token_strs":["` + "\\ufffd" + `","` + "\\ufffd" + `"]}`},
		"unknown model":        {`{"model":"x","prompt":""}`, `"code":"model_not_found"`},
		"neither text nor any": {`{}`, `"param":"prompt"`},
		"a bad conversation":   {`{"messages":[]}`, `"param":"messages"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := f.do(t, http.MethodPost, "/tokenize", tc.body); !strings.Contains(got.body, tc.want) {
				t.Errorf("status %d\ngot  %s\nwant %s", got.status, got.body, tc.want)
			}
		})
	}
}

// TestTheSamePromptEverywhere holds what /tokenize and the render endpoint say of a conversation to what the engine gets.
func TestTheSamePromptEverywhere(t *testing.T) {
	g := says(hello)
	f := newFixture(t, g)
	const more = `,"tools":[{"type":"function","function":{"name":"f"}}],"reasoning_effort":"high"`
	f.chat(t, ask(more))
	want := g.request(t).Prompt
	tokens := decode[openai.Tokenized](t, f.do(t, http.MethodPost, "/tokenize", ask(more)).body)
	rendered := decode[openai.Rendered](t, f.do(t, http.MethodPost, "/v1/chat/completions/render", ask(more)).body)
	if !slices.Equal(tokens.Tokens, want) || !slices.Equal(rendered.TokenIDs, want) || tokens.Count != len(want) || rendered.Count != len(want) {
		t.Errorf("tokens %v\nrendered %v\nwant %v", tokens.Tokens, rendered.TokenIDs, want)
	}
	if !strings.HasSuffix(rendered.Prompt, "<|start|>user<|message|>hi<|end|><|start|>assistant") || !strings.Contains(rendered.Prompt, "Reasoning: high") {
		t.Errorf("prompt %q", rendered.Prompt)
	}
	if len(g.requests) != 1 {
		t.Error("rendering asks the engine")
	}
	if back := decode[openai.TextCompletion](t, f.complete(t, `,"prompt":`+quoted(rendered.Prompt)).body); back.Usage.Usage.PromptTokens != len(want) {
		t.Errorf("the rendered text has %d tokens as a raw prompt, want %d", back.Usage.Usage.PromptTokens, len(want))
	}
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

func TestDetokenize(t *testing.T) {
	f := newFixture(t, says(hello))
	for body, want := range map[string]string{
		`{"tokens":[97,257,195,169]}`:    `{"prompt":"a\u003c|end|\u003eé","content":"a\u003c|end|\u003eé"}`,
		`{"tokens":[]}`:                  `{"prompt":"","content":""}`,
		`{"tokens":[195]}`:               "{\"prompt\":\"\ufffd\",\"content\":\"\ufffd\"}",
		`{"tokens":[97,5000]}`:           `"param":"tokens[1]"`,
		`{"tokens":["a"]}`:               `"param":"tokens[0]"`,
		`{"tokens":5}`:                   `"param":"tokens"`,
		`{}`:                             `"param":"tokens"`,
		`{"model":"x","tokens":[97]}`:    `"code":"model_not_found"`,
		`{"tokens":[9999999999999999]}`:  `"param":"tokens[0]"`,
		`{"tokens":[97],"other":[1,{}]}`: `{"prompt":"a","content":"a"}`,
	} {
		if got := f.do(t, http.MethodPost, "/detokenize", body); !strings.Contains(got.body, want) {
			t.Errorf("%s\ngot  %s\nwant %s", body, got.body, want)
		}
	}
}

func TestOneModel(t *testing.T) {
	f := newFixture(t, says(hello), func(c *Config) { c.Aliases = []string{"openai/gpt-oss-20b"} })
	for _, id := range []string{"gpt-oss-demo", "openai/gpt-oss-20b", "openai%2Fgpt-oss-20b"} {
		if got := f.do(t, http.MethodGet, "/v1/models/"+id, ""); got.status != 200 || decode[openai.Model](t, got.body).ID != "gpt-oss-demo" {
			t.Errorf("%s: status %d: %s", id, got.status, got.body)
		}
	}
	if e := f.do(t, http.MethodGet, "/v1/models/gpt-4o", "").error(t); e.Status != 404 || *e.Code != openai.CodeModelNotFound {
		t.Errorf("got %+v", e)
	}
}

// eventSource is the path of a stream with more parameters.
func eventSource(more string) string {
	return "/v1/chat/completions?stream=true&model=gpt-oss-demo" + more
}

func TestEventSource(t *testing.T) {
	messages := "&messages=" + url.QueryEscape(`[{"role":"user","content":"5"}]`)
	cases := map[string]struct {
		more   string
		status int
		want   string // in the prompt, or in the error
	}{
		"messages":                 {messages, 200, "user<|message|>5<|end|>"},
		"a prompt":                 {"&prompt=5", 200, "user<|message|>5<|end|>"},
		"a prompt and a system":    {"&prompt=a%26b&system=Be+brief", 200, "Be brief<|end|><|start|>user<|message|>a&b<|end|>"},
		"numbers and texts":        {"&prompt=a&temperature=0.5&seed=3&reasoning_effort=high&user=7&stop=END", 200, "Reasoning: high"},
		"a list where a text goes": {`&prompt=a&stop=["a","b"]`, 200, "<|message|>a<|end|>"},
		"neither":                  {"", 400, "Missing required field: messages"},
		"both":                     {messages + "&prompt=a", 400, "Invalid value for 'messages'"},
		"twice":                    {"&prompt=a&prompt=b", 400, "Invalid value for 'prompt': it is given 2 times."},
		"no JSON":                  {"&prompt=a&temperature=warm", 400, "Invalid value for 'temperature': in a query it must be JSON."},
		"a number out of range":    {"&prompt=a&temperature=9", 400, "Invalid value for 'temperature'"},
		"a broken escape":          {"&prompt=%zz", 400, "The query is malformed"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := says(hello)
			f := newFixture(t, g)
			got := f.do(t, http.MethodGet, eventSource(tc.more), "")
			if got.status != tc.status {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			if tc.status != 200 {
				if e := got.error(t); !strings.Contains(e.Message, tc.want) {
					t.Errorf("got %+v", e)
				}
				return
			}
			if prompt := named(g.request(t).Prompt); !strings.Contains(prompt, tc.want) {
				t.Errorf("no %q in %q", tc.want, prompt)
			}
			if !strings.HasPrefix(got.body, "id: chatcmpl-test\ndata: {") || strings.Count(got.body, "id: ") != 1 || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
				t.Errorf("the stream is %s", got.body)
			}
		})
	}
}

func TestEventSourceDoesNotAskAgain(t *testing.T) {
	g := says(hello)
	f := newFixture(t, g)
	if got := f.do(t, http.MethodGet, eventSource("&prompt=a"), "", "Last-Event-ID", "chatcmpl-test"); got.status != 204 || len(g.requests) != 0 {
		t.Errorf("status %d after %d requests", got.status, len(g.requests))
	}
	if got := f.do(t, http.MethodHead, eventSource("&prompt=a"), ""); got.status != 200 || len(g.requests) != 0 {
		t.Errorf("HEAD: status %d after %d requests", got.status, len(g.requests))
	}
}

func TestStreamTickets(t *testing.T) {
	g := says(hello)
	f := newFixture(t, g, func(c *Config) { c.Options.APIKeys = []string{"secret-key"} })
	if e := f.do(t, http.MethodGet, eventSource("&prompt=a"), "").error(t); e.Status != 401 {
		t.Errorf("without a ticket: %+v", e)
	}
	if e := f.do(t, http.MethodPost, "/v1/stream-tickets", "").error(t); e.Status != 401 {
		t.Errorf("a ticket without a key: %+v", e)
	}
	issue := func() string {
		got := f.do(t, http.MethodPost, "/v1/stream-tickets", "", "Authorization", "Bearer secret-key")
		ticket := decode[openai.StreamTicket](t, got.body)
		if ticket.Object != "stream.ticket" || ticket.ExpiresIn != 60 || ticket.ExpiresAt != at.Unix()+60 || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("got %s", got.body)
		}
		return ticket.Ticket
	}
	ticket := issue()
	if got := f.do(t, http.MethodGet, eventSource("&prompt=a&ticket="+ticket), ""); got.status != 200 || !strings.Contains(got.body, "[DONE]") {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	f.do(t, http.MethodPost, "/v1/chat/completions", ask(""), "Authorization", "Bearer secret-key")
	if len(g.requests) != 2 || g.requests[0].Tenant != g.requests[1].Tenant || g.requests[0].Tenant == "" {
		t.Error("the ticket's owner is not the key's")
	}
	for name, other := range map[string]string{"used": ticket, "forged": ticket[:len(ticket)-4] + "AAAA", "no ticket at all": "x"} {
		if e := f.do(t, http.MethodGet, eventSource("&prompt=a&ticket="+other), "").error(t); e.Status != 401 || *e.Code != openai.CodeInvalidTicket || *e.Param != "ticket" {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if e := f.do(t, http.MethodPost, "/v1/chat/completions?ticket="+issue(), ask("")).error(t); e.Status != 401 || *e.Code != openai.CodeInvalidAPIKey {
		t.Errorf("a ticket with POST: %+v", e)
	}
	if log := f.log.String(); strings.Contains(log, "secret-key") || strings.Contains(log, ticket) || strings.Contains(log, "prompt=") {
		t.Errorf("the log is %s", log)
	}
}

// TestTicketOfARevokedKey shows that a ticket is worth what its key is worth when it is used.
func TestTicketOfARevokedKey(t *testing.T) {
	secret := func(c *Config) { c.Options.TicketKeyFile = writeFile(t, strings.Repeat("s", 32)) }
	before := newFixture(t, says(hello), secret, func(c *Config) { c.Options.APIKeys = []string{"old"} })
	after := newFixture(t, says(hello), secret, func(c *Config) { c.Options.APIKeys = []string{"new"} })
	for key, want := range map[string]int{"old": 401, "new": 200} {
		issuer := map[string]*fixture{"old": before, "new": after}[key]
		ticket := decode[openai.StreamTicket](t, issuer.do(t, http.MethodPost, "/v1/stream-tickets", "", "Authorization", "Bearer "+key).body).Ticket
		rec := httptest.NewRecorder()
		after.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, eventSource("&prompt=a&ticket="+ticket), nil))
		if rec.Code != want {
			t.Errorf("%s: status %d, want %d", key, rec.Code, want)
		}
	}
}
