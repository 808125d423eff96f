package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine"
)

// slow is a Generator whose tokens come after the waits; the engine's stats are of no interest.
type slow struct {
	script
	waits []time.Duration
}

func (s *slow) Submit(ctx context.Context, _ engine.Request) (*engine.Stream, error) {
	stream := engine.NewStream(0)
	go func() {
		for i, id := range s.tokens {
			<-time.After(s.waits[i])
			if stream.Send(ctx, engine.Token{ID: id}) != nil {
				break
			}
		}
		stream.Finish(engine.FinishStop, nil)
	}()
	return stream, nil
}

// TestSilentStreamsShowLife counts the comments in front of each event. The clock begins anew with each event, and not
// with a token that makes none.
func TestSilentStreamsShowLife(t *testing.T) {
	const second = time.Second
	tokens := ids("<|message|>ab<|return|>")
	cases := map[string]struct {
		waits []time.Duration
		more  string
		want  []string
	}{
		"a quick answer":         {[]time.Duration{0, second, 14 * second, 14 * second}, `,"stream":true`, []string{"role", "a", "b", "end"}},
		"a request that waits":   {[]time.Duration{47 * second, 0, 0, 0}, `,"stream":true`, []string{"role", "life", "life", "life", "a", "b", "end"}},
		"a slow model":           {[]time.Duration{0, 0, 16 * second, 31 * second}, `,"stream":true`, []string{"role", "a", "life", "b", "life", "life", "end"}},
		"tokens without text":    {[]time.Duration{10 * second, 10 * second, 0, 0}, `,"stream":true`, []string{"role", "life", "a", "b", "end"}},
		"an answer in one piece": {[]time.Duration{47 * second, 0, 0, 0}, "", nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, &slow{script: script{tokens: tokens}, waits: tc.waits})
			synctest.Test(t, func(t *testing.T) {
				rec := httptest.NewRecorder()
				f.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(ask(tc.more))))
				var got []string
				for event := range strings.SplitSeq(rec.Body.String(), "\n\n") {
					for mark, name := range map[string]string{
						": keep-alive": "life", `"role":"assistant","content":""`: "role", `"content":"a"`: "a", `"content":"b"`: "b", `"finish_reason":"stop"}]`: "end",
					} {
						if strings.Contains(event, mark) && strings.Contains(rec.Body.String(), "data: ") {
							got = append(got, name)
						}
					}
				}
				if diff := cmp.Diff(tc.want, got); diff != "" || strings.Contains(rec.Body.String(), "error") {
					t.Errorf("(-want,+got):\n%s\n%s", diff, rec.Body.String())
				}
			})
		})
	}
}
