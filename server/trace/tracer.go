package trace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"

	"github.com/gptoss/gptoss-operator/engine"
)

// Config says where traces go and what they tell about the server.
type Config struct {
	// Endpoint is a URL such as http://collector:4318; empty leaves it to the environment.
	Endpoint       string
	Model, Version string
	Logger         *slog.Logger
}

// Tracer makes spans. A nil Tracer makes none.
type Tracer struct {
	provider   *sdk.TracerProvider
	tracer     api.Tracer
	propagator propagation.TextMapPropagator
	model      string
}

// Open returns nil where neither the configuration nor the environment names an endpoint.
func Open(ctx context.Context, c Config) (*Tracer, error) {
	named := os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	if (c.Endpoint == "" && !named) || os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return nil, nil
	}
	var to []otlptracehttp.Option
	if c.Endpoint != "" {
		whole, err := url.JoinPath(c.Endpoint, "v1/traces") // as the SDK does with OTEL_EXPORTER_OTLP_ENDPOINT
		if err != nil {
			return nil, fmt.Errorf("traces: %w", err)
		}
		to = append(to, otlptracehttp.WithEndpointURL(whole))
	}
	exporter, err := otlptracehttp.New(ctx, to...)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "gptoss-server"), attribute.String("service.version", c.Version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("traces: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { c.Logger.Warn("traces cannot be sent", "error", err.Error()) }))
	return newTracer(sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about)), c.Model), nil
}

func newTracer(p *sdk.TracerProvider, model string) *Tracer {
	return &Tracer{provider: p, tracer: p.Tracer("github.com/gptoss/gptoss-operator/server"), propagator: propagation.TraceContext{}, model: model}
}

// Close sends what is left, as long as ctx allows.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Span is that of a request. A nil Span does nothing.
type Span struct {
	tracer *Tracer
	ctx    context.Context //nolint:containedctx // the parent of the spans that End makes, not used for anything else
	span   api.Span
}

// Start begins the span of a request below the caller's, if it sent a traceparent.
func (t *Tracer) Start(r *http.Request, route string) *Span {
	if t == nil {
		return nil
	}
	parent := t.propagator.Extract(context.WithoutCancel(r.Context()), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(parent, r.Method+" "+route, api.WithSpanKind(api.SpanKindServer), api.WithAttributes(
		attribute.String("http.request.method", r.Method), attribute.String("http.route", route),
		attribute.String("network.protocol.version", r.Proto[min(len("HTTP/"), len(r.Proto)):]),
	))
	return &Span{tracer: t, ctx: ctx, span: span}
}

// ID is the trace's, "" where it is not recorded.
func (s *Span) ID() string {
	if s == nil || !s.span.SpanContext().IsSampled() {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// Sequence is one answer that the engine has worked on.
type Sequence struct {
	engine.Timing
	PromptTokens, CachedTokens, MaxTokens int
	Temperature, TopP                     float64
	FinishReason                          string
}

// End ends the span. Those of the sequences are made now, with the times at which they were there.
func (s *Span) End(status int, requestID, completionID string, sequences []Sequence) {
	if s == nil {
		return
	}
	defer s.span.End()
	s.span.SetAttributes(attribute.Int("http.response.status_code", status), attribute.String("gptoss.request_id", requestID))
	if status >= http.StatusInternalServerError {
		s.span.SetStatus(codes.Error, http.StatusText(status))
		s.span.SetAttributes(attribute.String("error.type", fmt.Sprint(status)))
	}
	if len(sequences) == 0 || !s.span.IsRecording() {
		return
	}
	s.span.SetAttributes(s.tracer.attributes(completionID, sequences)...)
	for i := range sequences {
		s.stations(i, &sequences[i])
	}
}

// attributes are those of https://opentelemetry.io/docs/specs/semconv/gen-ai/ that hold no content. Several sequences of one
// request share the prompt.
func (t *Tracer) attributes(completionID string, sequences []Sequence) []attribute.KeyValue {
	first := &sequences[0]
	generated, reasons := 0, make([]string, len(sequences))
	for i := range sequences {
		generated += sequences[i].Tokens
		reasons[i] = sequences[i].FinishReason
	}
	out := []attribute.KeyValue{
		attribute.String("gen_ai.operation.name", "chat"),
		attribute.String("gen_ai.provider.name", "gptoss"),
		attribute.String("gen_ai.request.model", t.model),
		attribute.String("gen_ai.response.model", t.model),
		attribute.Int("gen_ai.request.max_tokens", first.MaxTokens),
		attribute.Float64("gen_ai.request.temperature", first.Temperature),
		attribute.Float64("gen_ai.request.top_p", first.TopP),
		attribute.Int("gen_ai.usage.input_tokens", first.PromptTokens),
		attribute.Int("gen_ai.usage.cache_read.input_tokens", first.CachedTokens),
		attribute.Int("gen_ai.usage.output_tokens", generated),
		attribute.StringSlice("gen_ai.response.finish_reasons", reasons),
	}
	if completionID != "" {
		out = append(out, attribute.String("gen_ai.response.id", completionID))
	}
	if len(sequences) > 1 {
		out = append(out, attribute.Int("gen_ai.request.choice.count", len(sequences)))
	}
	return out
}

// stations makes the spans of a sequence, as far as it got.
func (s *Span) stations(index int, q *Sequence) {
	span := func(name string, from, to time.Time, more ...attribute.KeyValue) {
		if from.IsZero() || to.Before(from) {
			return
		}
		more = append(more, attribute.Int("gptoss.choice", index))
		_, station := s.tracer.tracer.Start(s.ctx, name, api.WithTimestamp(from), api.WithAttributes(more...))
		station.End(api.WithTimestamp(to))
	}
	span("queue", q.Queued, q.Began)
	span("prefill", q.Began, q.First, attribute.Int("gen_ai.usage.input_tokens", q.PromptTokens), attribute.Int("gen_ai.usage.cache_read.input_tokens", q.CachedTokens))
	span("decode", q.First, q.Last, attribute.Int("gen_ai.usage.output_tokens", q.Tokens))
}
