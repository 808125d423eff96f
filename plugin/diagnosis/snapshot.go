package diagnosis

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// The kinds that a reader may lack the right to see, as Snapshot.Unread calls them.
const (
	KindAutoscalers = "horizontalpodautoscalers"
	KindClaims      = "persistentvolumeclaims"
	KindDeployments = "deployments"
	KindEvents      = "events"
	KindJobs        = "jobs"
	KindMetricsAPI  = "apiservices"
	KindNodes       = "nodes"
	KindOperators   = "the operator's deployments"
	KindPods        = "pods"
	KindQuotas      = "resourcequotas"
	KindReplicaSets = "replicasets"
	KindSecrets     = "secrets"
	KindServices    = "services"
)

// Snapshot is what is known of a model at one moment. Pointers are nil where an object does not exist.
type Snapshot struct {
	Now   time.Time
	Model *v1alpha1.GptOssModel

	Deployment  *appsv1.Deployment // of the model's name, whoever owns it; so too Service
	Service     *corev1.Service
	ReplicaSets []appsv1.ReplicaSet // of the Deployment
	Pods        []corev1.Pod        // of the server
	Jobs        []batchv1.Job       // of the model
	JobPods     []corev1.Pod
	Claims      []corev1.PersistentVolumeClaim // those of ClaimNames
	Secrets     []Secret                       // those of SecretNames
	Autoscalers []autoscalingv2.HorizontalPodAutoscaler
	Events      []corev1.Event // about any of these
	Quotas      []corev1.ResourceQuota
	Nodes       []corev1.Node
	Operators   []appsv1.Deployment // of gptoss-operator, in any namespace
	Leases      []coordinationv1.Lease
	MetricsAPI  *MetricsAPI

	// LastLines are the last lines that containers wrote, by pod.
	LastLines map[string]string

	// Unread says of kinds that could not be read why not. Nothing follows from the absence of their objects.
	Unread map[string]string
}

// Secret is what a diagnosis may know of a Secret: never a value.
type Secret struct {
	Name    string
	Owner   string   // UID of the controller, "" for none
	Entries []string // that are not empty
}

// MetricsAPI is the APIService of custom.metrics.k8s.io.
type MetricsAPI struct {
	Name, Service     string
	Available         bool
	Reason, Condition string // of Available
}

// Evidence is a fact beside the sentence.
type Evidence struct {
	// Object is what the fact is about, such as "Pod chat-7d9".
	Object string `json:"object"`
	// Text is the fact.
	Text string `json:"text"`
}

// Diagnosis is the answer.
type Diagnosis struct {
	// Ready is whether the model serves as it shall.
	Ready bool `json:"ready"`
	// Reason is one word for programs.
	Reason string `json:"reason"`
	// Sentence is the answer for people.
	Sentence string `json:"sentence"`
	// Advice is what to do, empty where only time helps or nothing is certain.
	Advice string `json:"advice,omitempty"`
	// Evidence are the facts, those that the sentence rests on first.
	Evidence []Evidence `json:"evidence,omitempty"`
}

// ClaimNames are the claims that the model and its pods name, sorted.
func ClaimNames(m *v1alpha1.GptOssModel, d *appsv1.Deployment, jobs []batchv1.Job) []string {
	var names []string
	if pvc := m.Spec.Model.Source.PersistentVolumeClaim; pvc != nil {
		names = append(names, pvc.ClaimName)
	}
	add := func(spec corev1.PodSpec) {
		for i := range spec.Volumes {
			if claim := spec.Volumes[i].PersistentVolumeClaim; claim != nil {
				names = append(names, claim.ClaimName)
			}
		}
	}
	if d != nil && owned(d, m) {
		add(d.Spec.Template.Spec)
	}
	for i := range jobs {
		add(jobs[i].Spec.Template.Spec)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// need is a Secret that something takes for granted.
type need struct{ name, entry, by string }

// needs lists the Secrets that the model and its pods name. The operator makes the generated one itself.
func needs(m *v1alpha1.GptOssModel, d *appsv1.Deployment) []need {
	var all []need
	if m.NamedSecret() != nil {
		name, entry := m.APIKeySecret()
		all = append(all, need{name, entry, "spec.auth.apiKeys.secretRef"})
	}
	if d == nil || !owned(d, m) {
		return all
	}
	add := func(name, entry string, optional *bool) {
		known := slices.ContainsFunc(all, func(n need) bool { return n.name == name && (n.entry == entry || entry == "") })
		if !known && (optional == nil || !*optional) {
			all = append(all, need{name, entry, "the model's pods"})
		}
	}
	spec := d.Spec.Template.Spec
	for i := range spec.Volumes {
		if secret := spec.Volumes[i].Secret; secret != nil {
			if len(secret.Items) == 0 {
				add(secret.SecretName, "", secret.Optional)
			}
			for _, item := range secret.Items {
				add(secret.SecretName, item.Key, secret.Optional)
			}
		}
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, env := range c.Env {
			if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil {
				ref := env.ValueFrom.SecretKeyRef
				add(ref.Name, ref.Key, ref.Optional)
			}
		}
	}
	return all
}

// SecretNames are the Secrets that the model and its pods name, the generated one among them.
func SecretNames(m *v1alpha1.GptOssModel, d *appsv1.Deployment) []string {
	var names []string
	if name, _ := m.APIKeySecret(); name != "" {
		names = append(names, name)
	}
	for _, n := range needs(m, d) {
		names = append(names, n.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// saw reports whether the kind could be read, so that what is not there does not exist.
func (s *Snapshot) saw(kind string) bool { return s.Unread[kind] == "" }
