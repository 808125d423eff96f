package responses

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// at is the time at which the tests begin.
var at = time.Date(2025, 5, 7, 14, 20, 33, 0, time.UTC)

// fake is a Model that plays a prepared answer.
type fake struct {
	pieces []Piece
	finish openai.FinishReason // "" for stop
	err    error               // at the end
	refuse error               // in the place of accepting
	panics bool
	// gate, when set, lets one piece pass for each value received.
	gate  chan struct{}
	limit int // tokens of context, 0 for very many

	mu       sync.Mutex
	requests []*openai.ChatRequest
	causes   []error
}

func (f *fake) Settings(r *openai.ChatRequest) Settings {
	s := Settings{Model: "gpt-oss-demo", Temperature: 0.7, TopP: 0.9, Effort: "medium", ContextLength: f.context()}
	if r.Temperature != nil {
		s.Temperature = *r.Temperature
	}
	if r.ReasoningObjectEffort != "" {
		s.Effort = r.ReasoningObjectEffort
	}
	return s
}

// Count takes a byte of text for a token.
func (f *fake) Count(r *openai.ChatRequest) (tokens int, err error) {
	for _, m := range r.Messages {
		tokens += len(m.Content)
	}
	return tokens, nil
}

func (f *fake) context() int {
	if f.limit == 0 {
		return 1 << 30
	}
	return f.limit
}

func (f *fake) Complete(ctx context.Context, c Call) (openai.FinishReason, openai.Usage, error) {
	f.mu.Lock()
	f.requests = append(f.requests, c.Request)
	f.mu.Unlock()
	if f.refuse != nil {
		return "", openai.Usage{}, f.refuse
	}
	if tokens, _ := f.Count(c.Request); tokens >= f.context() {
		return "", openai.Usage{}, openai.Invalid(openai.CodeContextLengthExceeded, "messages", "The messages take %d.", tokens)
	}
	c.Accepted()
	usage := openai.Usage{PromptTokens: 9}
	usage.PromptTokensDetails.CachedTokens = 4
	for _, p := range f.pieces {
		if f.gate != nil {
			select {
			case <-f.gate:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			f.mu.Lock()
			f.causes = append(f.causes, context.Cause(ctx))
			f.mu.Unlock()
			return "", usage, context.Cause(ctx)
		}
		usage.CompletionTokens++
		if p.Reasoning != "" {
			usage.CompletionTokensDetails.ReasoningTokens++
		}
		if err := c.Emit(p); err != nil {
			return "", usage, err
		}
	}
	if f.panics {
		panic("the model is broken")
	}
	usage.TotalTokens = usage.PromptTokens + usage.CompletionTokens
	return cmp.Or(f.finish, openai.FinishStop), usage, f.err
}

// last is the chat request that the model got last.
func (f *fake) last(t *testing.T) *openai.ChatRequest {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.requests) == 0 {
		t.Fatal("the model got no request")
	}
	return f.requests[len(f.requests)-1]
}

func reasoning(message int, text string) Piece {
	return Piece{Delta: openai.Delta{Reasoning: text, ReasoningContent: text}, Message: message}
}

func content(message int, text string) Piece {
	return Piece{Delta: openai.Delta{Content: &text}, Message: message}
}

func call(n int, name, arguments string) Piece {
	c := openai.ToolCallDelta{Index: n, Function: openai.FunctionCallDelta{Arguments: arguments}}
	if name != "" {
		c.ID, c.Type, c.Function.Name = fmt.Sprintf("call_%d", n), "function", name
	}
	return Piece{Delta: openai.Delta{ToolCalls: []openai.ToolCallDelta{c}}, Message: 100 + n}
}

// fixture is an API under test behind HTTP. The tenant is the Authorization header.
type fixture struct {
	*API
	url      string
	web      *httptest.Server
	clock    atomic.Int64 // seconds after at
	mu       sync.Mutex
	outcomes []Outcome
	panics   int
}

