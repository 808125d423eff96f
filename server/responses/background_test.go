package responses

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// slow is a model that waits before each piece.
func slow(texts ...string) *fake {
	m := &fake{gate: make(chan struct{})}
	for _, text := range texts {
		m.pieces = append(m.pieces, content(0, text))
	}
	return m
}

// ended waits until a background response has ended.
func (f *fixture) ended(t *testing.T, id string) {
	t.Helper()
	if j, _ := f.find(key{"", id}); j != nil {
		<-j.done
	}
}

func TestBackground(t *testing.T) {
	m := slow("Hel", "lo!")
	f := newFixture(t, m)
	created := f.create(t, ask(`,"background":true`)).object(t)
	id := created["id"].(string)
	if created["status"] != "queued" || created["background"] != true || created["usage"] != nil {
		t.Errorf("got %v", created)
	}
	if e := f.create(t, ask(`,"previous_response_id":"`+id+`"`)).error(t); e.Status != 400 || !strings.Contains(e.Message, "has not ended yet") {
		t.Errorf("going on with it gives %+v", e)
	}
	m.gate <- struct{}{}
	m.gate <- struct{}{}
	f.ended(t, id)
	got := f.do(t, http.MethodGet, "/v1/responses/"+id, "").object(t)
	if got["status"] != "completed" || got["output"].([]any)[0].(object)["content"].([]any)[0].(object)["text"] != "Hello!" {
		t.Errorf("got %v", got)
	}
	if again := f.do(t, http.MethodPost, "/v1/responses/"+id+"/cancel", "").object(t); again["status"] != "completed" {
		t.Errorf("cancelling what has ended gives %v", again)
	}
	if e := f.do(t, http.MethodGet, "/v1/responses/"+id+"?stream=true", "").error(t); e.Status != 400 || *e.Param != "stream" {
		t.Errorf("streaming it gives %+v", e)
	}
	if n := f.Running(); n != 0 {
		t.Errorf("%d are under way", n)
	}
}

// TestStreamIsTakenUpAgain leaves a background stream in the middle; the response goes on, and the rest can be had later.
func TestStreamIsTakenUpAgain(t *testing.T) {
	m := slow("Hel", "lo!")
	f := newFixture(t, m)
	stream := f.open(t, http.MethodPost, "/v1/responses", ask(`,"background":true,"stream":true`))
	lines := bufio.NewScanner(stream.Body)
	var id string
	m.gate <- struct{}{}
	for lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), `"response":{"id":"`); ok && id == "" {
			id, _, _ = strings.Cut(rest, `"`)
		}
		if strings.Contains(lines.Text(), `"delta":"Hel"`) {
			break
		}
	}
	if err := stream.Body.Close(); err != nil {
		t.Fatal(err)
	}
	m.gate <- struct{}{}
	f.ended(t, id)
	whole := f.do(t, http.MethodGet, "/v1/responses/"+id+"?stream=true", "")
	events := whole.events(t)
	want := []string{
		"response.created", "response.queued", "response.in_progress", "response.output_item.added", "response.content_part.added",
		"response.output_text.delta", "response.output_text.delta", "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed",
	}
	if diff := cmp.Diff(want, types(events)); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
	for after := range events {
		rest := f.do(t, http.MethodGet, fmt.Sprintf("/v1/responses/%s?stream=true&starting_after=%d", id, after), "").events(t)
		if diff := cmp.Diff(events[after+1:], rest, cmp.Transformer("empty", func(o []object) []object { return append([]object{}, o...) })); diff != "" {
			t.Errorf("after %d (-want,+got):\n%s", after, diff)
		}
	}
	if e := f.do(t, http.MethodGet, "/v1/responses/"+id+"?stream=true&starting_after=-1", "").error(t); *e.Param != "starting_after" {
		t.Errorf("got %+v", e)
	}
}

func TestCancel(t *testing.T) {
	m := slow("Hel", "lo!")
	f := newFixture(t, m)
	stream := f.open(t, http.MethodPost, "/v1/responses", ask(`,"background":true,"stream":true`))
	defer stream.Body.Close()
	m.gate <- struct{}{}
	lines := bufio.NewScanner(stream.Body)
	var id string
	for lines.Scan() && !strings.Contains(lines.Text(), `"delta":"Hel"`) {
		if _, rest, ok := strings.Cut(lines.Text(), `"response":{"id":"`); ok {
			id, _, _ = strings.Cut(rest, `"`)
		}
	}
	got := f.do(t, http.MethodPost, "/v1/responses/"+id+"/cancel", "").object(t)
	item := got["output"].([]any)[0].(object)
	if got["status"] != "cancelled" || got["error"] != nil || item["status"] != "incomplete" {
		t.Errorf("got %v", got)
	}
	last := ""
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			last = name
		}
	}
	if last != "response.cancelled" {
		t.Errorf("the stream ends with %q", last)
	}
	again := f.do(t, http.MethodPost, "/v1/responses/"+id+"/cancel", "").object(t)
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("cancelled again (-first,+second):\n%s", diff)
	}
	if len(m.causes) != 1 || !errors.Is(m.causes[0], errCancelled) {
		t.Errorf("the model ended with %v", m.causes)
	}
}

