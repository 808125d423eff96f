package metric

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gptoss/gptoss-operator/engine"
)

// number is something that the engine counts, under our name and vLLM's. vLLM's are one series each: the endpoint picker
// reads the first and adds nothing up.
type number struct {
	kind    prometheus.ValueType
	name    string
	aliases []string
	say     string
	value   func(s *engine.Stats) float64
}

var numbers = []number{
	{
		prometheus.GaugeValue, "gpt_oss_running_requests",
		[]string{"vllm:num_requests_running"},
		"Sequences that own memory and are computed.",
		func(s *engine.Stats) float64 { return float64(s.Running) },
	},
	{
		prometheus.GaugeValue, "gpt_oss_queued_requests",
		[]string{"vllm:num_requests_waiting"},
		"Sequences that wait for the engine.",
		func(s *engine.Stats) float64 { return float64(s.Waiting) },
	},
	{
		prometheus.GaugeValue, "gpt_oss_preempted_requests", nil, "Sequences that made room for older ones and will go on.",
		func(s *engine.Stats) float64 { return float64(s.Preempted) },
	},
	{
		prometheus.GaugeValue, "gpt_oss_kv_cache_usage_ratio",
		[]string{"vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"},
		"Share of the memory for keys and values that sequences hold, 0 to 1.", func(s *engine.Stats) float64 { return s.KVUsage },
	},
	{
		prometheus.GaugeValue, "gpt_oss_kv_cache_tokens", nil, "Positions that running sequences have computed.",
		func(s *engine.Stats) float64 { return float64(s.KVTokens) },
	},
	{
		prometheus.GaugeValue, "gpt_oss_prefix_cache_tokens", nil, "Positions that a prompt may find in the prefix cache.",
		func(s *engine.Stats) float64 { return float64(s.CachedTokens) },
	},
	{
		prometheus.GaugeValue, "gpt_oss_swap_usage_ratio",
		[]string{"vllm:cpu_cache_usage_perc"},
		"Share of the swap space in use, 0 to 1; 0 without one.",
		func(s *engine.Stats) float64 { return s.SwapUsed },
	},
	{
		prometheus.CounterValue, "gpt_oss_prefix_cache_queries_total",
		[]string{"vllm:prefix_cache_queries_total"},
		"Prompt tokens that were looked for in the prefix cache.", func(s *engine.Stats) float64 { return float64(s.PrefixQueries) },
	},
	{
		prometheus.CounterValue, "gpt_oss_prefix_cache_hits_total",
		[]string{"vllm:prefix_cache_hits_total"},
		"Prompt tokens that the prefix cache had.",
		func(s *engine.Stats) float64 { return float64(s.PrefixHits) },
	},
	{
		prometheus.CounterValue, "gpt_oss_preemptions_total",
		[]string{"vllm:num_preemptions_total"},
		"How often a sequence had to make room for an older one.",
		func(s *engine.Stats) float64 { return float64(s.Preemptions) },
	},
	{
		prometheus.CounterValue, "gpt_oss_generated_tokens_total",
		[]string{"vllm:generation_tokens_total"},
		"Generated tokens, counted as they are made.",
		func(s *engine.Stats) float64 { return float64(s.GeneratedTokens) },
	},
	{
		prometheus.CounterValue, "gpt_oss_computed_prompt_tokens_total", nil, "Prompt tokens that went through the model; those of the prefix cache did not.",
		func(s *engine.Stats) float64 { return float64(s.PromptTokens) },
	},
	{
		prometheus.CounterValue, "gpt_oss_engine_steps_total", nil, "Forward passes.",
		func(s *engine.Stats) float64 { return float64(s.Steps) },
	},
}

// spreads are the engine's own histograms.
var spreads = []struct {
	name    string
	aliases []string
	say     string
	value   func(s *engine.Stats) engine.Spread
}{
	{
		"gpt_oss_inter_token_latency_seconds",
		[]string{"vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"},
		"Time between two tokens of a sequence.", func(s *engine.Stats) engine.Spread { return s.Gaps },
	},
	{"gpt_oss_batch_size", nil, "Sequences of a forward pass.", func(s *engine.Stats) engine.Spread { return s.Batches }},
	{"gpt_oss_step_tokens", []string{"vllm:iteration_tokens_total"}, "Tokens of a forward pass.", func(s *engine.Stats) engine.Spread { return s.StepTokens }},
}

// live shows the engine's numbers, all of one moment.
type live struct {
	source  Source
	numbers [][]*prometheus.Desc // of numbers: our name, then the aliases
	spreads [][]*prometheus.Desc // likewise
	cache   *prometheus.Desc     // vLLM's way to tell the size of its memory
}

func newLive(s Source) *live {
	l := &live{source: s}
	model := prometheus.Labels{"model_name": s.Model}
	describe := func(name, say string, aliases []string) []*prometheus.Desc {
		out := []*prometheus.Desc{prometheus.NewDesc(name, say, nil, nil)}
		for _, a := range aliases {
			out = append(out, prometheus.NewDesc(a, say, nil, model))
		}
		return out
	}
	for _, n := range numbers {
		l.numbers = append(l.numbers, describe(n.name, n.say, n.aliases))
	}
	for _, h := range spreads {
		l.spreads = append(l.spreads, describe(h.name, h.say, h.aliases))
	}
	l.cache = prometheus.NewDesc("vllm:cache_config_info", "1; the labels say how large the memory for keys and values is, and a page of it in tokens.",
		[]string{"block_size", "num_gpu_blocks"}, model)
	return l
}

// Describe says what Collect delivers.
func (l *live) Describe(ch chan<- *prometheus.Desc) {
	for _, list := range append(append([][]*prometheus.Desc{{l.cache}}, l.numbers...), l.spreads...) {
		for _, d := range list {
			ch <- d
		}
	}
}

// Collect delivers the numbers of this moment.
func (l *live) Collect(ch chan<- prometheus.Metric) {
	stats := l.source.Stats()
	for i, n := range numbers {
		for _, d := range l.numbers[i] {
			ch <- prometheus.MustNewConstMetric(d, n.kind, n.value(&stats))
		}
	}
	for i, h := range spreads {
		count, buckets, sum := cumulate(h.value(&stats))
		for _, d := range l.spreads[i] {
			ch <- prometheus.MustNewConstHistogram(d, count, sum, buckets)
		}
	}
	ch <- prometheus.MustNewConstMetric(l.cache, prometheus.GaugeValue, 1, strconv.Itoa(stats.PageTokens), strconv.Itoa(stats.KVPages))
}

// cumulate adds the classes up, as Prometheus wants them.
func cumulate(s engine.Spread) (count uint64, buckets map[float64]uint64, sum float64) {
	buckets = map[float64]uint64{}
	for i, n := range s.Counts {
		count += n
		if i < len(s.Bounds) {
			buckets[s.Bounds[i]] = count
		}
	}
	return count, buckets, s.Sum
}
