package monitor

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// alert is one rule. In expr, $series stands for the labels that select the model's series, as its Service's scrape
// gives them, and $pods for those that select its pods in kube-state-metrics.
type alert struct {
	name                v1alpha1.AlertName
	severity, lasting   string
	expr                string
	summary, definition string
}

// alerts are in the order of their weight. All of them are silent where their metric is absent, but for the first.
func alerts(t *v1alpha1.AlertThresholds) []alert {
	errorPercent, firstToken, queued, kvCache := t.Values()
	return []alert{
		{
			v1alpha1.AlertModelDown, "critical", "5m", `(sum(up{$series}) or vector(0)) == 0`,
			"no pod of $model answers", "Prometheus reaches no pod of the model.",
		},
		{
			v1alpha1.AlertPodDown, "warning", "10m", `up{$series} == 0`,
			"pod {{ $labels.pod }} of $model does not answer", "Prometheus cannot reach the pod.",
		},
		{
			// The container's restarts where kube-state-metrics is there, else how often the process is seen to be a new one.
			v1alpha1.AlertCrashLooping, "critical", "5m",
			`max by (namespace, pod) (increase(kube_pod_container_status_restarts_total{$pods}[30m]) or changes(process_start_time_seconds{$series}[30m])) >= 3`,
			"pod {{ $labels.pod }} of $model keeps restarting", "The server started {{ $value | printf \"%.0f\" }} times within half an hour.",
		},
		{
			v1alpha1.AlertDegraded, "warning", "10m", `gpt_oss_degraded{$series} > 0`,
			"pod {{ $labels.pod }} of $model is degraded", "Its /v1/health names the reason.",
		},
		{
			v1alpha1.AlertHighErrorRate, "critical", "10m",
			fmt.Sprintf(`100 * sum(rate(gpt_oss_request_count{status=~"error|unavailable",$series}[5m])) / sum(rate(gpt_oss_request_count{status!~"invalid|rejected|cancelled",$series}[5m])) > %d`, errorPercent),
			"$model fails {{ $value | printf \"%.1f\" }}% of its requests", "Requests that the server answers with 500 or 503, or whose stream it ends with an error.",
		},
		{
			v1alpha1.AlertSlowFirstToken, "warning", "15m",
			fmt.Sprintf(`histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket{$series}[10m]))) > %d`, firstToken),
			"clients of $model wait {{ $value | printf \"%.0f\" }} s for the first token", "The 95th percentile of the time to the first token.",
		},
		{
			v1alpha1.AlertQueueLong, "warning", "10m", fmt.Sprintf(`avg(vllm:num_requests_waiting{$series}) > %d`, queued),
			"{{ $value | printf \"%.0f\" }} answers wait at each pod of $model", "More work arrives than the pods can take on.",
		},
		{
			v1alpha1.AlertKVCacheFull, "warning", "15m",
			fmt.Sprintf(`100 * vllm:kv_cache_usage_perc{$series} > %d and increase(vllm:num_preemptions_total{$series}[15m]) > 0`, kvCache),
			"pod {{ $labels.pod }} of $model is out of memory for keys and values", "Sequences interrupt each other to make room.",
		},
		{
			v1alpha1.AlertPanics, "critical", "0m", `increase(gpt_oss_panics_total{$series}[15m]) > 0`,
			"pod {{ $labels.pod }} of $model had a panic", "A request met a bug of the server; its log has the details.",
		},
		{
			v1alpha1.AlertAuditRecordsLost, "critical", "0m", `increase(gpt_oss_audit_dropped_total{$series}[15m]) > 0`,
			"pod {{ $labels.pod }} of $model lost audit records", "The audit log could not be written for so long that records were dropped.",
		},
	}
}

// Series are the labels that select the model's series.
func Series(m *v1alpha1.GptOssModel) string {
	return fmt.Sprintf(`namespace=%q,service=%q`, m.Namespace, m.Name)
}

// prometheusRule alerts about one model; without a spec it is only a name.
func prometheusRule(m *v1alpha1.GptOssModel, spec *v1alpha1.PrometheusRuleSpec) (*unstructured.Unstructured, error) {
	if spec == nil {
		return resources.Optional(PrometheusRuleKind, resources.ObjectMeta(m, m.Name, nil, nil), nil)
	}
	fill := strings.NewReplacer(
		"$series", Series(m),
		"$pods", fmt.Sprintf(`namespace=%q,pod=~"%s-[a-z0-9]+-[a-z0-9]+",container=%q`, m.Namespace, m.Name, resources.ContainerName),
		"$model", "GptOssModel "+m.Namespace+"/"+m.Name,
	)
	rules := []any{}
	for _, a := range alerts(spec.Thresholds) {
		paused := a.name == v1alpha1.AlertModelDown && m.Spec.Autoscaling == nil && m.FixedReplicas() == 0
		if paused || slices.Contains(spec.Disabled, a.name) {
			continue
		}
		labels := map[string]any{"severity": a.severity, "namespace": m.Namespace, "gptossmodel": m.Name}
		for k, v := range spec.AlertLabels {
			labels[k] = string(v)
		}
		rules = append(rules, map[string]any{
			"alert": string(a.name), "expr": fill.Replace(a.expr), "for": a.lasting, "labels": labels,
			"annotations": map[string]any{
				"summary": fill.Replace(a.summary), "description": a.definition, "runbook_url": spec.Runbook(a.name),
			},
		})
	}
	return resources.Optional(PrometheusRuleKind, resources.ObjectMeta(m, m.Name, spec.Labels, nil), map[string]any{
		"groups": []any{map[string]any{"name": "gptoss." + m.Namespace + "." + m.Name, "rules": rules}},
	})
}
