package v1alpha1

import (
	"k8s.io/apimachinery/pkg/util/intstr"
)

// RolloutSpec says how pods are replaced when the spec changes.
//
// +kubebuilder:validation:XValidation:rule="!has(self.maxSurge) || !has(self.maxUnavailable) || !(string(self.maxSurge) in ['0', '0%'] && string(self.maxUnavailable) in ['0', '0%'])",message="rollout.maxSurge and rollout.maxUnavailable must not both be 0: nothing could be replaced"
type RolloutSpec struct {
	// maxSurge is how many pods, or percent of them, may be added while others are replaced. Default: 1.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 1000 : string(self).matches('^(100|[1-9]?[0-9])%$')",message="rollout.maxSurge must be a number from 0 to 1000, or a percentage from 0% to 100%"
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`

	// maxUnavailable is how many pods, or percent of them, may be missing meanwhile. Default: 0, or 1 where maxSurge is 0.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 1000 : string(self).matches('^(100|[1-9]?[0-9])%$')",message="rollout.maxUnavailable must be a number from 0 to 1000, or a percentage from 0% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`

	// drainTimeout is how long running answers may take to finish when a pod has to go, such as 5m. Default: what an
	// answer of generation.maxTokens takes at 10 tokens a second, from 30s to 1h.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('1h')",message="rollout.drainTimeout must be at most 1h"
	DrainTimeout *Period `json:"drainTimeout,omitempty"`

	// onNoCapacity says what happens when the cluster has no room for a new pod beside those that it shall replace: Wait
	// until there is room, or Recreate, which stops an earlier pod first, one after the other. Default: Wait.
	// +optional
	OnNoCapacity OnNoCapacity `json:"onNoCapacity,omitempty"`

	// serverUpdates says what a new version of the operator does to running pods: with OnChange they stay as they are until
	// the spec changes, or the annotation gptoss.dev/update; with Automatic they are replaced at once by what the new
	// version would make. Default: OnChange.
	// +optional
	ServerUpdates ServerUpdates `json:"serverUpdates,omitempty"`
}

// OnNoCapacity says what a rollout does without room for another pod.
//
// +kubebuilder:validation:Enum=Wait;Recreate
type OnNoCapacity string

// What a rollout does without room for another pod.
const (
	OnNoCapacityWait     OnNoCapacity = "Wait"
	OnNoCapacityRecreate OnNoCapacity = "Recreate"
)

// ServerUpdates says when running pods follow a new version of the operator.
//
// +kubebuilder:validation:Enum=OnChange;Automatic
type ServerUpdates string

// When running pods follow a new version of the operator.
const (
	ServerUpdatesOnChange  ServerUpdates = "OnChange"
	ServerUpdatesAutomatic ServerUpdates = "Automatic"
)

// UpdateAnnotation on a GptOssModel lets its pods follow the operator's version once: whenever its value changes.
const UpdateAnnotation = "gptoss.dev/update"

// StartupStatus says where the time of a pod's start went, in whole seconds.
type StartupStatus struct {
	// pod is the pod that was measured: the newest that has become ready.
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod"`

	// scheduledSeconds passed until a node was found.
	ScheduledSeconds int64 `json:"scheduledSeconds"`

	// pulledSeconds passed then until its volumes and image were there and the server's container started.
	PulledSeconds int64 `json:"pulledSeconds"`

	// loadedSeconds passed then until the server had loaded the model.
	LoadedSeconds int64 `json:"loadedSeconds"`

	// readySeconds is the sum: from the pod's creation until it served.
	ReadySeconds int64 `json:"readySeconds"`
}

// Rollout is how pods are replaced, of which nothing is set where the user says nothing.
func (m *GptOssModel) Rollout() RolloutSpec {
	if m.Spec.Rollout == nil {
		return RolloutSpec{}
	}
	return *m.Spec.Rollout
}

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
