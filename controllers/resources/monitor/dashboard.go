package monitor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

const (
	dashboardSuffix = "-dashboard"

	// dashboardLabel is what Grafana's sidecar looks for.
	dashboardLabel = "grafana_dashboard"

	// schemaVersion is that of Grafana 10 dashboards; later versions migrate it.
	schemaVersion = 39

	// panelWidth and panelHeight are in Grafana's grid, which is 24 wide.
	panelWidth, panelHeight, gridWidth = 8, 8, 24
)

// dashboard is a ConfigMap that Grafana's sidecar shows. Its entry's name is a file's in the sidecar's folder, where
// dashboards of all namespaces lie side by side. Without a spec it is only a name.
func dashboard(m *v1alpha1.GptOssModel, spec *v1alpha1.DashboardSpec) (*corev1.ConfigMap, error) {
	kind := metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
	if spec == nil {
		return &corev1.ConfigMap{TypeMeta: kind, ObjectMeta: resources.ObjectMeta(m, m.Name+dashboardSuffix, nil, nil)}, nil
	}
	text, err := json.MarshalIndent(board(m), "", " ")
	if err != nil {
		return nil, fmt.Errorf("monitor: dashboard: %w", err)
	}
	c := &corev1.ConfigMap{
		TypeMeta:   kind,
		ObjectMeta: resources.ObjectMeta(m, m.Name+dashboardSuffix, spec.Labels, spec.Annotations),
		Data:       map[string]string{"gptoss-" + m.Namespace + "-" + m.Name + ".json": string(text) + "\n"},
	}
	c.Labels[dashboardLabel] = "1"
	return c, nil
}

// board is the dashboard as Grafana imports it.
func board(m *v1alpha1.GptOssModel) map[string]any {
	sum := sha256.Sum256([]byte(m.Namespace + "/" + m.Name))
	all := panels()
	drawn := make([]any, 0, len(all))
	for i, p := range all {
		drawn = append(drawn, p.draw(i, Series(m)))
	}
	return map[string]any{
		"uid": "gptoss-" + hex.EncodeToString(sum[:8]), "title": "gpt-oss / " + m.Namespace + " / " + m.Name,
		"tags": []any{"gpt-oss"}, "schemaVersion": schemaVersion, "editable": false, "graphTooltip": 1, "refresh": "30s",
		"time": map[string]any{"from": "now-1h", "to": "now"},
		"templating": map[string]any{"list": []any{
			map[string]any{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
		}},
		"panels": drawn,
	}
}

// panel is one graph. In its queries $series stands for the labels that select the model's series.
type panel struct {
	title, unit string
	queries     []query
}

type query struct{ legend, expr string }

// quantiles are three percentiles of a histogram.
func quantiles(histogram string) []query {
	var out []query
	for _, q := range []struct{ name, share string }{{"p50", "0.5"}, {"p95", "0.95"}, {"p99", "0.99"}} {
		out = append(out, query{q.name, fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(%s_bucket{$series}[$__rate_interval])))", q.share, histogram)})
	}
	return out
}

func panels() []panel {
	return []panel{
		{"Requests by outcome", "reqps", []query{{"{{status}}", "sum by (status) (rate(gpt_oss_request_count{$series}[$__rate_interval]))"}}},
		{"Active requests", "short", []query{{"{{pod}}", "gpt_oss_active_requests{$series}"}}},
		{"Mean latency of the last 100", "ms", []query{{"{{pod}}", "gpt_oss_avg_latency_ms{$series}"}}},
		{"Time to first token", "s", quantiles("vllm:time_to_first_token_seconds")},
		{"Time between tokens", "s", quantiles("vllm:inter_token_latency_seconds")},
		{"Request duration", "s", quantiles("vllm:e2e_request_latency_seconds")},
		{"Tokens per second", "short", []query{
			{"generated", "sum(rate(vllm:generation_tokens_total{$series}[$__rate_interval]))"},
			{"prompt", "sum(rate(vllm:prompt_tokens_total{$series}[$__rate_interval]))"},
		}},
		{"Queue", "short", []query{
			{"waiting", "sum(vllm:num_requests_waiting{$series})"},
			{"running", "sum(vllm:num_requests_running{$series})"},
			{"interrupted", "sum(gpt_oss_preempted_requests{$series})"},
		}},
		{"Time in the queue", "s", quantiles("vllm:request_queue_time_seconds")},
		{"Memory for keys and values in use", "percentunit", []query{{"{{pod}}", "vllm:kv_cache_usage_perc{$series}"}}},
		{"Prompt tokens that the prefix cache had", "percentunit", []query{
			{"hits", "sum(rate(vllm:prefix_cache_hits_total{$series}[$__rate_interval])) / sum(rate(vllm:prefix_cache_queries_total{$series}[$__rate_interval]))"},
		}},
		{"Interruptions for memory", "short", []query{{"{{pod}}", "increase(vllm:num_preemptions_total{$series}[$__rate_interval])"}}},
		{"GPU utilization", "percent", []query{{"{{pod}} {{gpu}}", "gpt_oss_gpu_utilization_percent{$series}"}}},
		{"Memory of the process", "bytes", []query{{"{{pod}}", "process_resident_memory_bytes{$series}"}}},
		{"Pods", "short", []query{
			{"answer", "sum(up{$series})"}, {"degraded", "sum(gpt_oss_degraded{$series})"},
		}},
	}
}

// draw lays the panel out as the i-th of the grid.
func (p panel) draw(i int, series string) map[string]any {
	source := map[string]any{"type": "prometheus", "uid": "${datasource}"}
	targets := make([]any, 0, len(p.queries))
	for j, q := range p.queries {
		targets = append(targets, map[string]any{
			"refId": string(rune('A' + j)), "datasource": source, "legendFormat": q.legend,
			"expr": strings.ReplaceAll(q.expr, "$series", series),
		})
	}
	perRow := gridWidth / panelWidth
	return map[string]any{
		"id": i + 1, "type": "timeseries", "title": p.title, "datasource": source, "targets": targets,
		"gridPos":     map[string]any{"x": i % perRow * panelWidth, "y": i / perRow * panelHeight, "w": panelWidth, "h": panelHeight},
		"fieldConfig": map[string]any{"defaults": map[string]any{"unit": p.unit, "min": 0}, "overrides": []any{}},
		"options":     map[string]any{"legend": map[string]any{"showLegend": true, "displayMode": "list", "placement": "bottom"}, "tooltip": map[string]any{"mode": "multi"}},
	}
}