func TestOnlyBackgroundResponsesAreCancelled(t *testing.T) {
	f := newFixture(t, &fake{})
	if e := f.do(t, http.MethodPost, "/v1/responses/"+f.id(t, "")+"/cancel", "").error(t); e.Status != 400 {
		t.Errorf("got %+v", e)
	}
}

func TestDeletedWhileUnderWay(t *testing.T) {
	m := slow("a")
	f := newFixture(t, m)
	id := f.id(t, `,"background":true`)
	if got := f.do(t, http.MethodDelete, "/v1/responses/"+id, "").object(t); got["deleted"] != true {
		t.Errorf("got %v", got)
	}
	if got := f.do(t, http.MethodGet, "/v1/responses/"+id, ""); got.status != 404 || f.Running() != 0 {
		t.Errorf("status %d, %d under way", got.status, f.Running())
	}
}

func TestBackgroundIsBounded(t *testing.T) {
	m := slow("a")
	f := newFixture(t, m, func(c *Config) { c.Background = 2 })
	ids := []string{f.id(t, `,"background":true`), f.id(t, `,"background":true`)}
	if e := f.create(t, ask(`,"background":true`)).error(t); e.Status != 429 || *e.Code != "too_many_background_responses" {
		t.Errorf("got %+v", e)
	}
	m.gate <- struct{}{}
	m.gate <- struct{}{}
	for _, id := range ids {
		f.ended(t, id)
	}
	f.id(t, `,"background":true`)
}

// TestClose ends what is under way with the given error, for those who follow and those who come back.
func TestClose(t *testing.T) {
	m := slow("a")
	f := newFixture(t, m)
	id := f.id(t, `,"background":true`)
	stream := f.open(t, http.MethodPost, "/v1/responses", ask(`,"background":true,"stream":true`))
	defer stream.Body.Close()
	down := openai.NewError(503, openai.TypeUnavailable, openai.CodeShuttingDown, "", "Shutting down.")
	f.Close(down)
	if got := f.do(t, http.MethodGet, "/v1/responses/"+id, "").object(t); got["status"] != "failed" || got["error"].(object)["message"] != "Shutting down." {
		t.Errorf("got %v", got)
	}
	lines, last := bufio.NewScanner(stream.Body), ""
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			last = name
		}
	}
	if last != "response.failed" {
		t.Errorf("the stream ends with %q", last)
	}
	if e := f.create(t, ask(`,"background":true`)).error(t); e.Status != 503 {
		t.Errorf("got %+v", e)
	}
}

// TestClientLeaves ends a response whose stream nobody reads any more.
func TestClientLeaves(t *testing.T) {
	m := slow("a", "b")
	f := newFixture(t, m)
	stream := f.open(t, http.MethodPost, "/v1/responses", ask(`,"stream":true`))
	if err := stream.Body.Close(); err != nil {
		t.Fatal(err)
	}
	f.web.Close() // waits for the handler
	if len(m.causes) != 1 || !errors.Is(m.causes[0], context.Canceled) || len(f.outcomes) != 1 || !errors.Is(f.outcomes[0].Err, ErrGone) {
		t.Errorf("the model ended with %v, the request with %v", m.causes, f.outcomes)
	}
}

func TestPanics(t *testing.T) {
	for _, more := range []string{`,"stream":true`, `,"background":true,"stream":true`} {
		f := newFixture(t, &fake{panics: true, pieces: []Piece{content(0, "a")}})
		events := f.create(t, ask(more)).events(t)
		if last := events[len(events)-1]; last["type"] != "response.failed" || f.panics != 1 || f.Running() != 0 {
			t.Errorf("%s: the stream ends with %v", more, last)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for more, want := range map[string]Outcome{
		"":                                 {Finish: openai.FinishStop, Usage: openai.Usage{PromptTokens: 9, CompletionTokens: 1, TotalTokens: 10, PromptTokensDetails: openai.PromptDetails{CachedTokens: 4}}},
		`,"stream":true`:                   {Finish: openai.FinishStop, Usage: openai.Usage{PromptTokens: 9, CompletionTokens: 1, TotalTokens: 10, PromptTokensDetails: openai.PromptDetails{CachedTokens: 4}}},
		`,"background":true`:               {},
		`,"background":true,"stream":true`: {},
	} {
		f := newFixture(t, &fake{pieces: []Piece{content(0, "a")}})
		f.create(t, ask(more))
		want.ID = "resp_2"
		if diff := cmp.Diff([]Outcome{want}, f.outcomes); diff != "" {
			t.Errorf("%s (-want,+got):\n%s", more, diff)
		}
	}
}
