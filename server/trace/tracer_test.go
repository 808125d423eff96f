package trace

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/gptoss/gptoss-operator/engine"
)

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	callersSpan  = "b7ad6b7169203331"
)

// sequence waited for one second, was prefilled for two and decoded for three.
func sequence() Sequence {
	at := time.Unix(1e9, 0)
	return Sequence{
		Timing:       engine.Timing{Queued: at, Began: at.Add(time.Second), First: at.Add(3 * time.Second), Last: at.Add(6 * time.Second), Tokens: 7},
		PromptTokens: 50, CachedTokens: 16, MaxTokens: 100, Temperature: 0.5, TopP: 0.75, FinishReason: "stop",
	}
}

func request(t *testing.T, traceparent string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions?key=secret", strings.NewReader("private"))
	if traceparent != "" {
		r.Header.Set("Traceparent", traceparent)
	}
	return r
}

func TestSpans(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracer := newTracer(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)), "gpt-oss-20b")
	s := tracer.Start(request(t, "00-"+callersTrace+"-"+callersSpan+"-01"), "/v1/chat/completions")
	if s.ID() != callersTrace {
		t.Errorf("the trace is %s", s.ID())
	}
	waiting := Sequence{Timing: engine.Timing{Queued: time.Unix(1e9, 0)}, FinishReason: "abort"}
	s.End(200, "req_1", "chatcmpl-1", []Sequence{sequence(), waiting})
	lengths, attributes := map[string]time.Duration{}, map[string]any{}
	for _, span := range spans.Ended() {
		if span.SpanContext().TraceID().String() != callersTrace {
			t.Errorf("%s is in the trace %s", span.Name(), span.SpanContext().TraceID())
		}
		if span.Name() != "POST /v1/chat/completions" {
			lengths[span.Name()] = span.EndTime().Sub(span.StartTime())
			continue
		}
		if got := span.Parent().SpanID().String(); got != callersSpan {
			t.Errorf("the request's parent is %s", got)
		}
		for _, a := range span.Attributes() {
			attributes[string(a.Key)] = a.Value.AsInterface()
		}
	}
	if diff := cmp.Diff(map[string]time.Duration{"queue": time.Second, "prefill": 2 * time.Second, "decode": 3 * time.Second}, lengths); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	want := map[string]any{
		"http.request.method": "POST", "http.route": "/v1/chat/completions", "network.protocol.version": "1.1", "http.response.status_code": int64(200),
		"gptoss.request_id": "req_1", "gen_ai.operation.name": "chat", "gen_ai.provider.name": "gptoss", "gen_ai.request.model": "gpt-oss-20b",
		"gen_ai.response.model": "gpt-oss-20b", "gen_ai.request.max_tokens": int64(100), "gen_ai.request.temperature": 0.5, "gen_ai.request.top_p": 0.75,
		"gen_ai.usage.input_tokens": int64(50), "gen_ai.usage.cache_read.input_tokens": int64(16), "gen_ai.usage.output_tokens": int64(7),
		"gen_ai.response.finish_reasons": []string{"stop", "abort"}, "gen_ai.response.id": "chatcmpl-1", "gen_ai.request.choice.count": int64(2),
	}
	if diff := cmp.Diff(want, attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

func TestFailureAndNoSampling(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracer := newTracer(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)), "m")
	tracer.Start(request(t, "nonsense"), "/v1/models").End(503, "r", "", nil)
	if ended := spans.Ended(); len(ended) != 1 || ended[0].Status().Code != codes.Error || ended[0].Parent().IsValid() {
		t.Errorf("spans %v", ended)
	}
	s := tracer.Start(request(t, "00-"+callersTrace+"-"+callersSpan+"-00"), "/v1/models")
	if s.End(200, "r", "c", []Sequence{sequence()}); s.ID() != "" || len(spans.Ended()) != 1 {
		t.Error("the caller said that its trace is not sampled")
	}
}

// TestExport sends to a collector on this machine.
func TestExport(t *testing.T) {
	got := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- r.URL.Path + " " + string(body)
	}))
	defer collector.Close()
	tracer, err := Open(t.Context(), Config{Endpoint: collector.URL, Model: "gpt-oss-20b", Version: "1.1.0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tracer.Start(request(t, ""), "/v1/chat/completions").End(200, "req_7", "c", []Sequence{sequence()})
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := <-got
	for _, want := range []string{"/v1/traces ", "gptoss-server", "1.1.0", "prefill", "req_7", "gpt-oss-20b"} {
		if !strings.Contains(sent, want) {
			t.Errorf("%q was not sent", want)
		}
	}
	if strings.Contains(sent, "secret") || strings.Contains(sent, "private") {
		t.Error("content was sent")
	}
}

func TestNobodyAskedForTraces(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	tracer, err := Open(t.Context(), Config{})
	if tracer != nil || err != nil {
		t.Fatalf("got %v, %v", tracer, err)
	}
	s := tracer.Start(request(t, ""), "/")
	s.End(200, "", "", nil)
	if s.ID() != "" || tracer.Close(t.Context()) != nil {
		t.Error("a span that is not there has an id")
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_SDK_DISABLED", "true")
	if tracer, err := Open(t.Context(), Config{}); tracer != nil || err != nil {
		t.Errorf("with the SDK disabled: %v, %v", tracer, err)
	}
}
