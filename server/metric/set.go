package metric

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gptoss/gptoss-operator/engine"
)

// Source is where the numbers come from that nobody books. Its functions must not wait.
type Source struct {
	Model, Version string
	Stats          func() engine.Stats
	// Active returns how many completions were accepted and have not ended.
	Active func() int64
	// Degraded returns whether health says so, or worse.
	Degraded func() bool
}

// Set is all metrics of a server. Those with a field are booked by whoever sees the event.
//
//   - gpt_oss_request_count{status}: completion requests that ended, by outcome.
//   - gpt_oss_avg_latency_ms: mean duration of the last 100 successful ones; 0 before the first.
//   - gpt_oss_active_requests: completions accepted and not ended. Waiting ones count, or else autoscaling on it would
//     never see more than the engine runs at once.
//   - gpt_oss_gpu_utilization_percent{gpu}: one series for each GPU. On a CPU there is none: a 0 would read as an idle
//     GPU and pull averages and alerts down, so nothing is shown rather than something false.
type Set struct {
	Requests     *prometheus.CounterVec // by outcome
	Duration     prometheus.Histogram
	FirstToken   prometheus.Histogram
	Prompt       prometheus.Counter
	Completion   prometheus.Counter
	Panics       prometheus.Counter
	Slow         prometheus.Counter
	AuditDropped prometheus.Counter
	Recent       Latencies

	registry                              *prometheus.Registry
	queue, prefill, decode, each          prometheus.Histogram
	promptTokens, generated, cachedTokens prometheus.Histogram
	ignored                               *prometheus.CounterVec // by parameter
	finished                              map[Reason]prometheus.Counter
	handler                               http.Handler
}

// New makes the metrics of one server.
func New(s Source) *Set {
	m := &Set{
		registry: prometheus.NewRegistry(),
		Requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gpt_oss_request_count", Help: "Completion requests that ended, by outcome.",
		}, []string{"status"}),
		ignored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gpt_oss_ignored_parameters_total", Help: "Request parameters that were accepted and have no effect.",
		}, []string{"parameter"}),
		finished: map[Reason]prometheus.Counter{},
	}
	m.observed(s.Model)
	m.registry.MustRegister(m.Requests, m.ignored, newLive(s))
	m.registry.MustRegister(
		gauge("gpt_oss_avg_latency_ms", "Mean duration of the last 100 successful requests.",
			func() float64 { return float64(m.Recent.Mean()) / float64(time.Millisecond) }),
		gauge("gpt_oss_active_requests", "Completions accepted and not ended, running or waiting.",
			func() float64 { return float64(s.Active()) }),
		gauge("gpt_oss_degraded", "1 while health says degraded or unavailable, 0 while it says healthy.", func() float64 {
			if s.Degraded() {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gpt_oss_gpu_utilization_percent", Help: "Utilization of each GPU; no series without a GPU.",
		}, []string{"gpu"}),
		info("gpt_oss_build_info", "1; the labels say what runs.",
			prometheus.Labels{"version": s.Version, "go_version": runtime.Version(), "model": s.Model}),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.Requests.WithLabelValues("success") // so that rates begin at 0
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	return m
}

// Register adds the metrics of another part of the server.
func (m *Set) Register(c ...prometheus.Collector) { m.registry.MustRegister(c...) }

// ServeHTTP answers in the text format only: OpenMetrics would append _total to gpt_oss_request_count.
func (m *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

// Succeeded books a request that was answered in full.
func (m *Set) Succeeded(took time.Duration) {
	m.Requests.WithLabelValues("success").Inc()
	m.Duration.Observe(took.Seconds())
	m.Recent.Add(took)
}

// Ignore counts parameters without effect; their names come from a fixed list.
func (m *Set) Ignore(names []string) {
	for _, name := range names {
		m.ignored.WithLabelValues(name).Inc()
	}
}

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

func info(name, help string, labels prometheus.Labels) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return 1 })
}
