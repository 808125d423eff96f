package server

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
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

// Buckets as vLLM has them, so that its dashboards fit, without those that an answer from a CPU cannot reach.
var (
	firstTokenBuckets = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	durationBuckets   = []float64{.01, .05, .1, .3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920}
)

// metrics are what GET /v1/metrics shows. The specification names four:
//
//   - gpt_oss_request_count{status}: completion requests that ended, by outcome.
//   - gpt_oss_avg_latency_ms: mean duration of the last 100 successful ones; 0 before the first.
//   - gpt_oss_active_requests: completions accepted and not ended. Waiting ones count, or else autoscaling on it would
//     never see more than the engine runs at once.
//   - gpt_oss_gpu_utilization_percent{gpu}: one series for each GPU. On a CPU there is none: a 0 would read as an idle
//     GPU and pull averages and alerts down, so nothing is shown rather than something false.
type metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.CounterVec
	duration   prometheus.Histogram
	firstToken prometheus.Histogram
	prompt     prometheus.Counter
	completion prometheus.Counter
	panics     prometheus.Counter
	ignored    *prometheus.CounterVec
	recent     latencies
	handler    http.Handler
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gpt_oss_request_count", Help: "Completion requests that ended, by outcome.",
		}, []string{"status"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gpt_oss_request_duration_seconds", Help: "Time from a request's arrival to its last byte, successful ones.", Buckets: durationBuckets,
		}),
		firstToken: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gpt_oss_time_to_first_token_seconds", Help: "Time from a request's arrival to its first generated token.", Buckets: firstTokenBuckets,
		}),
		prompt: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gpt_oss_prompt_tokens_total", Help: "Prompt tokens of accepted requests.",
		}),
		completion: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gpt_oss_completion_tokens_total", Help: "Generated tokens.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gpt_oss_panics_total", Help: "Requests that ended in a panic.",
		}),
	}
	m.ignored = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gpt_oss_ignored_parameters_total", Help: "Request parameters that were accepted and have no effect.",
	}, []string{"parameter"})
	m.registry.MustRegister(m.ignored)
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	m.registry.MustRegister(
		m.requests, m.duration, m.firstToken, m.prompt, m.completion, m.panics,
		gauge("gpt_oss_avg_latency_ms", "Mean duration of the last 100 successful requests.",
			func() float64 { return float64(m.recent.mean()) / float64(time.Millisecond) }),
		gauge("gpt_oss_active_requests", "Completions accepted and not ended, running or waiting.",
			func() float64 { return float64(s.active.Load()) }),
		gauge("gpt_oss_queued_requests", "Completions that wait for the engine.",
			func() float64 { return float64(s.stats().Waiting) }),
		prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gpt_oss_gpu_utilization_percent", Help: "Utilization of each GPU; no series without a GPU.",
		}, []string{"gpu"}),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.requests.WithLabelValues(outcomeSuccess) // so that rates begin at 0
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	return m
}

// serve answers in the text format only: OpenMetrics would append _total to gpt_oss_request_count.
func (m *metrics) serve(w http.ResponseWriter, r *http.Request) error {
	m.handler.ServeHTTP(w, r)
	return nil
}

// succeeded books a request that was answered in full.
func (m *metrics) succeeded(took time.Duration) {
	m.requests.WithLabelValues(outcomeSuccess).Inc()
	m.duration.Observe(took.Seconds())
	m.recent.add(took)
}

// ignore counts parameters without effect; their names come from a fixed list.
func (m *metrics) ignore(names []string) {
	for _, name := range names {
		m.ignored.WithLabelValues(name).Inc()
	}
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

// latencies keeps the last durations.
type latencies struct {
	mu   sync.Mutex
	ring [100]time.Duration
	sum  time.Duration
	n    int // durations ever added
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := &l.ring[l.n%len(l.ring)]
	l.sum += d - *slot
	*slot = d
	l.n++
}

func (l *latencies) mean() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 {
		return 0
	}
	return l.sum / time.Duration(min(l.n, len(l.ring)))
}
