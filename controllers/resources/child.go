package resources

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// Object is what a builder returns.
type Object interface {
	metav1.Object
	runtime.Object
}

// Child is an object that stands around the pods: it is there while a setting asks for it, and otherwise not.
type Child struct {
	// Object is what shall be; of one that is Off, only kind, namespace and name count.
	Object Object

	// Off says that there shall be none.
	Off bool

	// Field is the field of the spec that asks for an API that the cluster may lack. Without it, the lack goes unsaid.
	Field string
}

// ObjectMeta is the metadata of an object that belongs to the model, for the builders of other packages. The labels and
// annotations of the user that it takes do not win over the operator's.
func ObjectMeta(m *v1alpha1.GptOssModel, name string, labels v1alpha1.ExtraLabels, annotations v1alpha1.Annotations) metav1.ObjectMeta {
	meta := objectMeta(m, name)
	for k, v := range labels {
		if _, ours := meta.Labels[k]; !ours {
			meta.Labels[k] = string(v)
		}
	}
	for k, v := range annotations {
		if meta.Annotations == nil {
			meta.Annotations = make(map[string]string, len(annotations))
		}
		meta.Annotations[k] = string(v)
	}
	return meta
}

// Optional makes an object of an API that a cluster may lack: without Go types, which the operator would have to link.
func Optional(kind schema.GroupVersionKind, meta metav1.ObjectMeta, spec map[string]any) (*unstructured.Unstructured, error) {
	metadata, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&meta)
	if err != nil {
		return nil, fmt.Errorf("resources: metadata of %s: %w", kind.Kind, err)
	}
	delete(metadata, "creationTimestamp")
	u := &unstructured.Unstructured{Object: map[string]any{"metadata": metadata}}
	if spec != nil {
		u.Object["spec"] = spec
	}
	u.SetGroupVersionKind(kind)
	return u, nil
}

// Labelled turns labels into what an Optional object holds.
func Labelled(labels map[string]string) map[string]any {
	out := make(map[string]any, len(labels))
	for k, v := range labels {
		out[k] = v
	}
	return out
}
