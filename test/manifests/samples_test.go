package manifests

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"
)

// samples returns the files of config/samples by name.
func samples(t *testing.T) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "config/samples/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		if name := filepath.Base(path); name != "kustomization.yaml" {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = text
		}
	}
	if len(files) < 5 {
		t.Fatalf("found %d samples, want those of every source", len(files))
	}
	return files
}

// TestSamplesAreListed: kustomization.yaml names every sample once, they do not collide, and each says what it is for.
func TestSamplesAreListed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "config/samples/kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var kustomization struct{ Resources []string }
	if err := yaml.UnmarshalStrict(text, &kustomization); err != nil {
		t.Fatal(err)
	}
	files := samples(t)
	var names []string
	for name, text := range files {
		names = append(names, name)
		if name != "demo.yaml" && !bytes.HasPrefix(text, []byte("# ")) {
			t.Errorf("%s does not begin with a sentence about what it is for", name)
		}
	}
	slices.Sort(names)
	slices.Sort(kustomization.Resources)
	if diff := cmp.Diff(names, kustomization.Resources); diff != "" {
		t.Errorf("config/samples (-files +kustomization.yaml)\n%s", diff)
	}
	kustomize(t, "config/samples")
}

// TestAPIServerTakesSamples sends every sample to a kube-apiserver, which knows no field that the CRD does not.
func TestAPIServerTakesSamples(t *testing.T) {
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
	create := func(o *unstructured.Unstructured) error {
		o.SetNamespace("default")
		return c.Create(t.Context(), o, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
	}
	for name, text := range samples(t) {
		stream := kyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
		for {
			o := &unstructured.Unstructured{}
			err := stream.Decode(o)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := create(o); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	wrong := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(samples(t)["demo.yaml"], wrong); err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedField(wrong.Object, int64(1), "spec", "replica"); err != nil {
		t.Fatal(err)
	}
	if err := create(wrong); err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("a field that does not exist: %v", err)
	}
}
