// Package metric is what GET /metrics shows: the four numbers that the product's specification names, the distributions
// beside them that operating a model server takes, and the same under the names of vLLM, which the Gateway API's endpoint
// picker, autoscalers and dashboards read. docs/metrics.md lists them all; a test keeps it complete.
package metric
