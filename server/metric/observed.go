package metric

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/gptoss/gptoss-operator/engine"
)

// Buckets as vLLM has them, so that its dashboards fit, without those that an answer from a CPU cannot reach.
var (
	firstTokenBuckets = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	durationBuckets   = []float64{.01, .05, .1, .3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920}
	eachBuckets       = []float64{.001, .0025, .005, .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	tokenBuckets      = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000}
)

// Reason is why the engine's work on a sequence ended, in vLLM's words.
type Reason string

// The reasons.
const (
	ReasonStop   Reason = "stop"
	ReasonLength Reason = "length"
	ReasonAbort  Reason = "abort"
	ReasonError  Reason = "error"
)

// Sequence is one answer that the engine has worked on.
type Sequence struct {
	engine.Timing
	PromptTokens, CachedTokens int
	Reason                     Reason
}

// observed makes what is booked, and its aliases.
func (m *Set) observed(model string) {
	for _, h := range []struct {
		field            *prometheus.Histogram
		name, alias, say string
		buckets          []float64
	}{
		{
			&m.Duration, "gpt_oss_request_duration_seconds", "vllm:e2e_request_latency_seconds",
			"Time from a request's arrival to its last byte, successful ones.", durationBuckets,
		},
		{
			&m.FirstToken, "gpt_oss_time_to_first_token_seconds", "vllm:time_to_first_token_seconds",
			"Time from a request's arrival to its first generated token.", firstTokenBuckets,
		},
		{
			&m.queue, "gpt_oss_request_queue_seconds", "vllm:request_queue_time_seconds",
			"Time that a sequence waited for its first step.", durationBuckets,
		},
		{
			&m.prefill, "gpt_oss_request_prefill_seconds", "vllm:request_prefill_time_seconds",
			"Time from a sequence's first step to its first token.", durationBuckets,
		},
		{
			&m.decode, "gpt_oss_request_decode_seconds", "vllm:request_decode_time_seconds",
			"Time from a sequence's first token to its last.", durationBuckets,
		},
		{
			&m.each, "gpt_oss_request_time_per_output_token_seconds", "vllm:request_time_per_output_token_seconds",
			"Mean time between two tokens of a sequence.", eachBuckets,
		},
		{
			&m.promptTokens, "gpt_oss_request_prompt_tokens", "vllm:request_prompt_tokens",
			"Prompt tokens of a sequence.", tokenBuckets,
		},
		{
			&m.generated, "gpt_oss_request_generation_tokens", "vllm:request_generation_tokens",
			"Generated tokens of a sequence.", tokenBuckets,
		},
		{
			&m.cachedTokens, "gpt_oss_request_cached_tokens", "",
			"Prompt tokens of a sequence that the prefix cache had.", append([]float64{0}, tokenBuckets...),
		},
	} {
		*h.field = prometheus.NewHistogram(prometheus.HistogramOpts{Name: h.name, Help: h.say, Buckets: h.buckets})
		m.registry.MustRegister(*h.field)
		if h.alias != "" {
			m.registry.MustRegister(newAlias(h.alias, h.say, model, *h.field))
		}
	}
	for _, c := range []struct {
		field            *prometheus.Counter
		name, alias, say string
	}{
		{&m.Prompt, "gpt_oss_prompt_tokens_total", "vllm:prompt_tokens_total", "Prompt tokens of accepted requests."},
		{&m.Completion, "gpt_oss_completion_tokens_total", "", "Generated tokens of requests that ended."},
		{&m.Panics, "gpt_oss_panics_total", "", "Requests that ended in a panic."},
		{&m.Slow, "gpt_oss_slow_requests_total", "", "Requests that took longer than --slow-request."},
		{&m.AuditDropped, "gpt_oss_audit_dropped_total", "", "Audit records that were lost, as when a disk is full for long."},
	} {
		*c.field = prometheus.NewCounter(prometheus.CounterOpts{Name: c.name, Help: c.say})
		m.registry.MustRegister(*c.field)
		if c.alias != "" {
			m.registry.MustRegister(newAlias(c.alias, c.say, model, *c.field))
		}
	}
	const say = "Sequences that ended, by reason."
	ended := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gpt_oss_sequences_total", Help: say}, []string{"finished_reason"})
	m.registry.MustRegister(ended)
	for _, r := range []Reason{ReasonStop, ReasonLength, ReasonAbort, ReasonError} {
		m.finished[r] = ended.WithLabelValues(string(r))
		m.registry.MustRegister(newAlias("vllm:request_success_total", say, model, m.finished[r], "finished_reason", string(r)))
	}
}

// Ended books a sequence. One that did not get far counts for the stations that it reached.
func (m *Set) Ended(s Sequence) {
	if c := m.finished[s.Reason]; c != nil {
		c.Inc()
	}
	m.promptTokens.Observe(float64(s.PromptTokens))
	if s.Began.IsZero() {
		return
	}
	m.queue.Observe(s.Began.Sub(s.Queued).Seconds())
	if s.Tokens == 0 {
		return
	}
	m.cachedTokens.Observe(float64(s.CachedTokens))
	m.prefill.Observe(s.First.Sub(s.Began).Seconds())
	m.decode.Observe(s.Last.Sub(s.First).Seconds())
	m.generated.Observe(float64(s.Tokens))
	if s.Tokens > 1 {
		m.each.Observe(s.Last.Sub(s.First).Seconds() / float64(s.Tokens-1))
	}
}

// alias shows a metric a second time, under another name and with the model's name as vLLM writes it.
type alias struct {
	prometheus.Metric
	desc   *prometheus.Desc
	labels []*dto.LabelPair // sorted by name
}

func newAlias(name, help, model string, of prometheus.Metric, more ...string) *alias {
	labels := prometheus.Labels{"model_name": model}
	a := &alias{Metric: of}
	if len(more) == 2 { // finished_reason, which comes before model_name
		labels[more[0]] = more[1]
		a.labels = append(a.labels, &dto.LabelPair{Name: &more[0], Value: &more[1]})
	}
	key := "model_name"
	a.labels = append(a.labels, &dto.LabelPair{Name: &key, Value: &model})
	a.desc = prometheus.NewDesc(name, help, nil, labels)
	return a
}

// Describe says what Collect delivers.
func (a *alias) Describe(ch chan<- *prometheus.Desc) { ch <- a.desc }

// Collect delivers the metric.
func (a *alias) Collect(ch chan<- prometheus.Metric) { ch <- a }

// Desc is the alias's own.
func (a *alias) Desc() *prometheus.Desc { return a.desc }

// Write writes the value of the other metric.
func (a *alias) Write(out *dto.Metric) error {
	if err := a.Metric.Write(out); err != nil {
		return err
	}
	out.Label = a.labels
	return nil
}

// Latencies keeps the last durations.
type Latencies struct {
	mu   sync.Mutex
	ring [100]time.Duration
	sum  time.Duration
	n    int // durations ever added
}

// Add adds one, and forgets the oldest of more than 100.
func (l *Latencies) Add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := &l.ring[l.n%len(l.ring)]
	l.sum += d - *slot
	*slot = d
	l.n++
}

// Mean is 0 before the first.
func (l *Latencies) Mean() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 {
		return 0
	}
	return l.sum / time.Duration(min(l.n, len(l.ring)))
}
