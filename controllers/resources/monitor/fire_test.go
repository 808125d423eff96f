package monitor

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

const scrape = 15 * time.Second

// series is an hour of a metric of pod chat-1, a sample every 15 seconds: it begins at from and changes by each minute.
type series struct {
	name   string
	extra  []string // further labels, overriding those that a scrape gives
	from   float64
	minute float64
}

func (s series) labels() labels.Labels {
	b := labels.NewBuilder(labels.FromStrings("__name__", s.name, "namespace", "team", "service", "chat", "pod", "chat-1"))
	for i := 0; i < len(s.extra); i += 2 {
		b.Set(s.extra[i], s.extra[i+1])
	}
	return b.Labels()
}

type sample struct {
	at    int64
	value float64
}

func (s sample) T() int64                    { return s.at }
func (sample) ST() int64                     { return 0 }
func (s sample) F() float64                  { return s.value }
func (sample) H() *histogram.Histogram       { return nil }
func (sample) FH() *histogram.FloatHistogram { return nil }
func (sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample         { return s }

// world is what Prometheus has scraped.
type world []series

// Querier implements storage.Queryable.
func (w world) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		var found set
		for _, s := range w {
			all := s.labels()
			if slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(all.Get(m.Name)) }) {
				continue
			}
			var samples []chunks.Sample
			for t := time.Duration(0); t <= time.Hour; t += scrape {
				samples = append(samples, sample{t.Milliseconds(), s.from + s.minute*t.Minutes()})
			}
			found.all = append(found.all, storage.NewListSeries(all, samples))
		}
		return &found
	}}, nil
}

// set is a storage.SeriesSet.
type set struct {
	all []storage.Series
	at  int
}

func (s *set) Next() bool                        { s.at++; return s.at <= len(s.all) }
func (s *set) At() storage.Series                { return s.all[s.at-1] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

// firing evaluates all alerts at the end of the hour and returns those that see their cause.
func firing(t *testing.T, w world) []v1alpha1.AlertName {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1 << 20, Timeout: time.Minute, LookbackDelta: 5 * time.Minute})
	t.Cleanup(func() { _ = engine.Close() })
	var out []v1alpha1.AlertName
	for _, r := range rules(t, specs["defaults"]) {
		query, err := engine.NewInstantQuery(context.Background(), w, nil, r["expr"].(string), time.UnixMilli(time.Hour.Milliseconds()))
		if err != nil {
			t.Fatal(err)
		}
		result := query.Exec(t.Context())
		vector, err := result.Vector()
		if err != nil {
			t.Fatalf("%s: %v", r["alert"], err)
		}
		if len(vector) > 0 {
			out = append(out, v1alpha1.AlertName(r["alert"].(string)))
		}
		query.Close()
	}
	return out
}

