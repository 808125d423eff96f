package resources

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// ServiceMonitorKind is the Prometheus operator's kind. It is handled without its Go types: a cluster may lack the API.
var ServiceMonitorKind = schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitor"}

// ServiceMonitor tells Prometheus to scrape the model's pods.
func ServiceMonitor(m *v1alpha1.GptOssModel, spec *v1alpha1.ServiceMonitorSpec) (*unstructured.Unstructured, error) {
	endpoint := map[string]any{"port": PortName, "path": MetricsPath(m)}
	if spec.Interval != "" {
		endpoint["interval"] = spec.Interval
	}
	selector := map[string]any{}
	for k, v := range SelectorLabels(m) {
		selector[k] = v
	}
	meta := objectMeta(m, m.Name)
	for k, v := range spec.Labels {
		if _, ours := meta.Labels[k]; !ours {
			meta.Labels[k] = string(v)
		}
	}
	metadata, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&meta)
	if err != nil {
		return nil, err
	}
	delete(metadata, "creationTimestamp")
	u := &unstructured.Unstructured{Object: map[string]any{
		"metadata": metadata,
		"spec": map[string]any{
			"jobLabel":  LabelInstance,
			"selector":  map[string]any{"matchLabels": selector},
			"endpoints": []any{endpoint},
		},
	}}
	u.SetGroupVersionKind(ServiceMonitorKind)
	return u, nil
}
