// Package v1alpha1 holds the GptOssModel API: what a user may declare, what the operator reports, and the rules between them.
//
// The files NAME_types.go hold data and validation rules, NAME_funcs.go defaults, resolved on reading so that nothing is ever
// written back into a user's spec, and conditions.go condition types and reasons.
//
// +kubebuilder:object:generate=true
// +groupName=gptoss.dev
package v1alpha1
