package server

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/audit"
	"github.com/gptoss/gptoss-operator/server/metric"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/sanitize"
	"github.com/gptoss/gptoss-operator/server/trace"
)

// Outcomes of completion requests: the values of gpt_oss_request_count's label.
const (
	outcomeSuccess     = "success"
	outcomeInvalid     = "invalid"     // 400, 404
	outcomeRejected    = "rejected"    // 429
	outcomeUnavailable = "unavailable" // 503
	outcomeCancelled   = "cancelled"   // the client left
	outcomeError       = "error"       // 500, or a stream that ended with an error
)

// serveMetrics answers GET /metrics.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	s.metrics.ServeHTTP(w, r)
	return nil
}

// outcome names what a status means for gpt_oss_request_count.
func outcome(status int) string {
	switch {
	case status == statusClientGone:
		return outcomeCancelled
	case status == http.StatusTooManyRequests:
		return outcomeRejected
	case status == http.StatusServiceUnavailable:
		return outcomeUnavailable
	case status >= 500:
		return outcomeError
	case status >= 400:
		return outcomeInvalid
	}
	return outcomeSuccess
}

// exchange is a request and what became of it.
type exchange struct {
	*note
	request  *http.Request
	recorder recorder
	start    time.Time
	probe    bool
	span     *trace.Span

	sent, response audit.Body // where the audit log shall have content

	// Of the end.
	code      int
	took      time.Duration
	sequences []trace.Sequence
}

// book tells metrics, traces and logs of a request that has ended.
func (s *Server) book(e *exchange) {
	e.took = time.Since(e.start)
	if e.code = e.recorder.status; e.status != 0 {
		e.code = e.status
	}
	e.sequences = e.begun.ended(e.code)
	for _, q := range e.sequences {
		s.metrics.Ended(metric.Sequence{
			Timing: q.Timing, PromptTokens: q.PromptTokens, CachedTokens: q.CachedTokens, Reason: metric.Reason(q.FinishReason),
		})
	}
	e.span.End(e.code, e.requestID, e.completionID, e.sequences)
	s.logAccess(e)
	if !e.probe {
		s.logSlow(e)
	}
	if !e.probe || e.code == http.StatusUnauthorized || e.code == http.StatusForbidden { // of protected metrics
		s.record(e)
	}
}

