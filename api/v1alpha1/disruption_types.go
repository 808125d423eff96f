package v1alpha1

import "k8s.io/apimachinery/pkg/util/intstr"

// DisruptionSpec says how many pods may be evicted at once, as when nodes are drained.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.maxUnavailable) && has(self.minAvailable))",message="maxUnavailable and minAvailable exclude each other"
// +kubebuilder:validation:XValidation:rule="!(has(self.mode) && self.mode == 'Disabled' && (has(self.maxUnavailable) || has(self.minAvailable)))",message="mode: Disabled excludes maxUnavailable and minAvailable"
type DisruptionSpec struct {
	// mode is Auto (a PodDisruptionBudget when there may be more than one pod), Enabled or Disabled. Default: Enabled
	// when maxUnavailable or minAvailable is given, otherwise Auto.
	// +optional
	Mode DisruptionMode `json:"mode,omitempty"`

	// maxUnavailable is how many pods, or which share of them, may be away at once. Default: 1.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=4
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 1000 : self.matches('^(100|[1-9]?[0-9])%$')",message="must be a number from 0 to 1000, or a share such as 25%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`

	// minAvailable is how many pods, or which share of them, must stay.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=4
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 1000 : self.matches('^(100|[1-9]?[0-9])%$')",message="must be a number from 0 to 1000, or a share such as 25%"
	MinAvailable *intstr.IntOrString `json:"minAvailable,omitempty"`
}

// DisruptionMode says whether a PodDisruptionBudget is made.
//
// +kubebuilder:validation:Enum=Auto;Enabled;Disabled
type DisruptionMode string

// The modes of a PodDisruptionBudget.
const (
	DisruptionAuto     DisruptionMode = "Auto"
	DisruptionEnabled  DisruptionMode = "Enabled"
	DisruptionDisabled DisruptionMode = "Disabled"
)

// Disruption is the PodDisruptionBudget's settings, or nil when none shall be made: one pod alone would make it a
// promise that either blocks every drain or means nothing.
func (m *GptOssModel) Disruption() *DisruptionSpec {
	d := m.Spec.Disruption
	if d == nil {
		d = &DisruptionSpec{}
	}
	switch {
	case d.Mode == DisruptionDisabled:
		return nil
	case d.Mode == DisruptionEnabled || d.MaxUnavailable != nil || d.MinAvailable != nil || m.mostReplicas() > 1:
		return d
	}
	return nil
}

// mostReplicas is how many pods there may be.
func (m *GptOssModel) mostReplicas() int32 {
	if m.Spec.Autoscaling == nil {
		return m.FixedReplicas()
	}
	return m.Spec.Autoscaling.MaxReplicas
}
