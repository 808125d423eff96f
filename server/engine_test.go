package server

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// demoModel is the demo model on a real engine.
func demoModel(t *testing.T, o engine.Options) (*Model, *engine.Engine) {
	t.Helper()
	checkpoint, err := weights.OpenFS(demo.Files())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := checkpoint.Close(); err != nil {
			t.Error(err)
		}
	}()
	data, err := fs.ReadFile(checkpoint.Files(), "tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	words, err := tokenizer.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	encoding, err := harmony.New(words)
	if err != nil {
		t.Fatal(err)
	}
	o.Checkpoint, o.VocabularyLimit = checkpoint, words.Size()
	e, err := engine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Model{Generator: e, Encoder: encoding, Vocabulary: words, ContextLength: e.ContextLength(), TotalParameters: 1, Created: at}, e
}

// newEngineFixture serves the demo model with a real engine.
func newEngineFixture(t *testing.T) (*fixture, *engine.Engine) {
	t.Helper()
	m, e := demoModel(t, engine.Options{ContextLength: 1024, MaxSequences: 4, QueueLimit: 64, PrefixCaching: true, Threads: 1})
	f := newFixture(t, nil)
	f.SetModel(m)
	return f, e
}

// TestNothingIsLeftInTheEngine has many clients at once, of whom every third leaves at some point of its answer.
func TestNothingIsLeftInTheEngine(t *testing.T) {
	f, e := newEngineFixture(t)
	tails := []string{"", `,"n":3`, `,"stop":"e"`, `,"stream":true`, `,"stream":true,"n":2`, `,"min_tokens":9`, `,"ignore_eos":true`, `,"logit_bias":{"5":-100}`}
	var all sync.WaitGroup
	for i := range 48 {
		all.Go(func() {
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			path, body := "/v1/chat/completions", ask(`,"max_tokens":12`+tails[i%len(tails)])
			switch i % 5 {
			case 3:
				path, body = "/v1/completions", fmt.Sprintf(`{"model":"gpt-oss-demo","prompt":["a","b %d"],"max_tokens":5,"stream":%t}`, i, i%2 == 0)
			case 4:
				path, body = "/generate_stream", `{"inputs":"a","parameters":{"max_new_tokens":8}}`
			}
			w := &leaving{ResponseRecorder: httptest.NewRecorder(), leave: leave, after: 1 << 30}
			if i%3 == 0 {
				w.after = i
			}
			f.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body)))
			if i%3 != 0 && (w.Code != 200 || strings.Contains(w.Body.String(), `"error"`)) {
				t.Errorf("%s %s: status %d: %s", path, body, w.Code, w.Body)
			}
		})
	}
	all.Wait()
	if err := e.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := e.Stats(); s.Running != 0 || s.Waiting != 0 || s.Preempted != 0 || s.KVTokens != 0 || f.active.Load() != 0 {
		t.Errorf("left: %+v, %d active", s, f.active.Load())
	}
}

// leaving is a client that is gone after so many bytes.
type leaving struct {
	*httptest.ResponseRecorder
	leave func()
	after int
}

func (l *leaving) Write(p []byte) (int, error) {
	if l.after -= len(p); l.after <= 0 {
		l.leave()
	}
	return l.ResponseRecorder.Write(p)
}

// TestTheEngineDoesWhatParametersSay compares answers of the model with each other.
func TestTheEngineDoesWhatParametersSay(t *testing.T) {
	f, _ := newEngineFixture(t)
	answer := func(more string) openai.TextCompletion {
		t.Helper()
		got := f.complete(t, `,"prompt":"The quick","max_tokens":20,"temperature":2,"top_p":1,"seed":7`+more)
		if got.status != 200 {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
		return decode[openai.TextCompletion](t, got.body)
	}
	one, several := answer(""), answer(`,"n":3`)
	first := one.Choices[0].Text
	if first != several.Choices[0].Text {
		t.Errorf("the first of several is %q, alone it is %q", several.Choices[0].Text, first)
	}
	if first == several.Choices[1].Text || first == several.Choices[2].Text {
		t.Errorf("two of several are equal: %q", first)
	}
	if several.Usage.Usage.PromptTokens != one.Usage.Usage.PromptTokens {
		t.Errorf("usage %+v of several, %+v of one", several.Usage.Usage, one.Usage.Usage)
	}
	if greedy := answer(`,"top_k":1`); greedy.Choices[0].Text == first {
		t.Errorf("top_k 1 changes nothing: %q", first)
	}
	if n := answer(`,"min_tokens":20`).Usage.Usage.CompletionTokens; n != 20 {
		t.Errorf("%d tokens, want the 20 that are the least and the most", n)
	}
	most, _ := f.model.Load().Vocabulary.Special("<|return|>")
	if biased := answer(fmt.Sprintf(`,"logit_bias":{"%d":100}`, most)); biased.Usage.Usage.CompletionTokens != 1 || biased.Choices[0].Text != "" {
		t.Errorf("with a bias for the end the answer is %q", biased.Choices[0].Text)
	}
}
