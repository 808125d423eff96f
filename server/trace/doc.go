// Package trace sends OpenTelemetry traces over OTLP/HTTP where an endpoint is configured: a span for each request and,
// below it, one each for the time that a sequence waited, was prefilled and was decoded, with the attributes of the
// conventions for generative models. The caller's traceparent is honoured. Prompts and answers are never part of a span.
//
// What the OpenTelemetry SDK reads from the environment works: OTEL_EXPORTER_OTLP_ENDPOINT, …_HEADERS, …_TIMEOUT,
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_SDK_DISABLED. Spans leave in batches from a
// bounded queue; a collector that is down costs spans and a warning, nothing else.
package trace
