package metric

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/gptoss/gptoss-operator/engine"
)

var update = flag.Bool("update", false, "rewrite the table of docs/metrics.md")

func newSet(stats engine.Stats) *Set {
	return New(Source{
		Model: "gpt-oss-20b", Version: "1.1.0", Stats: func() engine.Stats { return stats },
		Active: func() int64 { return 3 }, Degraded: func() bool { return true },
	})
}

func scrape(t *testing.T, m *Set) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if rec.Code != 200 {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

func TestNumbers(t *testing.T) {
	m := newSet(engine.Stats{
		Running: 4, Waiting: 5, Preempted: 1, Steps: 9, PromptTokens: 100, GeneratedTokens: 200, PrefixQueries: 64, PrefixHits: 32,
		Preemptions: 2, KVTokens: 300, CachedTokens: 16, KVUsage: 0.25, KVPages: 80, PageTokens: 16, SwapUsed: 0.5,
		Gaps: engine.Spread{Bounds: []float64{0.1, 1}, Counts: []uint64{3, 2, 1}, Sum: 4.5},
	})
	at := time.Unix(1e9, 0)
	whole := engine.Timing{Queued: at, Began: at.Add(time.Second), First: at.Add(3 * time.Second), Last: at.Add(6 * time.Second), Tokens: 4}
	m.Ended(Sequence{Timing: whole, PromptTokens: 50, CachedTokens: 16, Reason: ReasonStop})
	m.Ended(Sequence{Timing: engine.Timing{Queued: at}, PromptTokens: 7, Reason: ReasonAbort})
	m.Ended(Sequence{Timing: engine.Timing{Queued: at, Began: at}, PromptTokens: 7, Reason: ReasonAbort})
	m.Succeeded(2 * time.Second)
	m.FirstToken.Observe(0.5)
	m.Prompt.Add(57)
	text := scrape(t, m)
	for _, want := range []string{
		`gpt_oss_request_count{status="success"} 1`, "gpt_oss_avg_latency_ms 2000", "gpt_oss_active_requests 3", "gpt_oss_degraded 1",
		"gpt_oss_running_requests 4", "gpt_oss_queued_requests 5", "gpt_oss_kv_cache_usage_ratio 0.25", "gpt_oss_swap_usage_ratio 0.5",
		`vllm:num_requests_running{model_name="gpt-oss-20b"} 4`, `vllm:num_requests_waiting{model_name="gpt-oss-20b"} 5`,
		`vllm:kv_cache_usage_perc{model_name="gpt-oss-20b"} 0.25`, `vllm:gpu_cache_usage_perc{model_name="gpt-oss-20b"} 0.25`,
		`vllm:prefix_cache_queries_total{model_name="gpt-oss-20b"} 64`, `vllm:prefix_cache_hits_total{model_name="gpt-oss-20b"} 32`,
		`vllm:num_preemptions_total{model_name="gpt-oss-20b"} 2`, `vllm:generation_tokens_total{model_name="gpt-oss-20b"} 200`,
		`vllm:prompt_tokens_total{model_name="gpt-oss-20b"} 57`,
		`vllm:cache_config_info{block_size="16",model_name="gpt-oss-20b",num_gpu_blocks="80"} 1`,
		`vllm:request_success_total{finished_reason="stop",model_name="gpt-oss-20b"} 1`,
		`vllm:request_success_total{finished_reason="abort",model_name="gpt-oss-20b"} 2`,
		`vllm:request_success_total{finished_reason="length",model_name="gpt-oss-20b"} 0`,
		`vllm:e2e_request_latency_seconds_bucket{model_name="gpt-oss-20b",le="1.5"} 0`, `vllm:e2e_request_latency_seconds_bucket{model_name="gpt-oss-20b",le="2"} 1`,
		`vllm:time_to_first_token_seconds_sum{model_name="gpt-oss-20b"} 0.5`,
		`vllm:inter_token_latency_seconds_bucket{model_name="gpt-oss-20b",le="1"} 5`, `vllm:time_per_output_token_seconds_count{model_name="gpt-oss-20b"} 6`,
		`gpt_oss_inter_token_latency_seconds_bucket{le="+Inf"} 6`, "gpt_oss_inter_token_latency_seconds_sum 4.5",
		"gpt_oss_request_queue_seconds_sum 1", "gpt_oss_request_queue_seconds_count 2", "gpt_oss_request_prefill_seconds_sum 2", "gpt_oss_request_prefill_seconds_count 1",
		"gpt_oss_request_decode_seconds_sum 3", "gpt_oss_request_time_per_output_token_seconds_sum 1", "gpt_oss_request_prompt_tokens_sum 64",
		"gpt_oss_request_generation_tokens_sum 4", "gpt_oss_request_cached_tokens_sum 16", "gpt_oss_audit_dropped_total 0",
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %q", want)
		}
	}
	if !strings.Contains(text, `gpt_oss_build_info{go_version="go1.`) || !strings.Contains(text, `version="1.1.0"} 1`) {
		t.Error("no build info")
	}
}

// TestOneSeriesPerGauge is what the Gateway API's endpoint picker needs: it reads the first series and adds nothing up.
func TestOneSeriesPerGauge(t *testing.T) {
	for _, name := range []string{"vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"} {
		if n := strings.Count(scrape(t, newSet(engine.Stats{})), "\n"+name+"{"); n != 1 {
			t.Errorf("%s has %d series", name, n)
		}
	}
}

func TestLatencies(t *testing.T) {
	var l Latencies
	if l.Mean() != 0 {
		t.Error("a mean of nothing")
	}
	for range 100 {
		l.Add(time.Hour)
	}
	for range 99 {
		l.Add(time.Second)
	}
	if got, want := l.Mean(), (time.Hour+99*time.Second)/100; got != want {
		t.Errorf("mean %v, want %v", got, want)
	}
}

// TestDocs holds the table of docs/metrics.md to what is shown.
func TestDocs(t *testing.T) {
	const path, begin, end = "../../docs/metrics.md", "<!-- table: go test ./server/metric -update -->\n", "<!-- end -->"
	families, err := newSet(engine.Stats{}).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| name | type | labels | what it is |\n| --- | --- | --- | --- |\n")
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "go_") && !strings.HasPrefix(f.GetName(), "process_") {
			fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), labels(f), f.GetHelp())
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(data), begin)
	got, after, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("%s has no place for the table", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table.String(), got); diff != "" {
		t.Errorf("%s is not what the server shows; run the test with -update (-want +got):\n%s", path, diff)
	}
}

func labels(f *dto.MetricFamily) string {
	var names []string
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if name := "`" + l.GetName() + "`"; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, ", ")
}
