package limit

import "github.com/prometheus/client_golang/prometheus"

// metrics are what a limiter shows of itself.
type metrics struct {
	refused  *prometheus.CounterVec
	failures prometheus.Counter
	degraded prometheus.GaugeFunc
	replicas prometheus.GaugeFunc
}

func newMetrics(l *Limiter) metrics {
	m := metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gpt_oss_rate_limited_total", Help: "Requests that were refused with 429, by the limit that they exceeded.",
		}, []string{"limit"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gpt_oss_limiter_redis_errors_total", Help: "Failed conversations with Redis.",
		}),
		degraded: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gpt_oss_limiter_degraded", Help: "1 while Redis cannot be reached and this replica enforces its share of the limits.",
		}, func() float64 {
			if l.away.Load() {
				return 1
			}
			return 0
		}),
		replicas: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gpt_oss_limiter_replicas", Help: "Replicas that share the limits while Redis is away.",
		}, func() float64 { return float64(l.share()) }),
	}
	for _, k := range []Kind{Requests, Tokens, Concurrency} { // so that rates begin at 0
		m.refused.WithLabelValues(string(k))
	}
	return m
}

// Collectors are the limiter's metrics, to be registered once.
func (l *Limiter) Collectors() []prometheus.Collector {
	return []prometheus.Collector{l.metrics.refused, l.metrics.failures, l.metrics.degraded, l.metrics.replicas}
}
