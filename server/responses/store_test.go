package responses

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// id creates a response and returns its id.
func (f *fixture) id(t *testing.T, more string, tenant ...string) string {
	t.Helper()
	got := f.create(t, ask(more), tenant...)
	id, ok := got.object(t)["id"].(string)
	if !ok {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	return id
}

func TestConversationsGoOn(t *testing.T) {
	m := &fake{pieces: []Piece{reasoning(0, "Hm."), content(1, "One moment."), call(0, "get_weather", "{}")}, finish: openai.FinishToolCalls}
	f := newFixture(t, m)
	first := f.id(t, weather+`,"instructions":"Be brief."`)
	m.pieces, m.finish = []Piece{content(0, "Rain.")}, openai.FinishStop
	second := f.create(t, `{"model":"gpt-oss-demo","previous_response_id":"`+first+`","input":[{"type":"function_call_output","call_id":"call_0","output":"wet"}]}`).object(t)
	want := []openai.Message{
		{Role: openai.RoleUser, Content: "hi"},
		{
			Role: openai.RoleAssistant, Reasoning: "Hm.", Content: "One moment.",
			ToolCalls: []openai.ToolCall{{ID: "call_0", Type: "function", Function: openai.FunctionCall{Name: "get_weather", Arguments: "{}"}}},
		},
		{Role: openai.RoleTool, ToolCallID: "call_0", Content: "wet"},
	}
	if diff := cmp.Diff(want, m.last(t).Messages); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
	if second["previous_response_id"] != first {
		t.Errorf("got %v", second)
	}
	if got := f.do(t, http.MethodDelete, "/v1/responses/"+first, "").object(t); got["deleted"] != true || got["id"] != first || got["object"] != "response" {
		t.Errorf("got %v", got)
	}
	f.create(t, ask(`,"previous_response_id":"`+second["id"].(string)+`"`))
	if n := len(m.last(t).Messages); n != 5 {
		t.Errorf("%d messages after the first response was deleted, want 5", n)
	}
	if e := f.create(t, ask(`,"previous_response_id":"`+first+`"`)).error(t); e.Status != 400 || *e.Code != "previous_response_not_found" {
		t.Errorf("got %+v", e)
	}
}

func TestReferences(t *testing.T) {
	m := &fake{pieces: []Piece{reasoning(0, "Hm."), content(1, "Hi."), call(0, "f", "{}")}}
	f := newFixture(t, m)
	var input strings.Builder
	for _, i := range f.create(t, ask(""), "me").object(t)["output"].([]any) {
		fmt.Fprintf(&input, `{"id":%q},`, i.(object)["id"])
	}
	body := `{"model":"m","input":[` + input.String() + `{"type":"function_call_output","call_id":"call_0","output":"x"}]}`
	if got := f.create(t, body, "me"); got.status != 200 {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	if got := m.last(t).Messages[0]; got.Reasoning != "Hm." || got.Content != "Hi." || len(got.ToolCalls) != 1 {
		t.Errorf("message %+v", got)
	}
	if e := f.create(t, body, "you").error(t); e.Status != 404 || *e.Param != "input[0].id" {
		t.Errorf("another tenant got %+v", e)
	}
}

func TestInputItems(t *testing.T) {
	m := &fake{pieces: []Piece{reasoning(0, "Hm."), content(1, "A1")}}
	f := newFixture(t, m)
	first := f.id(t, "")
	id := f.id(t, `,"previous_response_id":"`+first+`"`)
	list := func(query string) reply { return f.do(t, http.MethodGet, "/v1/responses/"+id+"/input_items"+query, "") }
	all := list("?order=asc&include=reasoning.encrypted_content").object(t)
	var got []any
	for _, i := range all["data"].([]any) {
		got = append(got, i.(object)["type"], i.(object)["content"].([]any)[0].(object)["text"])
	}
	if diff := cmp.Diff([]any{"message", "hi", "reasoning", "Hm.", "message", "A1", "message", "hi"}, got); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
	items := all["data"].([]any)
	if items[1].(object)["encrypted_content"] != seal("Hm.") || all["has_more"] != false || all["object"] != "list" {
		t.Errorf("got %v", all)
	}
	at := func(n int) string { return items[n].(object)["id"].(string) }
	page := list("?limit=2&after=" + at(3)).object(t)
	if page["first_id"] != at(2) || page["last_id"] != at(1) || page["has_more"] != true {
		t.Errorf("a page of the newest first is %v", page)
	}
	if page := list("?after=" + at(0)).object(t); page["first_id"] != nil || len(page["data"].([]any)) != 0 {
		t.Errorf("the page after the last is %v", page)
	}
	for query, param := range map[string]string{"?limit=0": "limit", "?limit=x": "limit", "?order=up": "order", "?after=x": "after", "?include=x": "include"} {
		if e := list(query).error(t); e.Status != 400 || *e.Param != param {
			t.Errorf("%s: %+v", query, e)
		}
	}
}

// TestTenantsAreApart has everything that names a response of somebody else's say what it says of one that does not exist.
func TestTenantsAreApart(t *testing.T) {
	f := newFixture(t, &fake{pieces: []Piece{content(0, "secret")}})
	id := f.id(t, "", "me")
	background := f.id(t, `,"background":true`, "me")
	for _, id := range []string{id, background} {
		for _, request := range [][2]string{
			{http.MethodGet, "/v1/responses/%s"},
			{http.MethodGet, "/v1/responses/%s?stream=true"},
			{http.MethodDelete, "/v1/responses/%s"},
			{http.MethodPost, "/v1/responses/%s/cancel"},
			{http.MethodGet, "/v1/responses/%s/input_items"},
		} {
			theirs := f.do(t, request[0], fmt.Sprintf(request[1], id), "", "you")
			none := f.do(t, request[0], fmt.Sprintf(request[1], "resp_none"), "", "you")
			if theirs.status != 404 || theirs.body != strings.ReplaceAll(none.body, "resp_none", id) {
				t.Errorf("%s: status %d, %s", request[1], theirs.status, theirs.body)
			}
		}
		if e := f.create(t, ask(`,"previous_response_id":"`+id+`"`), "you").error(t); *e.Code != "previous_response_not_found" {
			t.Errorf("got %+v", e)
		}
		if got := f.do(t, http.MethodGet, "/v1/responses/"+id, "", "me"); got.status != 200 {
			t.Errorf("the owner got %d", got.status)
		}
	}
}

func TestNotStored(t *testing.T) {
	for name, tc := range map[string]struct {
		more   string
		change func(*Config)
	}{
		"the client says so":   {`,"store":false`, func(*Config) {}},
		"nothing is kept":      {"", func(c *Config) { c.Bounds.Count = 0 }},
		"larger than the room": {`,"user":"u"`, func(c *Config) { c.Bounds.Bytes = 100 }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, &fake{}, tc.change)
			id := f.id(t, tc.more)
			if got := f.do(t, http.MethodGet, "/v1/responses/"+id, ""); got.status != 404 {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

func TestResponsesGrowOld(t *testing.T) {
	f := newFixture(t, &fake{})
	id := f.id(t, "")
	f.clock.Store(3599)
	if got := f.do(t, http.MethodGet, "/v1/responses/"+id, ""); got.status != 200 {
		t.Errorf("status %d before its time", got.status)
	}
	f.clock.Store(3600)
	if got := f.do(t, http.MethodGet, "/v1/responses/"+id, ""); got.status != 404 {
		t.Errorf("status %d after its time", got.status)
	}
}

// TestAFloodWashesAwayItsOwn has a tenant with many responses lose the oldest of them, and a tenant with one keep it.
func TestAFloodWashesAwayItsOwn(t *testing.T) {
	f := newFixture(t, &fake{}, func(c *Config) { c.Bounds.Count = 5 })
	mine := f.id(t, "", "me")
	var theirs []string
	for range 10 {
		theirs = append(theirs, f.id(t, "", "you"))
	}
	has := func(id, tenant string) bool {
		return f.do(t, http.MethodGet, "/v1/responses/"+id, "", tenant).status == 200
	}
	if !has(mine, "me") || has(theirs[5], "you") || !has(theirs[6], "you") {
		t.Errorf("kept: mine %v, theirs %v and %v", has(mine, "me"), has(theirs[5], "you"), has(theirs[6], "you"))
	}
}

// TestStoreBooks does random things to a store and compares its books with what is in it.
func TestStoreBooks(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	now := at
	s := newStore(Bounds{Count: 20, Bytes: 40000, Age: time.Minute}, func() time.Time { return now })
	var links []*link
	for n := range 5000 {
		tenant := fmt.Sprint("t", r.IntN(4))
		switch r.IntN(6) {
		case 0:
			s.remove(tenant, fmt.Sprint("r", r.IntN(n+1)))
		case 1:
			now = now.Add(time.Duration(r.IntN(10)) * time.Second)
		default:
			l := &link{input: []Item{{Type: typeMessage, ID: fmt.Sprint("i", n), Content: []Part{{Text: strings.Repeat("x", r.IntN(2000))}}}}}
			if len(links) > 0 && r.IntN(2) == 0 {
				l.before = links[r.IntN(len(links))]
			}
			links = append(links, l)
			s.put(tenant, &record{response: Response{ID: fmt.Sprint("r", n)}, link: l})
		}
		if len(links) > 30 {
			links = links[len(links)-30:]
		}
		count, bytes := books(s)
		if count != s.count || bytes != s.bytes || count > 20 || bytes > 40000 {
			t.Fatalf("after %d steps the books say %d responses of %d bytes, but there are %d of %d", n, s.count, s.bytes, count, bytes)
		}
	}
	for _, tenant := range []string{"t0", "t1", "t2", "t3"} {
		now = now.Add(time.Hour)
		s.get(tenant, "")
	}
	if s.count != 0 || s.bytes != 0 || len(s.shelves) != 0 {
		t.Errorf("in the end %d responses of %d bytes are left", s.count, s.bytes)
	}
}

// books counts what a store holds.
func books(s *store) (count int, bytes int64) {
	seen := map[*link]bool{}
	for _, shelf := range s.shelves {
		for e := shelf.order.Front(); e != nil; e = e.Next() {
			r := e.Value.(*record)
			count++
			bytes += r.own
			for l := r.link; l != nil && !seen[l]; l = l.before {
				seen[l] = true
				bytes += l.bytes
			}
		}
	}
	return count, bytes
}
