// Package cluster reads what the hand tool needs from a cluster and reaches into its pods: the snapshot that a diagnosis is
// made from, logs, and HTTP through the API server's port-forward, for which no local port is opened.
package cluster
