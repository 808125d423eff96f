package v1alpha1

import (
	"fmt"
	"math"
	"strconv"
)

// Defaults of fields that a user leaves out. Those of generation and contextLength are the server's own.
const (
	// DefaultReplicas is the number of pods without replicas and autoscaling.
	DefaultReplicas = 1

	// DefaultMinReplicas is the autoscaler's lower bound.
	DefaultMinReplicas = 1

	// DefaultTargetActiveRequests is half of the engine's batch of 16: the other half serves while a new pod loads.
	DefaultTargetActiveRequests = 8

	// DefaultAPIKeyEntry is the entry of the Secret that holds the keys.
	DefaultAPIKeyEntry = "api-key"

	// DemoModelName is the model id of the demo source.
	DemoModelName = "gpt-oss-demo"

	// APIKeySecretSuffix makes the generated Secret's name from the object's.
	APIKeySecretSuffix = "-api-key"
)

// ModelName is the model id that clients send.
func (m *GptOssModel) ModelName() string {
	if m.Spec.Model.Name != "" {
		return m.Spec.Model.Name
	}
	return m.Spec.Model.Source.Name()
}

// FixedReplicas is the number of pods while no autoscaler chooses it.
func (m *GptOssModel) FixedReplicas() int32 {
	if m.Spec.Replicas == nil {
		return DefaultReplicas
	}
	return *m.Spec.Replicas
}

// Bounds are the autoscaler's limits and its target of active requests per pod.
func (a *AutoscalingSpec) Bounds() (minReplicas, maxReplicas, targetActiveRequests int32) {
	minReplicas, targetActiveRequests = DefaultMinReplicas, DefaultTargetActiveRequests
	if a.MinReplicas != nil {
		minReplicas = *a.MinReplicas
	}
	if a.TargetActiveRequests != nil {
		targetActiveRequests = *a.TargetActiveRequests
	}
	return minReplicas, a.MaxReplicas, targetActiveRequests
}

// Anonymous reports whether clients need no key.
func (m *GptOssModel) Anonymous() bool {
	return m.Spec.Auth != nil && m.Spec.Auth.Anonymous != nil
}

// NamedSecret is the user's Secret of API keys, or nil when the operator generates one or none is needed.
func (m *GptOssModel) NamedSecret() *SecretKeyRef {
	if m.Spec.Auth == nil || m.Spec.Auth.APIKeys == nil {
		return nil
	}
	return &m.Spec.Auth.APIKeys.SecretRef
}

// APIKeySecret is the name of the Secret that holds the API keys and the entry in it; both empty when anonymous.
func (m *GptOssModel) APIKeySecret() (name, entry string) {
	if m.Anonymous() {
		return "", ""
	}
	ref := m.NamedSecret()
	if ref == nil {
		return m.Name + APIKeySecretSuffix, DefaultAPIKeyEntry
	}
	if ref.Key == "" {
		return ref.Name, DefaultAPIKeyEntry
	}
	return ref.Name, ref.Key
}

// Float is the number's nearest float64.
func (d Decimal) Float() (float64, error) {
	f, err := strconv.ParseFloat(string(d), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, fmt.Errorf("v1alpha1: %q is not a decimal number", string(d))
	}
	return f, nil
}

// MarshalJSON writes the number as it was read.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if _, err := d.Float(); err != nil {
		return nil, err
	}
	return []byte(d), nil
}

// UnmarshalJSON takes a JSON number and keeps its text.
func (d *Decimal) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	n := Decimal(data)
	if _, err := n.Float(); err != nil {
		return err
	}
	*d = n
	return nil
}
