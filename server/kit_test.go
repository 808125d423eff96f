package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/sample"
	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/options"
)

var controlTokens = []string{
	"<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|return|>", "<|call|>", "<|endoftext|>",
}

// pieces are tokens of several bytes, some of them parts of characters. Text is never encoded with them.
var pieces = []string{"ab\xe2", "\x82\xac!", "\x82", "analysis hidden", "final answer", "xENDy", "\n\nEND", " to=functions.f {", "€ 1", "ENDEND", "\xff\xffz"}

// piece returns the id of one of them.
func piece(n int) int32 { return int32(256 + len(controlTokens) + n) }

// words is a tokenizer whose ids 0 to 255 are the bytes, followed by the control tokens and the pieces.
var words = sync.OnceValue(func() *tokenizer.Tokenizer {
	var letters [256]string
	vocabulary, next := map[string]int{}, rune(0x100)
	for b := range 256 {
		r := rune(b)
		if b <= ' ' || b > '~' && b < 0xa1 || b == 0xad {
			r, next = next, next+1
		}
		letters[b] = string(r)
		vocabulary[letters[b]] = b
	}
	for n, text := range pieces {
		var spelled strings.Builder
		for _, b := range []byte(text) {
			spelled.WriteString(letters[b])
		}
		vocabulary[spelled.String()] = int(piece(n))
	}
	var added []map[string]any
	for i, name := range controlTokens {
		added = append(added, map[string]any{"id": 256 + i, "content": name, "special": true})
	}
	data, err := json.Marshal(map[string]any{
		"added_tokens":  added,
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "use_regex": true},
		"model":         map[string]any{"type": "BPE", "vocab": vocabulary, "merges": []string{}},
	})
	if err != nil {
		panic(err)
	}
	t, err := tokenizer.Parse(data)
	if err != nil {
		panic(err)
	}
	return t
})

// ids encodes what a model generates: text with control tokens.
func ids(text string) []int32 {
	var out []int32
	for text != "" {
		at, found := len(text), ""
		for _, name := range controlTokens {
			if i := strings.Index(text, name); i >= 0 && i < at {
				at, found = i, name
			}
		}
		out = words().Append(out, text[:at])
		if id, ok := words().Special(found); ok {
			out = append(out, id)
		}
		text = text[at+len(found):]
	}
	return out
}

// script is a Generator that plays a prepared answer.
type script struct {
	ending    func() // is called before a stream ends; may be nil
	tokens    []int32
	reason    engine.FinishReason // "" for stop
	err       error               // the stream's
	submitErr error
	cached    int // prompt tokens
	panics    bool
	// gate, when set, lets one token pass for each value received.
	gate  chan struct{}
	stats engine.Stats

	mu        sync.Mutex
	requests  []engine.Request
	cancelled chan struct{} // closed when a request's context ended before its script did
}

func (s *script) Submit(ctx context.Context, r engine.Request) (*engine.Stream, error) {
	if s.panics {
		panic("the generator is broken")
	}
	if s.submitErr != nil {
		return nil, s.submitErr
	}
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	stream := engine.NewStream(0)
	stream.SetCached(s.cached)
	if r.Constraint != nil {
		go s.yield(ctx, stream, &r)
		return stream, nil
	}
	go s.play(ctx, stream, r.Logprobs)
	return stream, nil
}

// measured is what the script reports of its token number i: the number itself, and as alternatives the token, one with
// the probability 0, and a control token.
func measured(i int, id int32, alternatives *int) *engine.Logprobs {
	if alternatives == nil {
		return nil
	}
	top := []sample.Logprob{{ID: id, Logprob: -float64(i)}, {ID: 'b', Logprob: math.Inf(-1)}, {ID: 256, Logprob: -0.5}}
	return &engine.Logprobs{Chosen: -float64(i), Top: top[:min(*alternatives, len(top))]}
}

func (s *script) play(ctx context.Context, stream *engine.Stream, alternatives *int) {
	ending := s.ending
	if ending == nil {
		ending = func() {}
	}
	stream.Begin(time.Now())
	for i, id := range s.tokens {
		if s.gate != nil {
			select {
			case <-s.gate:
			case <-ctx.Done():
			}
		}
		if err := stream.Send(ctx, engine.Token{ID: id, Logprobs: measured(i, id, alternatives)}); err != nil || ctx.Err() != nil {
			ending()
			stream.Finish(engine.FinishCancelled, context.Cause(ctx))
			if s.cancelled != nil {
				close(s.cancelled)
			}
			return
		}
	}
	reason := s.reason
	if reason == "" {
		reason = engine.FinishStop
	}
	ending()
	stream.Finish(reason, s.err)
}

