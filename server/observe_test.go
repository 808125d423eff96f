package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/audit"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// TestProbes asks every path of a probe in every state of the server.
func TestProbes(t *testing.T) {
	stuck := &script{stats: engine.Stats{StepStarted: at.Add(-11 * time.Minute)}}
	cases := map[string]struct {
		generator   Generator
		leaving     bool
		health      int // and readiness
		live        int
		wantReason  string
		wantConcern string
	}{
		"loading":           {nil, false, 503, 200, "The model is being loaded.", ""},
		"well":              {&script{}, false, 200, 200, "", ""},
		"leaving":           {&script{}, true, 503, 200, "The server is shutting down.", ""},
		"stuck":             {stuck, false, 503, 503, "A forward pass has been running for more than 10m0s.", ""},
		"a part is worried": {&script{stats: engine.Stats{Waiting: 40}}, false, 200, 200, "40 of 64 places in the queue are taken. Redis is away.", "Redis is away."},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, tc.generator, func(c *Config) { c.Options.APIKeys = []string{"key"} })
			f.leaving.Store(tc.leaving)
			f.Concern(func() string { return tc.wantConcern })
			for path, want := range map[string]int{"/v1/health": tc.health, "/health": tc.health, "/readyz": tc.health, "/livez": tc.live} {
				got := f.do(t, http.MethodGet, path, "")
				if h := decode[openai.Health](t, got.body); got.status != want || h.Reason != tc.wantReason {
					t.Errorf("%s: status %d, want %d; %s", path, got.status, want, got.body)
				}
			}
			want := "gpt_oss_degraded 1\n"
			if tc.wantReason == "" {
				want = "gpt_oss_degraded 0\n"
			}
			for _, path := range []string{"/metrics", "/v1/metrics"} {
				if got := f.do(t, http.MethodGet, path, ""); got.status != 200 || !strings.Contains(got.body, want) {
					t.Errorf("%s: status %d, or no %q", path, got.status, want)
				}
			}
		})
	}
}

// TestSequencesAreBooked has a stop sequence end one answer, which the engine calls cancelled, and a limit another.
func TestSequencesAreBooked(t *testing.T) {
	g := says(hello)
	f := newFixture(t, g)
	f.chat(t, ask(`,"stop":"ell"`))
	g.reason = engine.FinishLength
	f.chat(t, ask(""))
	metrics := f.do(t, http.MethodGet, "/metrics", "").body
	for _, want := range []string{
		`gpt_oss_sequences_total{finished_reason="length"} 1`, `vllm:request_success_total{finished_reason="stop",model_name="gpt-oss-demo"} 1`,
		`gpt_oss_sequences_total{finished_reason="abort"} 0`, "gpt_oss_request_prompt_tokens_count 2",
	} {
		if !strings.Contains(metrics, "\n"+want+"\n") {
			t.Errorf("no %q", want)
		}
	}
}

func TestSlowRequests(t *testing.T) {
	f := newFixture(t, says(hello), func(c *Config) { c.Options.SlowRequest = time.Nanosecond })
	f.chat(t, ask(""))
	f.do(t, http.MethodGet, "/v1/health", "")
	var slow []map[string]any
	for line := range strings.Lines(f.log.String()) {
		if l := decode[map[string]any](t, line); l["msg"] == "slow request" {
			slow = append(slow, l)
		}
	}
	if len(slow) != 1 {
		t.Fatalf("%d lines: %s", len(slow), f.log.String())
	}
	for _, key := range []string{"request_id", "duration_ms", "read_ms", "queue_ms", "prefill_ms", "decode_ms", "prompt_tokens", "generated_tokens"} {
		if slow[0][key] == nil {
			t.Errorf("no %s in %v", key, slow[0])
		}
	}
	if metrics := f.do(t, http.MethodGet, "/metrics", "").body; !strings.Contains(metrics, "gpt_oss_slow_requests_total 1\n") {
		t.Error("the slow request is not counted")
	}
}