// logAccess writes one line. Probes and scrapes come every few seconds, so they are logged at debug level. The query is
// left out: some clients put keys there.
func (s *Server) logAccess(e *exchange) {
	level := slog.LevelInfo
	if e.probe {
		level = slog.LevelDebug
	}
	r := e.request
	attrs := []slog.Attr{
		slog.String("request_id", e.requestID), slog.String("method", clip(r.Method, 32)), slog.String("path", clip(r.URL.Path, 256)),
		slog.Int("status", e.code), slog.Int64("bytes", e.recorder.bytes), slog.Float64("duration_ms", milliseconds(e.took)),
		slog.String("remote", s.clientAddress(r)),
	}
	if e.completionID != "" {
		attrs = append(attrs, slog.String("completion_id", e.completionID), slog.String("finish_reason", string(e.finish)),
			slog.Int("prompt_tokens", e.usage.PromptTokens), slog.Int("completion_tokens", e.usage.CompletionTokens))
	}
	if id := e.span.ID(); id != "" {
		attrs = append(attrs, slog.String("trace_id", id))
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
}

// logSlow tells where the time of a slow request went. Of several sequences it shows the one that ended last.
func (s *Server) logSlow(e *exchange) {
	if s.options.SlowRequest == 0 || e.took < s.options.SlowRequest {
		return
	}
	s.metrics.Slow.Inc()
	attrs := []slog.Attr{
		slog.String("request_id", e.requestID), slog.String("path", clip(e.request.URL.Path, 256)), slog.Int("status", e.code),
		slog.Float64("duration_ms", milliseconds(e.took)), slog.Int64("bytes", e.recorder.bytes),
		slog.String("identity", e.name()), slog.String("trace_id", e.span.ID()),
	}
	var last *trace.Sequence
	for i := range e.sequences {
		if q := &e.sequences[i]; last == nil || q.Last.After(last.Last) {
			last = q
		}
	}
	if last != nil {
		attrs = append(attrs, slog.Int("sequences", len(e.sequences)),
			slog.Float64("read_ms", milliseconds(last.Queued.Sub(e.start))),
			slog.Float64("queue_ms", between(last.Queued, last.Began)), slog.Float64("prefill_ms", between(last.Began, last.First)),
			slog.Float64("decode_ms", between(last.First, last.Last)),
			slog.Int("prompt_tokens", last.PromptTokens), slog.Int("cached_tokens", last.CachedTokens), slog.Int("generated_tokens", last.Tokens))
	}
	s.log.LogAttrs(e.request.Context(), slog.LevelWarn, "slow request", attrs...)
}

// between is 0 where one of the stations was not reached.
func between(from, to time.Time) float64 {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return milliseconds(to.Sub(from))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// record writes the audit record.
func (s *Server) record(e *exchange) {
	if s.audit == nil {
		return
	}
	kind := audit.KindRequest
	switch e.code {
	case http.StatusUnauthorized:
		kind = audit.KindAuthenticationFailed
	case http.StatusForbidden:
		kind = audit.KindPermissionDenied
	}
	r := audit.Record{
		Time: s.now().UTC(), Kind: kind, RequestID: e.requestID, CompletionID: e.completionID, TraceID: e.span.ID(),
		Identity: e.name(), Auth: e.auth(), From: s.clientAddress(e.request), Method: clip(e.request.Method, 32), Path: clip(e.request.URL.Path, 256), Model: clip(e.model, 128),
		PromptTokens: e.usage.PromptTokens, CompletionTokens: e.usage.CompletionTokens, CachedTokens: e.usage.PromptTokensDetails.CachedTokens,
		Outcome: outcome(e.code), Status: e.code, FinishReason: string(e.finish), DurationMS: milliseconds(e.took),
	}
	if r.Model == "" && len(e.sequences) > 0 {
		r.Model = s.options.ModelName()
	}
	if s.options.AuditContent {
		r.Request, r.Response, r.Clipped = e.sent.String(), e.response.String(), e.sent.Clipped || e.response.Clipped
	}
	s.audit.Record(r)
}

// recordBackground writes the audit record of a response that was made behind its request. The request has one of its own,
// which was written before there were tokens to count.
func (s *Server) recordBackground(ctx context.Context, j *job, start time.Time, err error) {
	n, ok := ctx.Value(noteKey{}).(*note)
	if !ok || s.audit == nil {
		return
	}
	status := http.StatusOK
	if err != nil {
		status = statusOf(err)
	}
	usage, now := j.usage(), s.now()
	s.audit.Record(audit.Record{
		Time: now.UTC(), Kind: audit.KindRequest, Detail: "background", RequestID: n.requestID, CompletionID: j.id,
		Identity: n.name(), Auth: n.auth(), From: n.from(), Model: s.options.ModelName(),
		PromptTokens: usage.PromptTokens, CompletionTokens: usage.CompletionTokens, CachedTokens: usage.PromptTokensDetails.CachedTokens,
		Outcome: outcome(status), Status: status, FinishReason: string(j.finish()), DurationMS: milliseconds(now.Sub(start)),
	})
}

// sanitize cleans what users say, where that is asked for. What the application says (system, developer), what its tools
// return and what the model has said before is left as it is.
func (s *Server) sanitize(r *openai.ChatRequest) {
	for i := range r.Messages {
		if m := &r.Messages[i]; m.Role == openai.RoleUser {
			m.Content, m.Name = s.clean(m.Content), s.clean(m.Name)
		}
	}
}

// clean is for text that a user may have written. In a raw prompt it also takes away the meaning of control tokens.
func (s *Server) clean(text string) string {
	if !s.options.SanitizeInput {
		return text
	}
	return sanitize.Text(text)
}

// watched is a Generator that leaves with the request's note what it began for it.
type watched struct{ Generator }

// Submit also remembers.
func (g watched) Submit(ctx context.Context, r engine.Request) (*engine.Stream, error) {
	stream, err := g.Generator.Submit(ctx, r)
	if n, ok := ctx.Value(noteKey{}).(*note); ok && err == nil {
		n.begun.add(stream, &r)
	}
	return stream, err
}

// sequences are the answers that the engine works on for one request. Several may begin at a time.
type sequences struct {
	mu   sync.Mutex
	list []sequence
}

type sequence struct {
	stream         *engine.Stream
	prompt, most   int
	heat, topShare float64
}

func (s *sequences) add(stream *engine.Stream, r *engine.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, sequence{stream, len(r.Prompt), r.MaxTokens, r.Sampling.Temperature, r.Sampling.TopP})
}

// ended returns how far they got by the end of a request that was answered with this status, as metrics and as traces see it.
func (s *sequences) ended(status int) []trace.Sequence {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]trace.Sequence, len(s.list))
	for i, q := range s.list {
		out[i] = trace.Sequence{
			Timing: q.stream.Timing(), PromptTokens: q.prompt, CachedTokens: q.stream.Cached(), MaxTokens: q.most,
			Temperature: q.heat, TopP: q.topShare, FinishReason: string(reasonOf(q.stream, status)),
		}
	}
	return out
}

// reasonOf translates the engine's reason. A sequence that was cancelled for an answer that went well had met a stop
// sequence of the request.
func reasonOf(stream *engine.Stream, status int) metric.Reason {
	switch reason, _ := stream.Result(); {
	case reason == engine.FinishStop:
		return metric.ReasonStop
	case reason == engine.FinishLength:
		return metric.ReasonLength
	case reason == engine.FinishError:
		return metric.ReasonError
	case status < http.StatusBadRequest:
		return metric.ReasonStop
	}
	return metric.ReasonAbort
}
