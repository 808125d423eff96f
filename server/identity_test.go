package server

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/server/audit"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// teams are keys of two identities, one of which has two.
const teams = `{"keys":[
	{"identity":"team-a","key":"a-1","limits":{"tokensPerMinute":4000}},{"identity":"team-a","key":"a-2","limits":{"tokensPerMinute":4000}},
	{"identity":"team-b","key":"b-1","limits":{"requestsPerSecond":0.1,"burst":2}},{"identity":"guest","key":"g-1","scopes":["models"]}]}`

// as is the header of a key.
func as(key string) []string { return []string{"Authorization", "Bearer " + key} }

// TestIdentitiesInTheAuditLog tells who it was, how that is known and from where, also of those who were refused.
func TestIdentitiesInTheAuditLog(t *testing.T) {
	var log bytes.Buffer
	g := says(hello)
	f := newFixture(t, g, func(c *Config) {
		c.Options.APIKeyFile, c.Options.APIKeys, c.Stdout, c.Options.AuditLog = writeFile(t, teams), []string{"flag"}, &log, "stdout"
		c.Options.TrustedProxies, c.Options.MetricsAuth = []string{"127.0.0.1", "::1"}, true
	})
	steps := []struct {
		key, path, body, want string
	}{
		{"a-1", "/v1/chat/completions", ask(""), "request team-a key 200 success 192.0.2.0"},
		{"flag", "/v1/chat/completions", ask(""), "request api-key-1 key 200 success 192.0.2.1"},
		{"wrong", "/v1/chat/completions", ask(""), "authentication_failed   401 invalid 192.0.2.2"},
		{"g-1", "/v1/chat/completions", ask(""), "permission_denied guest key 403 invalid 192.0.2.3"},
		{"b-1", "/generate", `{"inputs":"hi"}`, "request team-b key 200 success 192.0.2.4"},
		{"b-1", "/v1/models/x", "", "request team-b key 404 invalid 192.0.2.5"},
		{"b-1", "/v1/responses", `{"model":"gpt-oss-demo","input":"hi"}`, "request team-b key 429 rejected 192.0.2.6"},
		{"g-1", "/metrics", "", "permission_denied guest key 403 invalid 192.0.2.7"},
		{"a-1", "/v1/health", "", ""},
	}
	var want []string
	for i, step := range steps {
		method := http.MethodPost
		if step.body == "" {
			method = http.MethodGet
		}
		f.do(t, method, step.path, step.body, append(as(step.key), "X-Forwarded-For", fmt.Sprint("192.0.2.", i))...)
		if step.want != "" {
			want = append(want, step.want)
		}
	}
	var got []string
	records := f.records(t, &log)
	for _, r := range records[1 : len(records)-1] { // between the start and the end
		got = append(got, fmt.Sprint(r.Kind, " ", r.Identity, " ", r.Auth, " ", r.Status, " ", r.Outcome, " ", r.From))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestKeysInTheAuditLog has new keys and a file that cannot be read leave a record each, once, and health say so meanwhile.
func TestKeysInTheAuditLog(t *testing.T) {
	path := writeFile(t, "first\n")
	var log bytes.Buffer
	var passed atomic.Int64
	f := newFixture(t, says(hello), func(c *Config) {
		c.Options.APIKeyFile, c.Stdout, c.Options.AuditLog = path, &log, "stdout"
		c.Now = func() time.Time { return at.Add(time.Duration(passed.Load())) }
	})
	for _, step := range []struct{ content, key, health string }{
		{"first\n", "first", ""},
		{"second\nthird\n", "second", ""},
		{"a broken line\n", "second", "The key file cannot be read; its last keys stay valid."},
		{"another broken line\n", "second", "The key file cannot be read; its last keys stay valid."},
		{"second\nthird\n", "second", ""},
	} {
		if err := os.WriteFile(path, []byte(step.content), 0o600); err != nil {
			t.Fatal(err)
		}
		passed.Add(int64(time.Second))
		if got := f.do(t, http.MethodGet, "/v1/models", "", as(step.key)...); got.status != 200 {
			t.Errorf("with %q the key %s gives %d", step.content, step.key, got.status)
		}
		if h := decode[openai.Health](t, f.do(t, http.MethodGet, "/v1/health", "").body); h.Reason != step.health {
			t.Errorf("with %q health is %+v", step.content, h)
		}
		degraded := "gpt_oss_degraded 0\n"
		if step.health != "" {
			degraded = "gpt_oss_degraded 1\n"
		}
		if metrics := f.do(t, http.MethodGet, "/metrics", "").body; !strings.Contains(metrics, degraded) {
			t.Errorf("with %q the metrics do not have %s", step.content, degraded)
		}
	}
	var got []string
	for _, r := range f.records(t, &log) {
		if r.Kind == audit.KindKeysReloaded || r.Kind == audit.KindKeysUnreadable {
			got = append(got, string(r.Kind)+": "+r.Detail)
		}
	}
	want := []string{"keys_reloaded: 2 keys", "keys_unreadable: key file " + path + ": line 1 is not a key of visible ASCII characters", "keys_reloaded: 2 keys"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestBackgroundInTheAuditLog has a response that was made behind its request leave what it used, with who it was.
func TestBackgroundInTheAuditLog(t *testing.T) {
	var log bytes.Buffer
	g := says(hello)
	f := newFixture(t, g, func(c *Config) {
		c.Options.APIKeyFile, c.Stdout, c.Options.AuditLog = writeFile(t, teams), &log, "stdout"
	})
	if got := f.respond(t, `,"background":true`, as("a-1")...); got.status != 200 {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	eventually(t, func() (string, bool) { return "the response has not ended", f.responses.Running() == 0 })
	want := audit.Record{
		Time: at, Kind: audit.KindRequest, Detail: "background", RequestID: "req_test", CompletionID: "resp_test", Identity: "team-a", Auth: "key", From: "127.0.0.1",
		Model: "gpt-oss-demo", PromptTokens: len(g.request(t).Prompt), CompletionTokens: len(g.tokens), Outcome: "success", Status: 200, FinishReason: "stop",
	}
	var behind []audit.Record
	for _, r := range f.records(t, &log) {
		if r.Detail == "background" {
			behind = append(behind, r)
		} else if r.CompletionTokens > 0 {
			t.Errorf("the tokens are in another record, too: %+v", r)
		}
	}
	if diff := cmp.Diff([]audit.Record{want}, behind); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestResponsesBelongToIdentities has a stored response be there for all keys of its identity, and for nobody else.
func TestResponsesBelongToIdentities(t *testing.T) {
	var n atomic.Int64
	g := says(hello)
	f := newFixture(t, g, func(c *Config) {
		c.Options.APIKeyFile, c.Options.APIKeys = writeFile(t, teams), []string{"flag"}
		c.NewID = func(prefix string) string { return fmt.Sprint(prefix, n.Add(1)) }
	})
	id := decode[struct{ ID string }](t, f.respond(t, "", as("a-1")...).body).ID
	ways := map[string]func(key string) int{
		"retrieved": func(key string) int { return f.do(t, http.MethodGet, "/v1/responses/"+id, "", as(key)...).status },
		"continued": func(key string) int { return f.respond(t, `,"previous_response_id":"`+id+`"`, as(key)...).status },
		"read": func(key string) int {
			return f.do(t, http.MethodGet, "/v1/responses/"+id+"/input_items", "", as(key)...).status
		},
		"cancelled": func(key string) int {
			return f.do(t, http.MethodPost, "/v1/responses/"+id+"/cancel", "", as(key)...).status
		},
	}
	for name, way := range ways {
		own, others := way("a-2"), way("flag")
		wantOwn, wantOthers := 200, 404
		if name == "cancelled" { // it was not made in the background
			wantOwn = 400
		}
		if name == "continued" {
			wantOthers = 400
		}
		if own != wantOwn || others != wantOthers {
			t.Errorf("%s gives %d with another key of the identity and %d with that of another, want %d and %d", name, own, others, wantOwn, wantOthers)
		}
	}
	if got := f.do(t, http.MethodDelete, "/v1/responses/"+id, "", as("flag")...).status; got != 404 {
		t.Errorf("another identity's delete gives %d", got)
	}
	if got := f.do(t, http.MethodDelete, "/v1/responses/"+id, "", as("a-2")...).status; got != 200 {
		t.Errorf("its own delete gives %d", got)
	}
	if len(g.requests) != 2 || g.requests[0].Tenant != g.requests[1].Tenant {
		t.Error("the keys of an identity do not share its prefix cache")
	}
}

// TestTicketsCarryIdentities has a stream that was opened with a ticket be its key's: in its rights, its limits, its tenant
// and the audit log.
func TestTicketsCarryIdentities(t *testing.T) {
	path := writeFile(t, teams)
	var log bytes.Buffer
	var passed atomic.Int64
	g := says(hello)
	f := newFixture(t, g, func(c *Config) {
		c.Options.APIKeyFile, c.Stdout, c.Options.AuditLog = path, &log, "stdout"
		c.Now = func() time.Time { return at.Add(time.Duration(passed.Load())) }
	})
	mint := func(key string) reply { return f.do(t, http.MethodPost, "/v1/stream-tickets", "", as(key)...) }
	if got := mint("g-1"); got.status != 403 {
		t.Errorf("a ticket for who may not chat: %d", got.status)
	}
	open := func(ticket reply) reply {
		return f.do(t, http.MethodGet, eventSource("&prompt=hi&ticket="+decode[openai.StreamTicket](t, ticket.body).Ticket), "")
	}
	if got := open(mint("a-2")); got.status != 200 || got.header.Get("X-Ratelimit-Limit-Tokens") != "4000" {
		t.Fatalf("status %d, header %v: %s", got.status, got.header, got.body)
	}
	f.do(t, http.MethodPost, "/v1/chat/completions", ask(`,"max_tokens":500`), as("a-1")...)
	if len(g.requests) != 2 || g.requests[0].Tenant != g.requests[1].Tenant || g.requests[0].Tenant == "" {
		t.Error("the stream was not its identity's")
	}
	revoked := mint("a-2")
	if err := os.WriteFile(path, []byte(strings.Replace(teams, `"a-2"`, `"a-3"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	passed.Add(int64(time.Second))
	if got := open(revoked); got.status != 401 {
		t.Errorf("a ticket of a revoked key gives %d", got.status)
	}
	streams := 0
	for _, r := range f.records(t, &log) {
		if r.Method == http.MethodGet && r.Status == 200 {
			streams++
			if r.Identity != "team-a" || r.Auth != "key" || r.CompletionTokens == 0 {
				t.Errorf("the audit log has %+v", r)
			}
		}
	}
	if streams != 1 {
		t.Errorf("the audit log has %d streams", streams)
	}
}
