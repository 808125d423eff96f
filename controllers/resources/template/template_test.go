package template

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

func model(t *testing.T, spec string) *v1alpha1.GptOssModel {
	t.Helper()
	m := &v1alpha1.GptOssModel{}
	if err := yaml.UnmarshalStrict([]byte(spec), &m.Spec); err != nil {
		t.Fatal(err)
	}
	return m
}

func pod() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"l": "1"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "server", Image: "i", Args: []string{"-a"}}}},
	}
}

func TestInputs(t *testing.T) {
	hash := func(spec string) string {
		inputs, err := Inputs(model(t, spec))
		if err != nil {
			t.Fatal(err)
		}
		return inputs
	}
	const base = `{model: {source: {demo: {}}}}`
	for name, tc := range map[string]struct {
		spec     string
		wantSame bool
	}{
		"replicas":        {`{model: {source: {demo: {}}}, replicas: 3}`, true},
		"autoscaling":     {`{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 3}}`, true},
		"monitoring":      {`{model: {source: {demo: {}}}, monitoring: {serviceMonitor: {interval: 1m}}}`, true},
		"way of rollout":  {`{model: {source: {demo: {}}}, rollout: {maxSurge: 2, onNoCapacity: Recreate, serverUpdates: Automatic}}`, true},
		"time to drain":   {`{model: {source: {demo: {}}}, rollout: {maxSurge: 2, drainTimeout: 1m}}`, false},
		"engine":          {`{model: {source: {demo: {}}}, engine: {threads: 2}}`, false},
		"a patch":         {`{model: {source: {demo: {}}}, podTemplate: {spec: {}}}`, false},
		"another program": {`{model: {source: {persistentVolumeClaim: {claimName: a}}}, runtime: {type: vllm}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			if same := hash(tc.spec) == hash(base); same != tc.wantSame {
				t.Errorf("the same wishes: %t, want %t", same, tc.wantSame)
			}
		})
	}
	asked := model(t, base)
	asked.Annotations = map[string]string{v1alpha1.UpdateAnnotation: "1", "other": "2"}
	if inputs, _ := Inputs(asked); inputs == hash(base) {
		t.Error("the annotation that asks for an update changes nothing")
	}
}

func TestRecordIsReadBack(t *testing.T) {
	want := pod()
	record, err := Record(metav1.ObjectMeta{Name: "r"}, &want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Restore(record)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	for name, text := range map[string]string{"no JSON": `{`, "no pod": `{}`, "nothing": ``} {
		record.Data.Raw = []byte(text)
		if _, err := Restore(record); err == nil {
			t.Errorf("%s was restored", name)
		}
	}
}

func TestPatch(t *testing.T) {
	got, err := Patch(pod(), []byte(`{"spec":{"containers":[{"name":"server","args":null,"env":[{"name":"A","value":"b"}],"ports":[{"containerPort":1}]}]}}`), "server")
	if err != nil {
		t.Fatal(err)
	}
	want := pod()
	want.Spec.Containers[0].Args = nil
	want.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}}
	want.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 1, Protocol: corev1.ProtocolTCP}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("patched (-want +got):\n%s", diff)
	}
	if _, err := Patch(pod(), []byte(`{"a":"`+strings.Repeat("x", maxPatch)+`"}`), "server"); !errors.Is(err, ErrInvalid) {
		t.Errorf("error %v for a patch of any size", err)
	}
}

// FuzzPatch holds that no patch takes the operator's labels or container away.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"metadata":{"labels":{"l":null}}}`, `{"metadata":null}`, `{"spec":{"containers":[{"name":"server","$patch":"delete"}]}}`,
		`{"$patch":"replace"}`, `{"spec":{"$retainKeys":["containers"],"containers":[{"name":"server","image":"x"}]}}`,
		`{"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"server"}],"containers":[{"name":"b","image":"y"}]}}`,
		`{"spec":{"volumes":[{"name":"v","emptyDir":{}}],"$deleteFromPrimitiveList/x":["a"]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, patch []byte) {
		got, err := Patch(pod(), patch, "server")
		if err != nil {
			return
		}
		server := false
		for _, c := range got.Spec.Containers {
			server = server || (c.Name == "server" && c.Image != "")
		}
		if got.Labels["l"] != "1" || !server {
			t.Errorf("%s left %v", patch, got)
		}
	})
}
