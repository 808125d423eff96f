package server

import (
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

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/openai"
)

func TestModels(t *testing.T) {
	f := newFixture(t, says(hello), func(c *Config) { c.Options.ServedModelName = "gpt-oss-20b" })
	got := f.do(t, http.MethodGet, "/v1/models", "")
	want := `{"object":"list","data":[{"id":"gpt-oss-20b","object":"model","created":1746627633,"owned_by":"openai-community","permission":[],` +
		`"root":"gpt-oss-20b","parent":null,"max_input_tokens":4096,"architecture":"sparse-transformer",` +
		`"active_parameters":3608307264,"total_parameters":20914757184}]}` + "\n"
	if got.status != 200 || got.body != want {
		t.Errorf("status %d\ngot  %s\nwant %s", got.status, got.body, want)
	}
}

func TestHealth(t *testing.T) {
	cases := map[string]struct {
		generator  Generator
		leaving    bool
		wantStatus int
		want       string
	}{
		"no model yet":     {nil, false, 503, "unavailable"},
		"idle":             {&script{}, false, 200, "healthy"},
		"half a queue":     {&script{stats: engine.Stats{Waiting: 32}}, false, 200, "healthy"},
		"a long queue":     {&script{stats: engine.Stats{Waiting: 33}}, false, 200, "degraded"},
		"a long step":      {&script{stats: engine.Stats{StepStarted: at.Add(-9 * time.Minute)}}, false, 200, "healthy"},
		"a stuck step":     {&script{stats: engine.Stats{StepStarted: at.Add(-11 * time.Minute)}}, false, 503, "unavailable"},
		"on the way down":  {&script{}, true, 503, "unavailable"},
		"down, no model":   {nil, true, 503, "unavailable"},
		"down, long queue": {&script{stats: engine.Stats{Waiting: 64}}, true, 503, "unavailable"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, tc.generator, func(c *Config) { c.Options.APIKeys = []string{"key"} })
			f.leaving.Store(tc.leaving)
			got := f.do(t, http.MethodGet, "/v1/health", "")
			health := decode[openai.Health](t, got.body)
			if health.MemoryUsageGB <= 0 || health.MemoryUsageGB > 64 {
				t.Errorf("memory %v GB", health.MemoryUsageGB)
			}
			if (health.Reason == "") != (tc.want == "healthy") {
				t.Errorf("the reason is %q", health.Reason)
			}
			health.MemoryUsageGB, health.Reason = 0, ""
			want := openai.Health{Status: tc.want, Model: "gpt-oss-demo", Version: "1.1.0", Timestamp: "2025-05-07T14:20:33Z"}
			if diff := cmp.Diff(want, health); diff != "" || got.status != tc.wantStatus {
				t.Errorf("status %d (-want,+got):\n%s", got.status, diff)
			}
		})
	}
}

func TestNotReady(t *testing.T) {
	f := newFixture(t, nil)
	for _, got := range []reply{f.chat(t, ask("")), f.do(t, http.MethodGet, "/v1/models", "")} {
		if e := got.error(t); e.Status != 503 || *e.Code != openai.CodeModelNotLoaded || e.Type != openai.TypeUnavailable || got.header.Get("Retry-After") != "1" {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	}
	if got := f.do(t, http.MethodGet, "/v1/metrics", ""); got.status != 200 {
		t.Errorf("metrics: status %d", got.status)
	}
}

func TestRoutes(t *testing.T) {
	cases := map[string]struct {
		method, path string
		status       int
		code, allow  string
	}{
		"unknown below /v1": {http.MethodGet, "/v1/embeddings", 404, openai.CodeNotFound, ""},
		"unknown elsewhere": {http.MethodPost, "/x", 404, openai.CodeNotFound, ""},
		"put a completion":  {http.MethodPut, "/v1/chat/completions", 405, openai.CodeMethodNotAllowed, "GET, HEAD, POST"},
		"get, not a stream": {http.MethodGet, "/v1/chat/completions", 400, openai.CodeInvalidValue, ""},
		"post to models":    {http.MethodPost, "/v1/models", 405, openai.CodeMethodNotAllowed, "GET, HEAD"},
		"delete health":     {http.MethodDelete, "/v1/health", 405, openai.CodeMethodNotAllowed, "GET, HEAD"},
	}
	f := newFixture(t, &script{})
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := f.do(t, tc.method, tc.path, "")
			if e := got.error(t); e.Status != tc.status || *e.Code != tc.code || got.header.Get("Allow") != tc.allow {
				t.Errorf("status %d, Allow %q: %s", got.status, got.header.Get("Allow"), got.body)
			}
		})
	}
	if got := f.do(t, http.MethodHead, "/v1/health", ""); got.status != 200 || got.body != "" {
		t.Errorf("HEAD: status %d, body %q", got.status, got.body)
	}
}

