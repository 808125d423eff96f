package talk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const stream = `: a comment
data: {"choices":[{"delta":{"role":"assistant"}}]}

data: {"choices":[{"delta":{"reasoning":"Hm","reasoning_content":"Hm"}}]}

data: {"choices":[{"delta":{"reasoning_content":"."}}]}

data: {"choices":[{"delta":{"content":"Tok"}}]}

data: {"choices":[{"delta":{"content":"yo"},"finish_reason":"stop"}]}

data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":4}}

data: [DONE]

`

func serve(t *testing.T, handler http.HandlerFunc) Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return Server{HTTP: s.Client(), Base: s.URL, Key: "sk-secret"}
}

func TestAsk(t *testing.T) {
	var got Request
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer sk-secret" || r.URL.Path != "/v1/chat/completions" {
			t.Errorf("asked %s with %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, stream)
	})
	var pieces []Piece
	answer, err := s.Ask(t.Context(), Request{Model: "m", ReasoningEffort: "high", Messages: []Message{{"user", "?"}}}, func(p Piece) error {
		pieces = append(pieces, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Answer{Content: "Tokyo", Reasoning: "Hm.", FinishReason: "stop", PromptTokens: 7, CompletionTokens: 4}, answer); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Piece{{Reasoning: "Hm"}, {Reasoning: "."}, {Content: "Tok"}, {Content: "yo"}}, pieces); diff != "" {
		t.Errorf("pieces (-want +got):\n%s", diff)
	}
	if !got.Stream || got.ReasoningEffort != "high" {
		t.Errorf("request %+v", got)
	}
}

func TestBrokenAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		status     int
		body, want string
	}{
		"a refusal that repeats the key": {401, `{"error":{"message":"no such key: sk-secret"}}`, "the server answers 401 Unauthorized: no such key: [key]"},
		"a proxy's page":                 {502, "<h1>bad gateway</h1>", "the server answers 502 Bad Gateway: <h1>bad gateway</h1>"},
		"a stream that is cut":           {200, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n", errCut.Error()},
		"an error in the stream":         {200, "data: {\"error\":{\"message\":\"out of memory\"}}\n\n", "the server gave up: out of memory"},
		"not an event":                   {200, "data: nonsense\n\n", "the stream holds something that is not an event"},
		"a line without end":             {200, "data: " + strings.Repeat("x", maxLine), "the stream broke"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})
			_, err := s.Ask(t.Context(), Request{}, func(Piece) error { return nil })
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}

func TestAccepts(t *testing.T) {
	for name, tc := range map[string]struct {
		status    int
		want, bad bool
	}{
		"a key that is known":                {200, true, false},
		"a key that is not":                  {401, false, false},
		"a key that may not list models":     {403, true, false},
		"a key that has asked too often":     {429, true, false},
		"a server that cannot say right now": {503, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tc.status) })
			got, err := s.Accepts(t.Context())
			if got != tc.want || (err != nil) != tc.bad {
				t.Errorf("%t, %v", got, err)
			}
		})
	}
}

func TestFigures(t *testing.T) {
	ms := func(n ...int) (out []time.Duration) {
		for _, i := range n {
			out = append(out, time.Duration(i)*time.Millisecond)
		}
		return out
	}
	got := figures([]sample{
		{answer: Answer{PromptTokens: 3, CompletionTokens: 10}, first: 100 * time.Millisecond, gaps: ms(10, 20)},
		{answer: Answer{PromptTokens: 3, CompletionTokens: 30}, first: 300 * time.Millisecond, gaps: ms(30)},
		{err: errors.New("broken")},
		{err: fmt.Errorf("cut: %w", context.DeadlineExceeded), answer: Answer{CompletionTokens: 99}},
	}, 2*time.Second)
	want := Figures{
		Requests: 2, Failed: 1, Duration: 2 * time.Second, PromptTokens: 6, Tokens: 40, TokensPerSecond: 20, FirstError: "broken",
		FirstToken:    Spread{P50: 100 * time.Millisecond, P95: 300 * time.Millisecond, Max: 300 * time.Millisecond},
		BetweenTokens: Spread{P50: 20 * time.Millisecond, P95: 30 * time.Millisecond, Max: 30 * time.Millisecond},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadIsBounded(t *testing.T) {
	inside, most := make(chan struct{}, 3), make(chan int, 100)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		inside <- struct{}{}
		most <- len(inside)
		_, _ = io.WriteString(w, stream)
		<-inside
	})
	got := Load{Servers: []Server{s, s}, Requests: 20, Concurrency: 3, Now: time.Now, Done: func(int) {}}.Run(t.Context())
	if got.Requests != 20 || got.Failed != 0 || got.Tokens != 80 || len(most) != 20 {
		t.Errorf("%+v, %d requests arrived", got, len(most))
	}
}

func FuzzRead(f *testing.F) {
	f.Add(stream)
	f.Add("data: {\"choices\":[{}]}\n")
	f.Add("data:[DONE]")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		a, err := read(strings.NewReader(text), func(p Piece) error { n += len(p.Content); return nil })
		if len(a.Content) != n {
			t.Errorf("%d bytes of content, %d in pieces (error %v)", len(a.Content), n, err)
		}
	})
}