func TestAlertsFire(t *testing.T) {
	// healthy is a pod with ten requests a minute, each with its first token within a second.
	healthy := world{
		{name: "up", from: 1},
		{name: "process_start_time_seconds", from: 1},
		{name: "kube_pod_container_status_restarts_total", extra: []string{"pod", "chat-7d9f-x2x", "container", "server", "service", "kube-state-metrics"}},
		{name: "gpt_oss_degraded"},
		{name: "gpt_oss_request_count", extra: []string{"status", "success"}, minute: 10},
		{name: "vllm:time_to_first_token_seconds_bucket", extra: []string{"le", "1"}, minute: 10},
		{name: "vllm:time_to_first_token_seconds_bucket", extra: []string{"le", "60"}, minute: 10},
		{name: "vllm:time_to_first_token_seconds_bucket", extra: []string{"le", "+Inf"}, minute: 10},
		{name: "vllm:num_requests_waiting", from: 2},
		{name: "vllm:kv_cache_usage_perc", from: 0.5},
		{name: "vllm:num_preemptions_total"},
		{name: "gpt_oss_panics_total"},
		{name: "gpt_oss_audit_dropped_total"},
	}
	// with replaces the series of the same name and labels, and adds others.
	with := func(changed ...series) world {
		out := slices.Clone(healthy)
		for _, c := range changed {
			out = slices.DeleteFunc(out, func(s series) bool { return labels.Equal(s.labels(), c.labels()) })
		}
		return append(out, changed...)
	}
	status := func(value string, minute float64) series {
		return series{name: "gpt_oss_request_count", extra: []string{"status", value}, minute: minute}
	}
	for name, tc := range map[string]struct {
		world world
		want  []v1alpha1.AlertName
	}{
		"all is well":                           {healthy, nil},
		"nothing is scraped":                    {nil, []v1alpha1.AlertName{v1alpha1.AlertModelDown}},
		"only another model is":                 {world{{name: "up", extra: []string{"service", "other"}, from: 1}}, []v1alpha1.AlertName{v1alpha1.AlertModelDown}},
		"the only pod is down":                  {with(series{name: "up"}), []v1alpha1.AlertName{v1alpha1.AlertModelDown, v1alpha1.AlertPodDown}},
		"one of two pods is down":               {with(series{name: "up", extra: []string{"pod", "chat-2"}}), []v1alpha1.AlertName{v1alpha1.AlertPodDown}},
		"a container restarts, says Kubernetes": {with(series{name: "kube_pod_container_status_restarts_total", extra: []string{"pod", "chat-7d9f-x2x", "container", "server", "service", "kube-state-metrics"}, minute: 0.2}), []v1alpha1.AlertName{v1alpha1.AlertCrashLooping}},
		"a sidecar restarts":                    {with(series{name: "kube_pod_container_status_restarts_total", extra: []string{"pod", "chat-7d9f-x2x", "container", "proxy", "service", "kube-state-metrics"}, minute: 0.2}), nil},
		"a process is new at every scrape":      {with(series{name: "process_start_time_seconds", from: 1, minute: 60}), []v1alpha1.AlertName{v1alpha1.AlertCrashLooping}},
		"health is not healthy":                 {with(series{name: "gpt_oss_degraded", from: 1}), []v1alpha1.AlertName{v1alpha1.AlertDegraded}},
		"one request of ten fails":              {with(status("success", 9), status("error", 1)), []v1alpha1.AlertName{v1alpha1.AlertHighErrorRate}},
		"nothing but refusals":                  {with(status("success", 0), status("unavailable", 5)), []v1alpha1.AlertName{v1alpha1.AlertHighErrorRate}},
		"one request of forty fails":            {with(status("success", 39), status("error", 1)), nil},
		"clients make mistakes":                 {with(status("invalid", 90), status("rejected", 90), status("cancelled", 90)), nil},
		"mistakes do not hide failures":         {with(status("success", 9), status("error", 1), status("invalid", 90)), []v1alpha1.AlertName{v1alpha1.AlertHighErrorRate}},
		"first tokens take up to a minute":      {with(series{name: "vllm:time_to_first_token_seconds_bucket", extra: []string{"le", "1"}, minute: 5}), []v1alpha1.AlertName{v1alpha1.AlertSlowFirstToken}},
		"a long queue":                          {with(series{name: "vllm:num_requests_waiting", from: 20}), []v1alpha1.AlertName{v1alpha1.AlertQueueLong}},
		"a long queue at one of three pods": {with(series{name: "vllm:num_requests_waiting", from: 20},
			series{name: "vllm:num_requests_waiting", extra: []string{"pod", "chat-2"}}, series{name: "vllm:num_requests_waiting", extra: []string{"pod", "chat-3"}}), nil},
		"full memory and interruptions": {with(series{name: "vllm:kv_cache_usage_perc", from: 0.99}, series{name: "vllm:num_preemptions_total", minute: 1}), []v1alpha1.AlertName{v1alpha1.AlertKVCacheFull}},
		"full memory, well used":        {with(series{name: "vllm:kv_cache_usage_perc", from: 0.99}), nil},
		"a panic":                       {with(series{name: "gpt_oss_panics_total", minute: 0.1}), []v1alpha1.AlertName{v1alpha1.AlertPanics}},
		"lost audit records":            {with(series{name: "gpt_oss_audit_dropped_total", minute: 1}), []v1alpha1.AlertName{v1alpha1.AlertAuditRecordsLost}},
		"no request at all":             {with(status("success", 0)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := firing(t, tc.world); !slices.Equal(got, tc.want) {
				t.Errorf("alerts %v, want %v", got, tc.want)
			}
		})
	}
}