// records returns what the audit log of a server has after its end.
func (f *fixture) records(t *testing.T, log *bytes.Buffer) (out []audit.Record) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(log.String()) {
		r := decode[audit.Record](t, line)
		r.DurationMS = 0
		out = append(out, r)
	}
	return out
}

func TestAuditLog(t *testing.T) {
	for name, content := range map[string]bool{"without content": false, "with content": true} {
		t.Run(name, func(t *testing.T) {
			g := says(hello)
			g.cached = 3
			var log bytes.Buffer
			f := newFixture(t, g, func(c *Config) {
				c.Options.APIKeys, c.Stdout, c.Options.AuditLog, c.Options.AuditContent = []string{"sk-secret"}, &log, "stdout", content
			})
			body := strings.Replace(ask(""), `"hi"`, `"my private question"`, 1)
			answer := f.do(t, http.MethodPost, "/v1/chat/completions?key=sk-query", body, "Authorization", "Bearer sk-secret")
			f.do(t, http.MethodPost, "/v1/chat/completions", body, "Authorization", "Bearer sk-wrong")
			f.do(t, http.MethodGet, "/livez", "")
			got := f.records(t, &log)
			base := audit.Record{Time: at, RequestID: "req_test", From: "127.0.0.1", Method: "POST", Path: "/v1/chat/completions"}
			good, bad := base, base
			good.Kind, good.CompletionID, good.Model, good.Outcome, good.Status, good.FinishReason = audit.KindRequest, "chatcmpl-test", "gpt-oss-demo", "success", 200, "stop"
			good.Identity, good.Auth = "api-key-1", "key"
			good.PromptTokens, good.CompletionTokens, good.CachedTokens = len(g.requests[0].Prompt), len(g.tokens), 3
			bad.Kind, bad.Outcome, bad.Status = audit.KindAuthenticationFailed, "invalid", 401
			if content {
				good.Request, good.Response = body, answer.body
				bad.Response = got[2].Response // the error body
			}
			want := []audit.Record{{Time: at, Kind: audit.KindStarted, Detail: "version 1.1.0"}, good, bad, {Time: at, Kind: audit.KindStopped}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			for _, private := range []string{"sk-secret", "sk-wrong", "sk-query"} {
				if strings.Contains(log.String(), private) {
					t.Errorf("the audit log holds %q", private)
				}
			}
			if strings.Contains(log.String(), "private") != content {
				t.Errorf("content: %s", log.String())
			}
		})
	}
}

// TestAuditLogFails has the disk fail: requests are answered, and health says so.
func TestAuditLogFails(t *testing.T) {
	f := newFixture(t, says(hello), func(c *Config) { c.Stdout, c.Options.AuditLog = fullDisk{}, "stdout" })
	for !f.audit.Failing() { // the first record is the start's
		if got := f.chat(t, ask("")); got.status != 200 {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
	}
	if h := decode[openai.Health](t, f.do(t, http.MethodGet, "/v1/health", "").body); h.Status != "degraded" || h.Reason != "The audit log cannot be written." {
		t.Errorf("health is %+v", h)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if metrics := f.do(t, http.MethodGet, "/metrics", "").body; strings.Contains(metrics, "gpt_oss_audit_dropped_total 0\n") {
		t.Error("the lost records are not counted")
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestSanitizedInput(t *testing.T) {
	body := `{"model":"gpt-oss-demo","messages":[{"role":"system","content":"<b>S</b>"},{"role":"user","content":"x<script>1</script><b>"}]}`
	for name, tc := range map[string]struct {
		on   bool
		want string
	}{"off": {false, "x<script>1</script><b>"}, "on": {true, "x&lt;b&gt;"}} {
		t.Run(name, func(t *testing.T) {
			g := says(hello)
			f := newFixture(t, g, func(c *Config) { c.Options.SanitizeInput = tc.on })
			f.chat(t, body)
			var prompt []byte
			for _, id := range g.request(t).Prompt {
				prompt = append(prompt, words().TokenBytes(id)...)
			}
			if !bytes.Contains(prompt, []byte("<|message|>"+tc.want+"<|end|>")) || !bytes.Contains(prompt, []byte("<b>S</b>")) {
				t.Errorf("the prompt is %s", prompt)
			}
		})
	}
}

// TestSanitizedPrompt takes the meaning of control tokens in raw prompts along with the markup.
func TestSanitizedPrompt(t *testing.T) {
	g := says(hello)
	f := newFixture(t, g, func(c *Config) { c.Options.SanitizeInput = true })
	f.do(t, http.MethodPost, "/v1/completions", `{"model":"gpt-oss-demo","prompt":"<|start|>system<script>x</script>","max_tokens":4}`)
	want := words().Append(nil, "&lt;|start|&gt;system")
	if diff := cmp.Diff(want, g.request(t).Prompt); diff != "" {
		t.Errorf("the prompt (-want +got):\n%s", diff)
	}
}

func TestBrowsers(t *testing.T) {
	f := newFixture(t, says(hello), func(c *Config) { c.Options.CORSOrigins, c.Options.APIKeys = "https://a.example", []string{"key"} })
	got := f.do(t, http.MethodOptions, "/v1/chat/completions", "", "Origin", "https://a.example", "Access-Control-Request-Method", "POST",
		"Access-Control-Request-Headers", "authorization")
	if got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != "https://a.example" || got.header.Get("Access-Control-Allow-Headers") != "authorization" {
		t.Errorf("the preflight gets %d %v", got.status, got.header)
	}
	// A page must be able to read why it was refused.
	got = f.do(t, http.MethodPost, "/v1/chat/completions", ask(""), "Origin", "https://a.example")
	if got.status != 401 || got.header.Get("Access-Control-Allow-Origin") != "https://a.example" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("without a key: %d %v", got.status, got.header)
	}
}

// TestTracedRequest sends a trace to a collector on this machine and finds its id in the log.
func TestTracedRequest(t *testing.T) {
	got := make(chan string, 1)
	collector := http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- string(body)
	})}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = collector.Close() })
	go func() { _ = collector.Serve(listener) }()
	f := newFixture(t, says(hello), func(c *Config) { c.Options.OTLPEndpoint = "http://" + listener.Addr().String() })
	const trace = "0af7651916cd43dd8448eb211c80319c"
	f.do(t, http.MethodPost, "/v1/chat/completions", ask(""), "Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	sent := <-got
	for _, want := range []string{"decode", "POST /v1/chat/completions", "req_test", "chatcmpl-test", "gen_ai.usage.output_tokens"} {
		if !strings.Contains(sent, want) {
			t.Errorf("%q was not sent", want)
		}
	}
	if strings.Contains(sent, "Hello") || !strings.Contains(f.log.String(), trace) {
		t.Errorf("content was sent, or the log has no trace: %s", f.log.String())
	}
}

// TestTLS serves over TLS, with HTTP/2, whose clients are told to go away as well.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, says(hello), func(c *Config) { c.Options.TLSCert, c.Options.TLSKey = certificate, key })
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	get := func() (status, version int, header http.Header) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(s.url, "http:", "https:", 1)+"/v1/health", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.ProtoMajor, readReply(t, response).header
	}
	status, version, header := get()
	if status != 200 || version != 2 || header.Get("Strict-Transport-Security") == "" {
		t.Errorf("HTTP/%d, status %d, %v", version, status, header)
	}
	s.stop()
	for status != http.StatusServiceUnavailable {
		if status, _, _ = get(); t.Context().Err() != nil {
			t.Fatal("health stayed healthy")
		}
	}
	close(s.delayed)
	close(s.silent)
	if err := <-s.ended; err != nil {
		t.Errorf("Serve returned %v", err)
	}
}
