package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// several is a Generator that plays one answer after the other, in the order in which they are asked for.
type several struct {
	script
	answers []string
	// room is how many requests it takes at a time; 0 for any number.
	room int

	lock    sync.Mutex
	asked   []engine.Request
	running int
	most    int // that ever ran together
}

func (s *several) Submit(ctx context.Context, r engine.Request) (*engine.Stream, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.room > 0 && s.running >= s.room {
		return nil, fmt.Errorf("engine: %w", engine.ErrQueueFull)
	}
	n := len(s.asked)
	s.asked = append(s.asked, r)
	s.running++
	s.most = max(s.most, s.running)
	one := &script{tokens: ids(s.answers[n%len(s.answers)]), ending: func() {
		s.lock.Lock()
		defer s.lock.Unlock()
		s.running--
	}}
	stream := engine.NewStream(len(one.tokens))
	stream.SetCached(min(n, 1) * 3)
	go one.play(ctx, stream, r.Logprobs)
	return stream, nil
}

func TestSeveralAnswers(t *testing.T) {
	g := &several{answers: []string{hello, "<|channel|>final<|message|>Two<|return|>", "<|channel|>analysis<|message|>3<|end|>"}}
	f := newFixture(t, g)
	got := decode[openai.ChatCompletion](t, f.chat(t, ask(`,"n":3,"seed":5`)).body)
	var texts []string
	completion := 0
	for i, c := range got.Choices {
		texts = append(texts, fmt.Sprint(c.Index, value(c.Message.Content), c.Message.Reasoning, c.FinishReason))
		completion += len(ids(g.answers[i]))
	}
	if diff := cmp.Diff([]string{"0Hello!Hm.stop", "1Twostop", "23stop"}, texts); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
	prompt := len(g.asked[0].Prompt)
	want := openai.Usage{
		PromptTokens: prompt, CompletionTokens: completion, TotalTokens: prompt + completion,
		CompletionTokensDetails: openai.CompletionDetails{ReasoningTokens: 4},
	}
	if diff := cmp.Diff(want, got.Usage); diff != "" {
		t.Errorf("usage (-want,+got):\n%s", diff)
	}
	seeds := map[uint64]bool{}
	for _, r := range g.asked {
		seeds[*r.Sampling.Seed] = true
	}
	if len(seeds) != 3 || !seeds[5] {
		t.Errorf("the seeds are %v", seeds)
	}
}

// late is a Generator that begins to answer after a minute.
type late struct {
	script
	began time.Time
	asked []time.Duration // when, after the beginning
}

func (l *late) Submit(ctx context.Context, r engine.Request) (*engine.Stream, error) {
	l.asked = append(l.asked, time.Since(l.began))
	stream := engine.NewStream(len(l.tokens))
	go func() {
		<-time.After(time.Minute)
		l.play(ctx, stream, r.Logprobs)
	}()
	return stream, nil
}

// TestAnswersShareTheirPrompt lets the others begin when the first token of the first has come: before, the prompt is not in
// memory.
func TestAnswersShareTheirPrompt(t *testing.T) {
	g := &late{script: script{tokens: ids("<|channel|>final<|message|>x<|return|>")}}
	f := newFixture(t, g)
	synctest.Test(t, func(t *testing.T) {
		g.began = time.Now()
		rec := httptest.NewRecorder()
		f.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(ask(`,"n":3`))))
		if diff := cmp.Diff([]time.Duration{0, time.Minute, time.Minute}, g.asked); diff != "" || rec.Code != 200 {
			t.Errorf("status %d; asked after (-want,+got):\n%s", rec.Code, diff)
		}
	})
}

func TestAnswersWaitForRoomOfTheirOwn(t *testing.T) {
	g := &several{answers: []string{hello}, room: 2}
	f := newFixture(t, g)
	got := f.chat(t, ask(`,"n":5`))
	if got.status != 200 || len(decode[openai.ChatCompletion](t, got.body).Choices) != 5 || g.most > 2 {
		t.Errorf("status %d with %d at a time: %s", got.status, g.most, got.body)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	f := newFixture(t, says(hello), func(c *Config) { c.Options.MaxChoices = 2 })
	if e := f.chat(t, ask(`,"n":3`)).error(t); e.Status != 400 || *e.Param != "n" || !strings.Contains(e.Message, "at most 2 answers") {
		t.Errorf("got %+v", e)
	}
}

// TestOneOfSeveralFails ends all of them.
func TestOneOfSeveralFails(t *testing.T) {
	g := &script{tokens: ids("<|channel|>final<|message|>x"), reason: engine.FinishError, err: errors.New("engine: broken")}
	f := newFixture(t, g)
	if e := f.chat(t, ask(`,"n":3`)).error(t); e.Status != 500 {
		t.Errorf("got %+v", e)
	}
	if active := f.active.Load(); active != 0 {
		t.Errorf("%d active", active)
	}
}

// TestSeveralStreamsEqualTheWhole interleaves random answers with everything that changes what is shown.
func TestSeveralStreamsEqualTheWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	tails := []string{
		"", `,"stop":["END","€"]`, `,"logprobs":true,"top_logprobs":2`, `,"parallel_tool_calls":false`, `,"stop_token_ids":[33]`,
		`,"tools":[{"type":"function","function":{"name":"f"}}]`, `,"functions":[{"name":"f"}]`,
	}
	for range 200 {
		g := &several{}
		for range 3 {
			var output strings.Builder
			for _, id := range generated(r) {
				output.Write(words().TokenBytes(id))
			}
			g.answers = append(g.answers, output.String())
		}
		f := newFixture(t, g)
		tail := `,"n":3` + tails[r.IntN(len(tails))]
		whole := decode[openai.ChatCompletion](t, f.chat(t, ask(tail)).body)
		streamed := assemble(t, f.chat(t, ask(tail+`,"stream":true,"stream_options":{"include_usage":true}`)))
		if strings.Contains(tail, "logprobs") {
			for i := range streamed.Choices {
				if streamed.Choices[i].Logprobs == nil {
					streamed.Choices[i].Logprobs = &openai.Logprobs{Content: []openai.TokenLogprob{}}
				}
			}
		}
		whole.Usage.PromptTokensDetails, streamed.Usage.PromptTokensDetails = openai.PromptDetails{}, openai.PromptDetails{}
		if diff := cmp.Diff(whole, streamed); diff != "" {
			t.Fatalf("outputs %q%s (-whole,+streamed):\n%s", g.answers, tail, diff)
		}
	}
}

func TestUsageInEveryChunk(t *testing.T) {
	f := newFixture(t, says("<|channel|>final<|message|>ab<|return|>"))
	events := f.chat(t, ask(`,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}`)).events(t)
	last := -1
	for _, e := range events[:len(events)-1] {
		n := decode[openai.ChatChunk](t, e).Usage.Usage.CompletionTokens
		if n < last {
			t.Errorf("the tokens fall from %d to %d", last, n)
		}
		last = n
	}
	if last != 10 {
		t.Errorf("%d tokens in the end", last)
	}
}
