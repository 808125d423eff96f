// Package edge builds what stands between a model's pods and the rest of the cluster: the ways in (Ingress, HTTPRoute,
// InferencePool), the NetworkPolicy, and the PodDisruptionBudget. Pure functions, like those of package resources.
//
// Every field that the API server would fill in inside of a list that it treats as a whole is set here: such a list is
// compared as a whole (drift.go), and would otherwise never look right.
package edge
