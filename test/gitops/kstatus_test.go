package gitops

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"
)

// integers turns JSON's numbers into integers, as objects have them that come from the API server.
func integers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			v[key] = integers(item)
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case float64:
		return int64(v)
	}
	return v
}

// TestKstatus: what Flux, kpt and kubectl's pruning make of every phase.
func TestKstatus(t *testing.T) {
	for name, p := range phases(t) {
		t.Run(name, func(t *testing.T) {
			integers(p.object)
			result, err := status.Compute(&unstructured.Unstructured{Object: p.object})
			if err != nil {
				t.Fatal(err)
			}
			if result.Status != p.flux {
				t.Errorf("kstatus says %s (%s), want %s", result.Status, result.Message, p.flux)
			}
		})
	}
}

// TestNewObject: an object that no operator has seen is not taken for a finished one. kstatus takes a status that is not
// there for one that has nothing to say, so the API server gives a new object one.
func TestNewObject(t *testing.T) {
	server := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join(root, "config/crd/bases")}, ErrorIfCRDPathMissing: true}
	config, err := server.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "config/samples/demo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &o.Object); err != nil {
		t.Fatal(err)
	}
	o.SetNamespace("default")
	if err := c.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		t.Fatal(err)
	}
	result, err := status.Compute(o)
	if err != nil || result.Status != status.InProgressStatus {
		t.Errorf("kstatus says %v (%v), want InProgress", result, err)
	}
	if health, message := health(t, scriptOf(t), o.Object); health != "Progressing" {
		t.Errorf("Argo CD says %s (%s), want Progressing", health, message)
	}
	if before := o.GetGeneration(); before != 1 {
		t.Errorf("generation %d, want 1: the default counts as no change", before)
	}
}
