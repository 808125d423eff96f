package monitor

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// Kinds of the Prometheus operator, which a cluster may lack.
var (
	ServiceMonitorKind = schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitor"}
	PrometheusRuleKind = schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "PrometheusRule"}
)

// Children are what watches the model, on or off as it wants it.
func Children(m *v1alpha1.GptOssModel) ([]resources.Child, error) {
	spec := m.Spec.Monitoring
	if spec == nil {
		spec = &v1alpha1.MonitoringSpec{}
	}
	scrape, err := serviceMonitor(m)
	if err != nil {
		return nil, err
	}
	rule, err := prometheusRule(m, spec.PrometheusRule)
	if err != nil {
		return nil, err
	}
	shown, err := dashboard(m, spec.Dashboard)
	if err != nil {
		return nil, err
	}
	return []resources.Child{
		{Object: scrape, Off: m.ServiceMonitor() == nil},
		{Object: rule, Off: spec.PrometheusRule == nil, Field: "spec.monitoring.prometheusRule"},
		{Object: shown, Off: spec.Dashboard == nil},
	}, nil
}

// serviceMonitor tells Prometheus to scrape the model's pods.
func serviceMonitor(m *v1alpha1.GptOssModel) (*unstructured.Unstructured, error) {
	spec := m.ServiceMonitor()
	if spec == nil {
		spec = &v1alpha1.ServiceMonitorSpec{}
	}
	endpoint := map[string]any{"port": resources.PortName, "path": resources.MetricsPath(m)}
	if spec.Interval != "" {
		endpoint["interval"] = spec.Interval
	}
	return resources.Optional(ServiceMonitorKind, resources.ObjectMeta(m, m.Name, spec.Labels, nil), map[string]any{
		"jobLabel":  resources.LabelInstance,
		"selector":  map[string]any{"matchLabels": resources.Labelled(resources.SelectorLabels(m))},
		"endpoints": []any{endpoint},
	})
}
