// Package metricsapi serves custom.metrics.k8s.io/v1beta2, the API from which HorizontalPodAutoscalers read, so that
// autoscaling on active requests needs nothing else in the cluster.
//
// Every replica of the operator serves (Server): it reads the pods' own metrics (Loads) while somebody asks for them and
// answers in the API's shapes (API); only kube-apiserver gets through, and only for users who may (Guard). The leader
// registers the API (Registrar) unless somebody else has it. The replicas share a serving certificate through a Secret
// (Keeper), and the leader renews it.
package metricsapi
