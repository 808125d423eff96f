package v1alpha1

import "strings"

// MonitoringSpec says how the model's metrics are collected, watched and shown.
type MonitoringSpec struct {
	// serviceMonitor tunes the Prometheus operator's ServiceMonitor, which is made wherever that API exists.
	// +optional
	ServiceMonitor *ServiceMonitorSpec `json:"serviceMonitor,omitempty"`

	// prometheusRule makes a PrometheusRule of the Prometheus operator with alerts for the model; {} is enough.
	// +optional
	PrometheusRule *PrometheusRuleSpec `json:"prometheusRule,omitempty"`

	// dashboard makes a ConfigMap with a dashboard, which Grafana's sidecar finds; {} is enough.
	// +optional
	Dashboard *DashboardSpec `json:"dashboard,omitempty"`
}

// ServiceMonitorSpec tunes the ServiceMonitor.
type ServiceMonitorSpec struct {
	// mode is Auto (make it wherever the API exists) or Disabled. Default: Auto.
	// +optional
	Mode ServiceMonitorMode `json:"mode,omitempty"`

	// interval is the time between scrapes, such as 30s. Default: Prometheus' own.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]*(ms|s|m|h)$`
	Interval string `json:"interval,omitempty"`

	// labels are added to the ServiceMonitor, for a Prometheus that selects by label.
	// +optional
	Labels ExtraLabels `json:"labels,omitempty"`
}

// ExtraLabels are added to those of the operator.
//
// +kubebuilder:validation:MaxProperties=16
// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && size(self[k]) <= 63)",message="a label's key may have 317 characters and its value 63"
// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('app.kubernetes.io/'))",message="labels starting with app.kubernetes.io/ belong to the operator"
type ExtraLabels map[string]LabelValue

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
type LabelValue string

// ServiceMonitorMode says whether a ServiceMonitor is made.
//
// +kubebuilder:validation:Enum=Auto;Disabled
type ServiceMonitorMode string

// The modes of a ServiceMonitor.
const (
	ServiceMonitorAuto     ServiceMonitorMode = "Auto"
	ServiceMonitorDisabled ServiceMonitorMode = "Disabled"
)

// PrometheusRuleSpec makes a PrometheusRule.
type PrometheusRuleSpec struct {
	// labels are added to the PrometheusRule, for a Prometheus that selects by label.
	// +optional
	Labels ExtraLabels `json:"labels,omitempty"`

	// alertLabels are added to every alert, for Alertmanager's routes.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 64 && k.matches('^[a-zA-Z_][a-zA-Z0-9_]*$'))",message="the name of an alert's label holds letters, digits and '_', and has at most 64 characters"
	// +kubebuilder:validation:XValidation:rule="!('alertname' in self) && !('namespace' in self) && !('gptossmodel' in self) && !('severity' in self)",message="the labels alertname, gptossmodel, namespace and severity belong to the operator"
	AlertLabels map[string]AlertLabelValue `json:"alertLabels,omitempty"`

	// disabled are alerts that are left out.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Disabled []AlertName `json:"disabled,omitempty"`

	// runbookURL is where the runbooks are: alerts link to runbookURL/ALERT.md. Default: the product's own pages.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https?://[A-Za-z0-9._~:/@%+-]+$`
	RunbookURL string `json:"runbookURL,omitempty"`

	// thresholds are where alerts begin.
	// +optional
	Thresholds *AlertThresholds `json:"thresholds,omitempty"`
}

// AlertLabelValue is the value of an alert's label.
//
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:XValidation:rule="!self.contains('{{')",message="templates are not evaluated here"
type AlertLabelValue string

// AlertName is one of the alerts.
//
// +kubebuilder:validation:Enum=GptOssModelDown;GptOssPodDown;GptOssCrashLooping;GptOssDegraded;GptOssHighErrorRate;GptOssSlowFirstToken;GptOssQueueLong;GptOssKVCacheFull;GptOssPanics;GptOssAuditRecordsLost
type AlertName string

// The alerts.
const (
	AlertModelDown        AlertName = "GptOssModelDown"
	AlertPodDown          AlertName = "GptOssPodDown"
	AlertCrashLooping     AlertName = "GptOssCrashLooping"
	AlertDegraded         AlertName = "GptOssDegraded"
	AlertHighErrorRate    AlertName = "GptOssHighErrorRate"
	AlertSlowFirstToken   AlertName = "GptOssSlowFirstToken"
	AlertQueueLong        AlertName = "GptOssQueueLong"
	AlertKVCacheFull      AlertName = "GptOssKVCacheFull"
	AlertPanics           AlertName = "GptOssPanics"
	AlertAuditRecordsLost AlertName = "GptOssAuditRecordsLost"
)

// AlertThresholds are where alerts begin.
type AlertThresholds struct {
	// errorPercent is the share of requests that may fail. Default: 5.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=99
	ErrorPercent *int32 `json:"errorPercent,omitempty"`

	// timeToFirstTokenSeconds is what 95 of 100 requests may wait for their first token. Default: 30.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	TimeToFirstTokenSeconds *int32 `json:"timeToFirstTokenSeconds,omitempty"`

	// queuedRequests is how many answers may wait for each pod. Default: 16, as many as run at once.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	QueuedRequests *int32 `json:"queuedRequests,omitempty"`

	// kvCachePercent is how full the memory for keys and values may be while sequences make room for each other.
	// Default: 95.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	KVCachePercent *int32 `json:"kvCachePercent,omitempty"`
}

// DashboardSpec makes a ConfigMap with a dashboard.
type DashboardSpec struct {
	// labels are added to the ConfigMap, beside grafana_dashboard: "1".
	// +optional
	Labels ExtraLabels `json:"labels,omitempty"`

	// annotations are added to the ConfigMap, for example grafana_folder.
	// +optional
	Annotations Annotations `json:"annotations,omitempty"`
}

// Defaults of alerts.
const (
	DefaultRunbookURL              = "https://github.com/gptoss/gptoss-operator/blob/main/docs/runbooks"
	DefaultErrorPercent            = 5
	DefaultTimeToFirstTokenSeconds = 30
	DefaultQueuedRequests          = 16
	DefaultKVCachePercent          = 95
)

// ServiceMonitor is the ServiceMonitor's settings, or nil when none shall be made.
func (m *GptOssModel) ServiceMonitor() *ServiceMonitorSpec {
	if m.Spec.Monitoring == nil || m.Spec.Monitoring.ServiceMonitor == nil {
		return &ServiceMonitorSpec{}
	}
	if m.Spec.Monitoring.ServiceMonitor.Mode == ServiceMonitorDisabled {
		return nil
	}
	return m.Spec.Monitoring.ServiceMonitor
}

// Values are the thresholds, those left out at their defaults.
func (t *AlertThresholds) Values() (errorPercent, firstTokenSeconds, queued, kvCachePercent int32) {
	if t == nil {
		t = &AlertThresholds{}
	}
	or := func(p *int32, fallback int32) int32 {
		if p == nil {
			return fallback
		}
		return *p
	}
	return or(t.ErrorPercent, DefaultErrorPercent), or(t.TimeToFirstTokenSeconds, DefaultTimeToFirstTokenSeconds),
		or(t.QueuedRequests, DefaultQueuedRequests), or(t.KVCachePercent, DefaultKVCachePercent)
}

// Runbook is the page about an alert.
func (s *PrometheusRuleSpec) Runbook(alert AlertName) string {
	base := s.RunbookURL
	if base == "" {
		base = DefaultRunbookURL
	}
	return strings.TrimRight(base, "/") + "/" + string(alert) + ".md"
}
