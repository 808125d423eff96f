package monitor

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// others are metrics that somebody else exports: Prometheus, kube-state-metrics, and the process collector of every
// server in Go (docs/metrics.md speaks of process_…).
var others = []string{"up", "kube_pod_container_status_restarts_total", "process_start_time_seconds", "process_resident_memory_bytes"}

// exported reads the names of the server's metrics, and their labels, from its documentation, which a test of
// server/metric holds to what the server shows.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{"gpt_oss_gpu_utilization_percent": {"gpu"}} // in the text above the table: no series on a CPU
	row := regexp.MustCompile("(?m)^\\| `([a-z0-9_:]+)` \\| (\\w+) \\| ([^|]*) \\|")
	for _, match := range row.FindAllStringSubmatch(string(text), -1) {
		var labels []string
		for label := range strings.SplitSeq(match[3], ",") {
			labels = append(labels, strings.Trim(label, " `"))
		}
		out[match[1]] = labels
		if match[2] == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				out[match[1]+suffix] = append(slices.Clone(labels), "le")
			}
		}
	}
	if len(out) < 20 {
		t.Fatalf("%d metrics read from docs/metrics.md: has its table another form?", len(out))
	}
	return out
}

// check parses a query, and asks of every selector that its metric exists, is that model's, and has its labels.
func check(t *testing.T, where, query string, known map[string][]string) {
	t.Helper()
	expr, err := parser.ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %s: %v", where, query, err)
		return
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		s, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		labels, exists := known[s.Name]
		if !exists && !slices.Contains(others, s.Name) {
			t.Errorf("%s: nobody exports %q", where, s.Name)
		}
		bound := map[string]bool{}
		for _, m := range s.LabelMatchers {
			bound[m.Name] = true
			target := []string{"__name__", "namespace", "service", "pod", "container"}
			if !slices.Contains(target, m.Name) && !slices.Contains(labels, m.Name) {
				t.Errorf("%s: %s has no label %q", where, s.Name, m.Name)
			}
		}
		if !bound["namespace"] || (!bound["service"] && !bound["pod"]) {
			t.Errorf("%s: %s is not restricted to the model", where, s)
		}
		return nil
	})
}

// rules are the alerts of a model, as the PrometheusRule holds them.
func rules(t *testing.T, spec string) []map[string]any {
	t.Helper()
	m := newModel(t, spec)
	u, err := prometheusRule(m, m.Spec.Monitoring.PrometheusRule)
	if err != nil {
		t.Fatal(err)
	}
	group := u.Object["spec"].(map[string]any)["groups"].([]any)[0].(map[string]any)
	var out []map[string]any
	for _, r := range group["rules"].([]any) {
		out = append(out, r.(map[string]any))
	}
	return out
}

func TestAlerts(t *testing.T) {
	known := exported(t)
	for _, r := range rules(t, specs["defaults"]) {
		name := r["alert"].(string)
		check(t, name, r["expr"].(string), known)
		if _, err := model.ParseDuration(r["for"].(string)); err != nil {
			t.Errorf("%s: for: %v", name, err)
		}
		notes := r["annotations"].(map[string]any)
		for _, key := range []string{"summary", "description"} {
			text := `{{ $labels := .Labels }}{{ $value := .Value }}` + notes[key].(string)
			var got strings.Builder
			parsed, err := template.New(name).Option("missingkey=error").Parse(text)
			if err == nil {
				err = parsed.Execute(&got, map[string]any{"Labels": map[string]string{"pod": "chat-1", "namespace": "team"}, "Value": 7.0})
			}
			if err != nil || strings.ContainsAny(got.String(), "$%!") && !strings.Contains(got.String(), "7.0%") {
				t.Errorf("%s: %s reads %q, error %v", name, key, got.String(), err)
			}
		}
		page, found := strings.CutPrefix(notes["runbook_url"].(string), v1alpha1.DefaultRunbookURL+"/")
		if _, err := os.Stat(filepath.Join("..", "..", "..", "docs", "runbooks", page)); !found || err != nil {
			t.Errorf("%s: no runbook: %v", name, err)
		}
	}
}

func TestPanels(t *testing.T) {
	known := exported(t)
	want := []string{"gpt_oss_request_count", "gpt_oss_avg_latency_ms", "gpt_oss_gpu_utilization_percent", "gpt_oss_active_requests"}
	for _, p := range panels() {
		for _, q := range p.queries {
			expr := strings.NewReplacer("$series", Series(newModel(t, specs["nothing"])), "$__rate_interval", "5m").Replace(q.expr)
			check(t, p.title, expr, known)
			want = slices.DeleteFunc(want, func(name string) bool { return strings.Contains(expr, name) })
		}
	}
	if len(want) > 0 {
		t.Errorf("no panel shows %v", want)
	}
}

func TestEveryAlertCanBeDisabled(t *testing.T) {
	var names []string
	for _, r := range rules(t, specs["defaults"]) {
		names = append(names, r["alert"].(string))
	}
	crd, err := os.ReadFile(filepath.Join("..", "..", "..", "config", "crd", "bases", "gptoss.dev_gptossmodels.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.Contains(string(crd), "- "+name+"\n") {
			t.Errorf("the CRD does not take %s in monitoring.prometheusRule.disabled", name)
		}
	}
	if got := rules(t, `{model: {source: {demo: {}}}, monitoring: {prometheusRule: {disabled: [`+strings.Join(names, ",")+`]}}}`); len(got) != 0 {
		t.Errorf("all alerts disabled, %d left", len(got))
	}
}
