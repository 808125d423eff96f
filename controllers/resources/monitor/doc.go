// Package monitor builds what watches a model: ServiceMonitor, PrometheusRule and the ConfigMap of a Grafana dashboard.
//
// Alerts and panels use the names of vLLM's metrics where the server has them beside its own (docs/metrics.md): they
// then work for pods of either runtime.
package monitor