// yield plays the script as far as a constraint lets it. Where it does not, the token with the lowest id goes between.
func (s *script) yield(ctx context.Context, stream *engine.Stream, r *engine.Request) {
	mask := make([]uint64, (words().Size()+63)/64)
	allowed := func(id int32) bool { return mask[id/64]>>(id%64)&1 != 0 }
	wanted := s.tokens
	for range r.MaxTokens {
		r.Constraint.Mask(mask)
		id := int32(0)
		if len(wanted) > 0 && allowed(wanted[0]) {
			id, wanted = wanted[0], wanted[1:]
		} else {
			for !allowed(id) {
				id++
			}
		}
		r.Constraint.Accept(id)
		if stream.Send(ctx, engine.Token{ID: id}) != nil {
			stream.Finish(engine.FinishCancelled, context.Cause(ctx))
			return
		}
		if slices.Contains(r.StopTokens, id) {
			stream.Finish(engine.FinishStop, nil)
			return
		}
	}
	stream.Finish(engine.FinishLength, nil)
}

func (s *script) Stats() engine.Stats { return s.stats }

func (s *script) request(t *testing.T) engine.Request {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) != 1 {
		t.Fatalf("the engine got %d requests", len(s.requests))
	}
	return s.requests[0]
}

// says scripts a model's output, with control tokens.
func says(text string) *script { return &script{tokens: ids(text)} }

const hello = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello!<|return|>"

// at is the time at which all tests play.
var at = time.Date(2025, 5, 7, 14, 20, 33, 0, time.UTC)

// fixture is a server under test.
type fixture struct {
	*Server
	url string
	log *syncBuffer
}

// newFixture starts a server with a model, or without one where g is nil.
func newFixture(t *testing.T, g Generator, change ...func(*Config)) *fixture {
	t.Helper()
	log := &syncBuffer{}
	c := Config{
		Options: options.Default(), Version: "1.1.0", Aliases: []string{"the-alias"},
		Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:    func() time.Time { return at },
		NewID:  func(prefix string) string { return prefix + "test" },
	}
	for _, f := range change {
		f(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if g != nil {
		s.SetModel(newModel(t, g))
	}
	web := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fixture{Server: s, url: web.URL, log: log}
}

func newModel(t *testing.T, g Generator) *Model {
	t.Helper()
	encoding, err := harmony.New(words())
	if err != nil {
		t.Fatal(err)
	}
	return &Model{
		Generator: g, Encoder: encoding, Vocabulary: words(), ContextLength: 4096, ActiveParameters: 3608307264, TotalParameters: 20914757184, Created: at,
	}
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (f *fixture) do(t *testing.T, method, path, body string, header ...string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return readReply(t, response)
}

func readReply(t *testing.T, response *http.Response) reply {
	t.Helper()
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(data)}
}

func (f *fixture) chat(t *testing.T, body string) reply {
	t.Helper()
	return f.do(t, http.MethodPost, "/v1/chat/completions", body)
}

// ask is the smallest request, with more fields.
func ask(more string) string {
	return `{"model":"gpt-oss-demo","messages":[{"role":"user","content":"hi"}]` + more + `}`
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func (r reply) error(t *testing.T) *openai.Error {
	t.Helper()
	e := decode[openai.ErrorBody](t, r.body).Error
	if e == nil || e.Code == nil {
		t.Fatalf("no error in %s", r.body)
	}
	e.Status = r.status
	return e
}

// events returns the data of the events of a stream.
func (r reply) events(t *testing.T) []string {
	t.Helper()
	var out []string
	lines := bufio.NewScanner(strings.NewReader(r.body))
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			out = append(out, data)
		} else if lines.Text() != "" {
			t.Fatalf("line %q in a stream", lines.Text())
		}
	}
	return out
}

// syncBuffer is a log that several goroutines may write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// writeFile makes a file that only this test has.
func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
