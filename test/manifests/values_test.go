package manifests

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const chartFolder = "charts/gptoss-operator"

func chartFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, chartFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// leaves lists the paths of values: resources count as one, because what is below them is Kubernetes' own.
func leaves(values object, prefix string, into map[string]any) {
	for key, v := range values {
		if below, ok := v.(object); ok && len(below) > 0 && key != "resources" {
			leaves(below, prefix+key+".", into)
			continue
		}
		into[prefix+key] = v
	}
}

// braces writes a.{b,c} out as a.b and a.c.
func braces(text string) []string {
	before, rest, found := strings.Cut(text, "{")
	if !found {
		return []string{text}
	}
	inside, after, _ := strings.Cut(rest, "}")
	var out []string
	for part := range strings.SplitSeq(inside, ",") {
		out = append(out, before+part+after)
	}
	return out
}

// TestValuesTable: the chart's README has a line for every value, and none for another.
func TestValuesTable(t *testing.T) {
	var values object
	if err := yaml.Unmarshal(chartFile(t, "values.yaml"), &values); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{}
	leaves(values, "", want)
	code := regexp.MustCompile("`([^`]+)`")
	got := map[string]any{}
	for line := range strings.Lines(string(chartFile(t, "README.md"))) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| `") && len(cells) > 2 {
			for _, m := range code.FindAllStringSubmatch(cells[1], -1) {
				for _, path := range braces(m[1]) {
					got[path] = nil
				}
			}
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("values (-values.yaml +README.md)\n%s", diff)
	}
}

// TestSchemaIsClosed: every object of the schema whose fields are the chart's own refuses what it does not know.
func TestSchemaIsClosed(t *testing.T) {
	var schema object
	if err := json.Unmarshal(chartFile(t, "values.schema.json"), &schema); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case object:
			if v["properties"] != nil && v["additionalProperties"] != false {
				t.Errorf("%s takes properties that it does not know", path)
			}
			for key, below := range v {
				walk(path+"/"+key, below)
			}
		case []any:
			for _, below := range v {
				walk(path, below)
			}
		}
	}
	walk("", schema)
	properties, _ := schema["properties"].(object)
	var values object
	if err := yaml.Unmarshal(chartFile(t, "values.yaml"), &values); err != nil {
		t.Fatal(err)
	}
	for key := range values {
		if properties[key] == nil {
			t.Errorf("the schema does not know the value %s", key)
		}
	}
}

// TestSchemaRefuses: mistakes end before anything reaches the cluster, with a message that names the value.
func TestSchemaRefuses(t *testing.T) {
	for name, c := range map[string]struct{ set, want string }{
		"a value that does not exist":         {"replica=3", "replica"},
		"one below a value that exists":       {"image.name=x", "name"},
		"a tag with a space":                  {"image.tag=a b", "tag"},
		"a digest that is none":               {"image.digest=sha256:abc", "digest"},
		"a namespace in capitals":             {"watchNamespaces={Team}", "watchNamespaces"},
		"an argument that is no flag":         {"extraArgs={debug}", "extraArgs"},
		"an environment variable without one": {"extraEnv[0].value=x", "extraEnv"},
		"a port of the API server too high":   {"networkPolicy.apiServerPorts={70000}", "apiServerPorts"},
		"a budget that lets nobody go":        {"podDisruptionBudget.maxUnavailable=0", "maxUnavailable"},
		"a memory limit in words":             {"resources.limits.memory=much", "resources"},
		"a spread without a key":              {"topologySpread[0].whenUnsatisfiable=DoNotSchedule,topologySpread[0].topologyKey=", "topologySpread"},
		"a pull secret with two names":        {"imagePullSecrets[0].name=a,imagePullSecrets[0].other=b", "imagePullSecrets"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), helmPath(), "template", "x", chartFolder, "--set", c.set)
			cmd.Dir = root
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) {
				t.Errorf("helm: %v\n%.300s", err, out)
			}
		})
	}
}

// TestEveryValueDoesSomething renders the chart with every value set to another than its default, and looks for each.
func TestEveryValueDoesSomething(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0", 64)
	for name, sets := range map[string]map[string]string{
		"tags": {
			"image.repository=r.example/op,image.tag=1.2":          "r.example/op:1.2",
			"image.pullPolicy=Always":                              "imagePullPolicy: Always",
			"serverImage.repository=r.example/s":                   "--server-image=r.example/s:dev",
			"imagePullSecrets[0].name=pull":                        "imagePullSecrets:\n        - name: pull",
			"replicas=3":                                           "replicas: 3",
			"watchNamespaces={a,b}":                                "--watch-namespaces=a,b",
			"extraArgs={--log-level=debug}":                        "- --log-level=debug",
			"extraEnv[0].name=HTTPS_PROXY,extraEnv[0].value=p":     "- name: HTTPS_PROXY",
			"crds.annotations.definition=b":                        "    definition: b",
			"serviceAccount.annotations.account=b":                 "annotations:\n    account: b",
			"metrics.serviceMonitor.enabled=true":                  "kind: ServiceMonitor",
			"metrics.serviceMonitor.interval=15s":                  "interval: 15s",
			"metrics.serviceMonitor.labels.monitor=b":              "    monitor: b",
			"metrics.prometheusRule.enabled=true":                  "kind: PrometheusRule",
			"metrics.prometheusRule.labels.rule=b":                 "    rule: b",
			"networkPolicy.enabled=true":                           "kind: NetworkPolicy",
			"networkPolicy.apiServerPorts={16443}":                 "- port: 16443",
			"networkPolicy.metricsFrom[0].ipBlock.cidr=10.0.0.0/8": "from:\n      - ipBlock",
			"networkPolicy.extraEgress[0].ports[0].port=3128":      "- port: 3128",
			"podDisruptionBudget.maxUnavailable=50%":               "maxUnavailable: 50%",
			"resources.limits.memory=1Gi":                          "memory: 1Gi",
			"podLabels.label=b":                                    "part-of: gptoss\n        label: b",
			"podAnnotations.annotation=b":                          "annotations:\n        annotation: b",
			"nodeSelector.node=b":                                  "nodeSelector:\n        node: b",
			"tolerations[0].operator=Exists":                       "tolerations:\n        - operator: Exists",
			"affinity.nodeAffinity.a=b":                            "affinity:\n        nodeAffinity",
			"priorityClassName=system-cluster-critical":            "priorityClassName: system-cluster-critical",
			"topologySpread[0].topologyKey=zone,topologySpread[0].whenUnsatisfiable=DoNotSchedule": "topologyKey: zone\n        whenUnsatisfiable: DoNotSchedule",
		},
		"digests":        {"image.digest=" + digest: "gptoss-operator@" + digest, "serverImage.digest=" + digest: "gptoss-server@" + digest},
		"a server's tag": {"serverImage.tag=1.3": "--server-image=gptoss.dev/gptoss-server:1.3"},
	} {
		out := render(t, slices.Collect(maps.Keys(sets))...)
		for set, want := range sets {
			if !strings.Contains(out, want) {
				t.Errorf("%s: --set %s: no %q in what is rendered", name, set, want)
			}
		}
	}
	absent := map[string]string{
		"crds.enabled=false": "kind: CustomResourceDefinition", "rbac.aggregate=false": "aggregate-to-view", "podDisruptionBudget.enabled=false": "kind: PodDisruptionBudget",
	}
	without, with := render(t, slices.Collect(maps.Keys(absent))...), render(t)
	for set, text := range absent {
		if strings.Contains(without, text) || !strings.Contains(with, text) {
			t.Errorf("--set %s does not decide about %q", set, text)
		}
	}
}
