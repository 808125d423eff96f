package manifests

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const (
	root      = "../.."
	namespace = "gptoss-system"
)

// object is one Kubernetes object as its YAML says it.
type object = map[string]any

// parse splits a YAML stream into objects by "kind/name".
func parse(t *testing.T, stream []byte) map[string]object {
	t.Helper()
	objects := map[string]object{}
	for doc := range strings.SplitSeq("\n"+string(stream), "\n---") {
		var o object
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if len(o) == 0 {
			continue
		}
		key := fmt.Sprintf("%v/%v", o["kind"], nested(o, "metadata", "name"))
		if _, ok := objects[key]; ok {
			t.Errorf("%s is there twice", key)
		}
		objects[key] = o
	}
	return objects
}

// nested follows keys through maps.
func nested(o object, keys ...string) any {
	var at any = o
	for _, k := range keys {
		m, ok := at.(object)
		if !ok {
			return nil
		}
		at = m[k]
	}
	return at
}

// run returns the standard output of a command started in the repository's root.
func run(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// kustomize renders a folder with the kubectl of the test environment.
func kustomize(t *testing.T, dir string) map[string]object {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set; run `make test`, or set it to $(bin/cluster assets)")
	}
	return parse(t, run(t, filepath.Join(assets, "kubectl"), "kustomize", dir))
}

// helm renders the chart as `helm install` with its defaults, or those settings, would.
func helm(t *testing.T, settings ...string) map[string]object {
	t.Helper()
	args := []string{"go", "tool", "-modfile=hack/tools/go.mod", "helm", "template", "gptoss-operator", "charts/gptoss-operator", "--namespace", namespace}
	return parse(t, run(t, append(args, settings...)...))
}

// withoutPackaging removes what only says which tool installed the object.
func withoutPackaging(o any) any {
	switch o := o.(type) {
	case object:
		for k, v := range o {
			switch k {
			case "helm.sh/chart", "helm.sh/resource-policy", "app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "app.kubernetes.io/version":
				delete(o, k)
			default:
				o[k] = withoutPackaging(v)
			}
		}
		if annotations, ok := o["annotations"].(object); ok && len(annotations) == 0 {
			delete(o, "annotations")
		}
	case []any:
		for i := range o {
			o[i] = withoutPackaging(o[i])
		}
	}
	return o
}

func TestChartEqualsKustomize(t *testing.T) {
	for dir, settings := range map[string][]string{"config/default": nil, "config/no-metrics-api": {"--set", "metricsAPI.enabled=false"}} {
		t.Run(dir, func(t *testing.T) { equal(t, kustomize(t, dir), helm(t, settings...)) })
	}
}

// equal compares what config/ and the chart install.
func equal(t *testing.T, want, got map[string]object) {
	t.Helper()
	delete(want, "Namespace/"+namespace) // Helm makes it with --create-namespace.
	for key := range want {
		if _, ok := got[key]; !ok {
			t.Errorf("the chart lacks %s", key)
		}
	}
	for key, o := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("config lacks %s", key)
			continue
		}
		if diff := cmp.Diff(withoutPackaging(want[key]), withoutPackaging(o)); diff != "" {
			t.Errorf("%s (-config +chart)\n%s", key, diff)
		}
	}
}

// TestCRDSize: `kubectl apply` stores the object in an annotation of at most
// 262,144 bytes; we stay far below, so that it works without --server-side.
func TestCRDSize(t *testing.T) {
	crds, err := filepath.Glob(filepath.Join(root, "config/crd/bases/*.yaml"))
	if err != nil || len(crds) == 0 {
		t.Fatalf("no CRD in config/crd/bases: %v", err)
	}
	for _, path := range crds {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 100_000 {
			t.Errorf("%s has %d bytes, want at most 100,000", path, info.Size())
		}
	}
}

// TestManagerIsRestricted holds the operator's own pod to Pod Security "restricted".
func TestManagerIsRestricted(t *testing.T) {
	manager, ok := kustomize(t, "config/default")["Deployment/gptoss-operator"]
	if !ok {
		t.Fatal("config/default has no Deployment gptoss-operator")
	}
	pod := nested(manager, "spec", "template", "spec").(object)
	if got := nested(pod, "securityContext", "runAsNonRoot"); got != true {
		t.Errorf("runAsNonRoot is %v", got)
	}
	if got := nested(pod, "securityContext", "seccompProfile", "type"); got != "RuntimeDefault" {
		t.Errorf("seccompProfile is %v", got)
	}
	for _, c := range pod["containers"].([]any) {
		want := object{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": object{"drop": []any{"ALL"}}}
		got := nested(c.(object), "securityContext").(object)
		for k, v := range want {
			if diff := cmp.Diff(v, got[k]); diff != "" {
				t.Errorf("container %v: %s (-want +got)\n%s", c.(object)["name"], k, diff)
			}
		}
	}
}

// TestSamples: every sample is a GptOssModel, and the demo has seven lines.
func TestSamples(t *testing.T) {
	samples, err := filepath.Glob(filepath.Join(root, "config/samples/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, path := range samples {
		if filepath.Base(path) == "kustomization.yaml" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		models := 0
		for key := range parse(t, text) {
			if strings.HasPrefix(key, "GptOssModel/") {
				models++
			}
		}
		if models == 0 {
			t.Errorf("%s holds no GptOssModel", path)
		}
		found += models
		if lines := strings.Count(strings.TrimSpace(string(text)), "\n") + 1; filepath.Base(path) == "demo.yaml" && lines != 7 {
			t.Errorf("%s has %d lines, want seven", path, lines)
		}
	}
	if found < 2 {
		t.Errorf("found %d samples, want several", found)
	}
}
