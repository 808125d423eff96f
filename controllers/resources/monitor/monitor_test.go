package monitor

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// specs are the objects that the golden files are made from. Every field of monitoring is in one of them.
var specs = map[string]string{
	"nothing":  `{model: {source: {demo: {}}}}`,
	"disabled": `{model: {source: {demo: {}}}, monitoring: {serviceMonitor: {mode: Disabled}}}`,
	"defaults": `{model: {source: {demo: {}}}, monitoring: {prometheusRule: {}, dashboard: {}}}`,
	"tuned": `{model: {source: {demo: {}}}, replicas: 0, monitoring: {
		serviceMonitor: {interval: 15s, labels: {release: prometheus}},
		prometheusRule: {labels: {release: prometheus}, alertLabels: {team: llm}, disabled: [GptOssPanics, GptOssPodDown],
			runbookURL: "https://wiki.example.com/llm/", thresholds: {errorPercent: 1, timeToFirstTokenSeconds: 5, queuedRequests: 4, kvCachePercent: 80}},
		dashboard: {labels: {team: llm}, annotations: {grafana_folder: LLM}}}}`,
}

func newModel(t *testing.T, spec string) *v1alpha1.GptOssModel {
	t.Helper()
	m := &v1alpha1.GptOssModel{}
	m.Name, m.Namespace, m.UID = "chat", "team", "0000-1111"
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(spec, "\t", " ")), &m.Spec); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestGolden(t *testing.T) {
	for name, spec := range specs {
		t.Run(name, func(t *testing.T) {
			children, err := Children(newModel(t, spec))
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for _, c := range children {
				if c.Off {
					continue
				}
				u, err := resources.Configuration(c.Object)
				if err != nil {
					t.Fatal(err)
				}
				text, err := yaml.Marshal(u.Object)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n")
				got.Write(text)
			}
			file := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("built objects differ from %s (-want +got):\n%s", file, diff)
			}
		})
	}
}

func TestDashboardIsAFileOfItsOwn(t *testing.T) {
	entries, uids := map[string]bool{}, map[string]bool{}
	for _, at := range [][2]string{{"team", "chat"}, {"team", "code"}, {"other", "chat"}} {
		m := newModel(t, specs["defaults"])
		m.Namespace, m.Name = at[0], at[1]
		c, err := dashboard(m, m.Spec.Monitoring.Dashboard)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range c.Data {
			var board struct {
				UID    string
				Panels []struct {
					GridPos struct{ X, Y, W, H int }
				}
			}
			if err := json.Unmarshal([]byte(text), &board); err != nil {
				t.Fatalf("the dashboard is no JSON: %v", err)
			}
			if len(board.UID) > 40 || len(board.Panels) == 0 {
				t.Errorf("uid %q of more than 40 characters, or no panel in %d", board.UID, len(board.Panels))
			}
			if entries[name] || uids[board.UID] {
				t.Errorf("entry %q or uid %q is that of another model", name, board.UID)
			}
			entries[name], uids[board.UID] = true, true
			places := map[[2]int]bool{}
			for _, p := range board.Panels {
				at := [2]int{p.GridPos.X, p.GridPos.Y}
				if places[at] || p.GridPos.X+p.GridPos.W > gridWidth {
					t.Errorf("a panel at %v lies over another one or outside", at)
				}
				places[at] = true
			}
		}
	}
}