func newFixture(t *testing.T, m Model, change ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{}
	var ids atomic.Int64
	c := Config{
		Model: m, Bounds: Bounds{Count: 100, Bytes: 1 << 20, Age: time.Hour}, Background: 4,
		Now:    func() time.Time { return at.Add(time.Duration(f.clock.Load()) * time.Second) },
		NewID:  func(prefix string) string { return fmt.Sprintf("%s%d", prefix, ids.Add(1)) },
		Tenant: func(r *http.Request) string { return r.Header.Get("Authorization") },
		Body:   func(_ http.ResponseWriter, r *http.Request) ([]byte, error) { return io.ReadAll(r.Body) },
		Ended: func(_ *http.Request, o Outcome) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.outcomes = append(f.outcomes, o)
		},
		Panicked: func(context.Context, any, []byte) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.panics++
		},
	}
	for _, do := range change {
		do(&c)
	}
	f.API = New(c)
	web := httptest.NewServer(f.routes())
	t.Cleanup(func() {
		web.CloseClientConnections()
		f.Close(errors.New("the test is over"))
		web.Close()
	})
	f.url, f.web = web.URL, web
	return f
}

func (f *fixture) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /v1/responses": f.Create, "POST /v1/responses/input_tokens": f.CountInput, "GET /v1/responses/{id}": f.Retrieve,
		"POST /v1/responses/{id}/cancel": f.Cancel, "DELETE /v1/responses/{id}": f.Delete, "GET /v1/responses/{id}/input_items": f.InputItems,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			err := h(w, r)
			if err == nil {
				return
			}
			e := openai.NewError(http.StatusInternalServerError, openai.TypeServer, openai.CodeInternal, "", err.Error())
			if known, ok := errors.AsType[*openai.Error](err); ok {
				e = known
			}
			w.WriteHeader(e.Status)
			_ = json.NewEncoder(w).Encode(openai.ErrorBody{Error: e})
		})
	}
	return mux
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (f *fixture) do(t *testing.T, method, path, body string, tenant ...string) reply {
	t.Helper()
	response := f.open(t, method, path, body, tenant...)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(data)}
}

// open leaves reading to the caller.
func (f *fixture) open(t *testing.T, method, path, body string, tenant ...string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", strings.Join(tenant, ""))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func (f *fixture) create(t *testing.T, body string, tenant ...string) reply {
	t.Helper()
	return f.do(t, http.MethodPost, "/v1/responses", body, tenant...)
}

// ask is the smallest request, with more fields.
func ask(more string) string { return `{"model":"gpt-oss-demo","input":"hi"` + more + `}` }

// object is any JSON object.
type object = map[string]any

func (r reply) object(t *testing.T) object {
	t.Helper()
	var o object
	if err := json.Unmarshal([]byte(r.body), &o); err != nil {
		t.Fatalf("%v in status %d, %s", err, r.status, r.body)
	}
	return o
}

func (r reply) error(t *testing.T) *openai.Error {
	t.Helper()
	var body openai.ErrorBody
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || body.Error == nil {
		t.Fatalf("no error in %s", r.body)
	}
	body.Error.Status = r.status
	return body.Error
}

// events returns the events of a stream and checks that each has its name and number.
func (r reply) events(t *testing.T) []object {
	t.Helper()
	var out []object
	lines := bufio.NewScanner(strings.NewReader(r.body))
	lines.Buffer(nil, 1<<20)
	name := ""
	for lines.Scan() {
		line := lines.Text()
		data, isData := strings.CutPrefix(line, "data: ")
		switch {
		case strings.HasPrefix(line, "event: "):
			name = line[len("event: "):]
		case isData:
			var e object
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				t.Fatalf("%v in %s", err, data)
			}
			if e["type"] != name {
				t.Fatalf("event %q has the type %v", name, e["type"])
			}
			out = append(out, e)
		case line != "":
			t.Fatalf("line %q in a stream", line)
		}
	}
	for n, e := range out {
		if first := out[0]["sequence_number"].(float64); e["sequence_number"] != first+float64(n) {
			t.Fatalf("event %d has the number %v: %v", n, e["sequence_number"], e)
		}
	}
	return out
}

func types(events []object) []string {
	var out []string
	for _, e := range events {
		out = append(out, e["type"].(string))
	}
	return out
}
