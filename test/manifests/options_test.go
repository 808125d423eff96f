package manifests

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// settings are the chart's values for what each overlay of config/ is for.
var settings = map[string][]string{
	"default":        nil,
	"namespaced":     {"watchNamespaces={" + namespace + "}"},
	"network-policy": {"networkPolicy.enabled=true"},
	"no-metrics-api": {"metricsAPI.enabled=false"},
	"prometheus":     {"metrics.serviceMonitor.enabled=true", "metrics.prometheusRule.enabled=true"},
}

// parts are the folders of config/ that overlays are made of.
var parts = []string{"argocd", "components", "crd", "manager", "rbac", "samples"}

// helmPath is the pinned Helm's program: the go command builds it once, and takes a second to find that it has.
var helmPath = sync.OnceValue(func() string {
	cmd := exec.Command("go", "tool", "-modfile=hack/tools/go.mod", "-n", "helm")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		panic(fmt.Sprintf("go tool -n helm: %v", err))
	}
	return strings.TrimSpace(string(out))
})

// render is what `helm install` with those settings would send.
func render(t *testing.T, set ...string) string {
	t.Helper()
	args := []string{helmPath(), "template", "gptoss-operator", chartFolder, "--namespace", namespace}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	return string(run(t, args...))
}

// chart is render's objects by kind and name.
func chart(t *testing.T, set ...string) map[string]object {
	t.Helper()
	return parse(t, []byte(render(t, set...)))
}

// overlays lists the folders of config/ that can be installed.
func overlays(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "config"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(parts, e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// withoutTool removes the two labels and the annotation by which Helm knows its objects.
func withoutTool(o object) object {
	metadata, ok := o["metadata"].(object)
	if !ok {
		return o
	}
	for field, keys := range map[string][]string{
		"labels": {"helm.sh/chart", "app.kubernetes.io/managed-by"}, "annotations": {"helm.sh/resource-policy"},
	} {
		m, ok := metadata[field].(object)
		if !ok {
			continue
		}
		for _, key := range keys {
			delete(m, key)
		}
		if len(m) == 0 {
			delete(metadata, field)
		}
	}
	return o
}

// TestOverlaysEqualChart compares every overlay with the chart that has the same options.
func TestOverlaysEqualChart(t *testing.T) {
	names := overlays(t)
	for _, name := range []string{"default", "namespaced", "network-policy", "prometheus"} {
		if !slices.Contains(names, name) {
			t.Errorf("config/%s is gone", name)
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			set, ok := settings[name]
			if !ok {
				t.Fatalf("no settings of the chart are known for config/%s", name)
			}
			same(t, kustomize(t, "config/"+name), chart(t, set...))
		})
	}
}

// TestComponentsEqualChart adds all components at once, as an overlay of a user's would.
func TestComponentsEqualChart(t *testing.T) {
	dir, err := os.MkdirTemp(filepath.Join(root, "test/manifests"), "overlay-*") //nolint:usetesting // components are found by relative paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	components, err := os.ReadDir(filepath.Join(root, "config/components"))
	if err != nil {
		t.Fatal(err)
	}
	overlay, set := "resources:\n- ../../../config/default\ncomponents:\n", []string{}
	for _, c := range components {
		overlay += fmt.Sprintf("- ../../../config/components/%s\n", c.Name())
		set = append(set, settings[c.Name()]...)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	same(t, kustomize(t, filepath.Join("test/manifests", filepath.Base(dir))), chart(t, set...))
}

// same fails where config and the chart install different objects.
func same(t *testing.T, config, chart map[string]object) {
	t.Helper()
	delete(config, "Namespace/"+namespace) // Helm makes it with --create-namespace
	if len(config) < 10 {
		t.Errorf("config has %d objects, want a whole installation", len(config))
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(config)), slices.Sorted(maps.Keys(chart))); diff != "" {
		t.Fatalf("objects (-config +chart)\n%s", diff)
	}
	for key := range config {
		if diff := cmp.Diff(withoutTool(config[key]), withoutTool(chart[key])); diff != "" {
			t.Errorf("%s (-config +chart)\n%s", key, diff)
		}
	}
}

// TestSeveralNamespaces: the chart writes a Role and its binding into each namespace, and no grant elsewhere.
func TestSeveralNamespaces(t *testing.T) {
	out := run(t, helmPath(), "template", "x", chartFolder, "--set", "watchNamespaces={team-a,team-b}", "--show-only", "templates/manager_role.yaml")
	var got []string
	for doc := range strings.SplitSeq(string(out), "\n---") {
		var o object
		if err := yaml.Unmarshal([]byte(strings.TrimPrefix(doc, "---")), &o); err != nil {
			t.Fatal(err)
		}
		if len(o) > 0 {
			got = append(got, fmt.Sprintf("%v %v", o["kind"], nested(o, "metadata", "namespace")))
		}
	}
	slices.Sort(got)
	want := []string{"Role team-a", "Role team-b", "RoleBinding team-a", "RoleBinding team-b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestHelmLint: Helm itself has nothing against the chart.
func TestHelmLint(t *testing.T) {
	run(t, helmPath(), "lint", "--strict", chartFolder)
}
