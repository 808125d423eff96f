package resources

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Configuration turns a built object into what server-side apply sends: only the fields that a builder set. Without
// this, zero values of Go structs, such as an empty status, would become fields that the operator claims.
func Configuration(obj runtime.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("resources: %T: %w", obj, err)
	}
	delete(content, "status")
	prune(content)
	return &unstructured.Unstructured{Object: content}, nil
}

// structs are the fields of the built objects that Go writes even when nothing in them is set.
var structs = map[string]bool{"creationTimestamp": true, "resources": true, "strategy": true, "metadata": true}

// prune removes nulls, and empty values of fields that are structs in Go. Other empty maps, such as that of an
// emptyDir volume, mean something.
func prune(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, child := range v {
			prune(child)
			if m, isMap := child.(map[string]any); child == nil || (isMap && len(m) == 0 && structs[key]) {
				delete(v, key)
			}
		}
	case []any:
		for _, child := range v {
			prune(child)
		}
	}
}
