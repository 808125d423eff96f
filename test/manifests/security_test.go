package manifests

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	kyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// goldens reads the pods that the operator makes: the golden files of the packages that build objects.
func goldens(t *testing.T) map[string]object {
	t.Helper()
	pods := map[string]object{}
	err := filepath.WalkDir(filepath.Join(root, "controllers"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" || !strings.Contains(path, "testdata") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		stream := kyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
		for {
			var o object
			if err := stream.Decode(&o); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if pod, ok := nested(o, "spec", "template", "spec").(object); ok {
				key := strings.TrimPrefix(path, root+"/") + " " + (&unstructured.Unstructured{Object: o}).GetName()
				pods[key] = pod
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return pods
}

// usersOwn is the container that a user adds by spec.podTemplate in a golden file; what it may do is the user's affair.
const usersOwn = "proxy"

// TestPodSecurity asks the API server's own evaluator whether every pod, the manager's and those of models, is restricted.
func TestPodSecurity(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	models := goldens(t)
	if len(models) < 2 {
		t.Fatalf("found %d pods of models in golden files, want several", len(models))
	}
	pods := templates(everything(t))
	maps.Copy(pods, models)
	for key, pod := range pods {
		var spec corev1.PodSpec
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(pod, &spec); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		spec.Containers = slices.DeleteFunc(spec.Containers, func(c corev1.Container) bool { return c.Name == usersOwn })
		verdict := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &metav1.ObjectMeta{}, &spec))
		if !verdict.Allowed {
			t.Errorf("%s is not restricted: %s", key, verdict.ForbiddenDetail())
		}
		for _, c := range spec.Containers {
			if !strings.Contains(c.Image, "gptoss-") {
				continue // vLLM and TGI compile kernels into their image's folders
			}
			if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
				t.Errorf("%s: container %s can write to its root filesystem", key, c.Name)
			}
		}
		if _, ofModel := models[key]; ofModel && (spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken) {
			t.Errorf("%s has a token of the API server, which no model needs", key)
		}
	}
}

// TestPodSecurityRefuses: the evaluator of the test above does find what is wrong.
func TestPodSecurityRefuses(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	verdict := policy.AggregateCheckResults(evaluator.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &metav1.ObjectMeta{},
		&corev1.PodSpec{Containers: []corev1.Container{{Name: "any"}}}))
	if verdict.Allowed {
		t.Error("a pod that says nothing passes as restricted")
	}
}