func TestRequestID(t *testing.T) {
	cases := map[string]struct{ sent, want string }{
		"none":             {"", "req_test"},
		"the client's":     {"abc-1_2.3:4", "abc-1_2.3:4"},
		"with a space":     {"a b", "req_test"},
		"not ASCII":        {"é", "req_test"},
		"endless":          {strings.Repeat("a", 129), "req_test"},
		"just short of it": {strings.Repeat("a", 128), strings.Repeat("a", 128)},
	}
	f := newFixture(t, &script{})
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := f.do(t, http.MethodGet, "/v1/models", "", "X-Request-Id", tc.sent).header.Get("X-Request-Id"); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAccessLog(t *testing.T) {
	f := newFixture(t, says(hello), func(c *Config) { c.Options.APIKeys = []string{"sk-secret"} })
	body := strings.Replace(ask(""), `"hi"`, `"my private question"`, 1)
	f.do(t, http.MethodPost, "/v1/chat/completions?key=sk-secret", body, "Authorization", "Bearer sk-secret")
	f.do(t, http.MethodPost, "/v1/chat/completions", body, "Authorization", "Bearer sk-wrong")
	log := f.log.String()
	for _, private := range []string{"private", "Hello", "Hm.", "sk-secret", "sk-wrong"} {
		if strings.Contains(log, private) {
			t.Errorf("the log holds %q: %s", private, log)
		}
	}
	lines := strings.Split(strings.TrimSpace(log), "\n")
	first := decode[map[string]any](t, lines[0])
	for key, want := range map[string]any{
		"msg": "request", "request_id": "req_test", "completion_id": "chatcmpl-test", "status": 200.0, "path": "/v1/chat/completions",
		"finish_reason": "stop", "remote": "127.0.0.1",
	} {
		if first[key] != want {
			t.Errorf("%s is %v, want %v", key, first[key], want)
		}
	}
	if second := decode[map[string]any](t, lines[1]); second["status"] != 401.0 || second["completion_id"] != nil {
		t.Errorf("the second line is %s", lines[1])
	}
}

func TestPanicIsAnswered(t *testing.T) {
	f := newFixture(t, &script{panics: true})
	for range 2 { // the second finds the process alive
		if e := f.chat(t, ask("")).error(t); e.Status != 500 || *e.Code != openai.CodeInternal || strings.Contains(e.Message, "broken") {
			t.Errorf("got %+v", e)
		}
	}
	if log := f.log.String(); !strings.Contains(log, "the generator is broken") || !strings.Contains(log, "kit_test.go") {
		t.Errorf("the log is %s", log)
	}
	metrics := f.do(t, http.MethodGet, "/v1/metrics", "").body
	for _, want := range []string{"gpt_oss_panics_total 2\n", `gpt_oss_request_count{status="error"} 2` + "\n", "gpt_oss_active_requests 0\n"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
}

// TestPanicInTheMiddleTearsTheConnection makes sure that half an answer is not taken for a whole one.
func TestPanicInTheMiddleTearsTheConnection(t *testing.T) {
	f := newFixture(t, &script{})
	web := httptest.NewServer(f.observe(f.recoverPanics(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush()
		panic("no more")
	}))))
	defer web.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got, err := io.ReadAll(response.Body); string(got) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestMetrics(t *testing.T) {
	now := at
	g := says(hello)
	f := newFixture(t, g, func(c *Config) {
		c.Now = func() time.Time { now = now.Add(50 * time.Millisecond); return now }
		c.Options.APIKeys = []string{"key"}
	})
	f.do(t, http.MethodPost, "/v1/chat/completions", ask(""), "Authorization", "Bearer key")
	f.do(t, http.MethodPost, "/v1/chat/completions", ask(`,"stream":true`), "Authorization", "Bearer key")
	f.do(t, http.MethodPost, "/v1/chat/completions", ask(`,"n":99`), "Authorization", "Bearer key")
	got := f.do(t, http.MethodGet, "/v1/metrics", "")
	prompt := len(g.requests[0].Prompt)
	for _, want := range []string{
		`gpt_oss_request_count{status="success"} 2`, `gpt_oss_request_count{status="invalid"} 1`, "gpt_oss_active_requests 0",
		"gpt_oss_avg_latency_ms ", "gpt_oss_queued_requests 0", fmt.Sprintf("gpt_oss_prompt_tokens_total %d", 2*prompt),
		fmt.Sprintf("gpt_oss_completion_tokens_total %d", 2*len(g.tokens)), "gpt_oss_request_duration_seconds_count 2",
		"gpt_oss_time_to_first_token_seconds_count 2", "go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(got.body, "\n"+want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(got.body, "gpt_oss_avg_latency_ms 0\n") || strings.Contains(got.body, "gpu_utilization_percent") {
		t.Error("the latency is 0, or there is a GPU")
	}
}

func TestOutcome(t *testing.T) {
	for status, want := range map[int]string{
		0: outcomeSuccess, 200: outcomeSuccess, 400: outcomeInvalid, 404: outcomeInvalid, 429: outcomeRejected,
		499: outcomeCancelled, 500: outcomeError, 503: outcomeUnavailable,
	} {
		if got := outcome(status); got != want {
			t.Errorf("outcome(%d) = %s, want %s", status, got, want)
		}
	}
}

func TestRandomIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		seen[randomID("chatcmpl-")] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different ids of 1000", len(seen))
	}
	for id := range seen {
		if !strings.HasPrefix(id, "chatcmpl-") || !validRequestID(id) || len(id) < 30 {
			t.Errorf("id %q", id)
		}
		if _, err := json.Marshal(id); err != nil {
			t.Error(err)
		}
	}
}
