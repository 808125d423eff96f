// Package e2e tests the whole product on the local Kubernetes: the operator in
// the cluster, its pods, and the official OpenAI client. It runs with the build
// tag e2e, through `make e2e`.
package e2e
