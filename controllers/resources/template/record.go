package template

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// apart are the fields of the spec from which no pod follows.
var apart = []string{"replicas", "autoscaling", "monitoring", "expose", "disruption", "networkPolicy"}

// Inputs hashes what the user says about pods: the spec without the fields apart, and the annotation that asks for an
// update. It does not change with the operator: fields that a later version adds are absent from specs that were
// written before.
func Inputs(m *v1alpha1.GptOssModel) (string, error) {
	spec := m.Spec.DeepCopy()
	if r := spec.Rollout; r != nil { // of which only the time to drain is part of a pod
		spec.Rollout = nil
		if r.DrainTimeout != nil {
			spec.Rollout = &v1alpha1.RolloutSpec{DrainTimeout: r.DrainTimeout}
		}
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return "", fmt.Errorf("template: inputs: %w", err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return "", fmt.Errorf("template: inputs: %w", err)
	}
	for _, name := range apart {
		delete(fields, name)
	}
	text, err = json.Marshal([]any{fields, m.Annotations[v1alpha1.UpdateAnnotation]})
	if err != nil {
		return "", fmt.Errorf("template: inputs: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:5]), nil
}

// Record is the object that keeps a template. The API server lets nobody change it, but for deleting it.
func Record(meta metav1.ObjectMeta, template *corev1.PodTemplateSpec) (*appsv1.ControllerRevision, error) {
	text, err := json.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("template: record: %w", err)
	}
	return &appsv1.ControllerRevision{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ControllerRevision"},
		ObjectMeta: meta,
		Data:       runtime.RawExtension{Raw: text},
		Revision:   1,
	}, nil
}

// Restore reads the template of a record.
func Restore(record *appsv1.ControllerRevision) (*corev1.PodTemplateSpec, error) {
	template := &corev1.PodTemplateSpec{}
	if err := json.Unmarshal(record.Data.Raw, template); err != nil {
		return nil, fmt.Errorf("template: read record %q: %w", record.Name, err)
	}
	if len(template.Spec.Containers) == 0 {
		return nil, fmt.Errorf("template: record %q holds no pod template", record.Name)
	}
	return template, nil
}
