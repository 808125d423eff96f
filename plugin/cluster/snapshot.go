package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/plugin/diagnosis"
)

const (
	// maxItems bounds what is read of one kind: beyond it a diagnosis has enough, and a namespace is somebody's dump.
	maxItems = 5000

	lastLogLines = 20
	lastLogBytes = 16 << 10
)

// reader fills a snapshot. What may not be read, or is not there, is noted rather than being an error.
type reader struct {
	*Cluster
	s *diagnosis.Snapshot
}

// Snapshot reads everything that a diagnosis of the model rests on.
func (c *Cluster) Snapshot(ctx context.Context, m *v1alpha1.GptOssModel, now time.Time) (*diagnosis.Snapshot, error) {
	r := reader{c, &diagnosis.Snapshot{Now: now, Model: m, Unread: map[string]string{}, LastLines: map[string]string{}}}
	r.workload(ctx)
	r.jobs(ctx)
	r.names(ctx)
	r.around(ctx)
	r.operators(ctx)
	r.metricsAPI(ctx)
	r.lastLines(ctx)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("the cluster took too long to answer: %w", context.Cause(ctx))
	}
	return r.s, nil
}

// note keeps why a kind was not read. An object or kind that does not exist was read: it is not there.
func (r reader) note(kind string, err error) bool {
	if err == nil {
		return true
	}
	if !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
		r.s.Unread[kind] = err.Error()
	}
	return false
}

func (r reader) get(ctx context.Context, kind, name string, obj client.Object) bool {
	return r.note(kind, r.Client.Get(ctx, client.ObjectKey{Namespace: r.s.Model.Namespace, Name: name}, obj))
}

// list reads pages until all is there, or enough.
func (r reader) list(ctx context.Context, kind string, list client.ObjectList, each func(), options ...client.ListOption) {
	for n := 0; n < maxItems; n += pageSize {
		page := append(slices.Clone(options), client.Limit(pageSize), client.Continue(list.GetContinue()))
		if !r.note(kind, r.Client.List(ctx, list, page...)) {
			return
		}
		each()
		if list.GetContinue() == "" {
			return
		}
	}
}

func (r reader) workload(ctx context.Context) {
	m := r.s.Model
	if d := new(appsv1.Deployment); r.get(ctx, diagnosis.KindDeployments, m.Name, d) {
		r.s.Deployment = d
	}
	if s := new(corev1.Service); r.get(ctx, diagnosis.KindServices, m.Name, s) {
		r.s.Service = s
	}
	here := client.InNamespace(m.Namespace)
	var sets appsv1.ReplicaSetList
	r.list(ctx, diagnosis.KindReplicaSets, &sets, func() {
		for _, rs := range sets.Items {
			if r.s.Deployment != nil && metav1.IsControlledBy(&rs, r.s.Deployment) {
				r.s.ReplicaSets = append(r.s.ReplicaSets, rs)
			}
		}
	}, here, client.MatchingLabelsSelector{Selector: selector(m)})
	var pods corev1.PodList
	r.list(ctx, diagnosis.KindPods, &pods, func() { r.s.Pods = append(r.s.Pods, pods.Items...) }, here, client.MatchingLabelsSelector{Selector: selector(m)})
}

func (r reader) jobs(ctx context.Context) {
	m := r.s.Model
	here, labelled := client.InNamespace(m.Namespace), client.MatchingLabels{"app.kubernetes.io/instance": m.Name}
	var jobs batchv1.JobList
	r.list(ctx, diagnosis.KindJobs, &jobs, func() {
		for _, job := range jobs.Items {
			if metav1.IsControlledBy(&job, m) {
				r.s.Jobs = append(r.s.Jobs, job)
			}
		}
	}, here, labelled)
	if len(r.s.Jobs) == 0 {
		return
	}
	var pods corev1.PodList
	r.list(ctx, diagnosis.KindPods, &pods, func() {
		for _, p := range pods.Items {
			if slices.ContainsFunc(r.s.Jobs, func(j batchv1.Job) bool { return metav1.IsControlledBy(&p, &j) }) {
				r.s.JobPods = append(r.s.JobPods, p)
			}
		}
	}, here, labelled)
}

// names reads the objects that the model and its pods name.
func (r reader) names(ctx context.Context) {
	m := r.s.Model
	for _, name := range diagnosis.ClaimNames(m, r.s.Deployment, r.s.Jobs) {
		if c := new(corev1.PersistentVolumeClaim); r.get(ctx, diagnosis.KindClaims, name, c) {
			r.s.Claims = append(r.s.Claims, *c)
		}
	}
	for _, name := range diagnosis.SecretNames(m, r.s.Deployment) {
		secret := new(corev1.Secret)
		if !r.get(ctx, diagnosis.KindSecrets, name, secret) {
			continue
		}
		seen := diagnosis.Secret{Name: name}
		if owner := metav1.GetControllerOf(secret); owner != nil {
			seen.Owner = string(owner.UID)
		}
		for entry, value := range secret.Data {
			if len(value) > 0 {
				seen.Entries = append(seen.Entries, entry)
			}
		}
		slices.Sort(seen.Entries)
		r.s.Secrets = append(r.s.Secrets, seen)
	}
}

// around reads what surrounds the model: autoscalers of its name or Deployment, quotas, nodes, and events about any of it.
func (r reader) around(ctx context.Context) {
	m := r.s.Model
	here := client.InNamespace(m.Namespace)
	var scalers autoscalingv2.HorizontalPodAutoscalerList
	r.list(ctx, diagnosis.KindAutoscalers, &scalers, func() {
		for _, h := range scalers.Items {
			if h.Name == m.Name || h.Spec.ScaleTargetRef.Name == m.Name {
				r.s.Autoscalers = append(r.s.Autoscalers, h)
			}
		}
	}, here)
	var quotas corev1.ResourceQuotaList
	r.list(ctx, diagnosis.KindQuotas, &quotas, func() { r.s.Quotas = append(r.s.Quotas, quotas.Items...) }, here)
	var nodes corev1.NodeList
	r.list(ctx, diagnosis.KindNodes, &nodes, func() { r.s.Nodes = append(r.s.Nodes, nodes.Items...) })
	about := r.about()
	var events corev1.EventList
	r.list(ctx, diagnosis.KindEvents, &events, func() {
		for _, e := range events.Items {
			if about[e.InvolvedObject.Kind+"/"+e.InvolvedObject.Name] {
				r.s.Events = append(r.s.Events, e)
			}
		}
	}, here)
}

// about are the objects whose events count, as kind/name.
func (r reader) about() map[string]bool {
	s := r.s
	all := map[string]bool{}
	for _, kind := range []string{"GptOssModel", "Deployment", "Service", "HorizontalPodAutoscaler"} {
		all[kind+"/"+s.Model.Name] = true
	}
	for i := range s.ReplicaSets {
		all["ReplicaSet/"+s.ReplicaSets[i].Name] = true
	}
	for _, pods := range [][]corev1.Pod{s.Pods, s.JobPods} {
		for i := range pods {
			all["Pod/"+pods[i].Name] = true
		}
	}
	for i := range s.Jobs {
		all["Job/"+s.Jobs[i].Name] = true
	}
	for i := range s.Claims {
		all["PersistentVolumeClaim/"+s.Claims[i].Name] = true
	}
	return all
}

// operators finds the operator by its label, in whatever namespace, and the lease of its leader.
func (r reader) operators(ctx context.Context) {
	var list appsv1.DeploymentList
	r.list(ctx, diagnosis.KindOperators, &list, func() { r.s.Operators = append(r.s.Operators, list.Items...) },
		client.MatchingLabels{"app.kubernetes.io/name": "gptoss-operator"})
	for i := range r.s.Operators {
		lease := &coordinationv1.Lease{}
		key := client.ObjectKey{Namespace: r.s.Operators[i].Namespace, Name: "gptoss-operator.gptoss.dev"}
		if err := r.Client.Get(ctx, key, lease); err == nil { // one that may not be read only leaves a question open
			r.s.Leases = append(r.s.Leases, *lease)
		}
	}
}

// metricsAPI reads who serves custom metrics, if anybody. The kind is not in client-go, so it is read without a type.
func (r reader) metricsAPI(ctx context.Context) {
	if r.s.Model.Spec.Autoscaling == nil {
		return
	}
	for _, version := range []string{"v1beta2", "v1beta1"} {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"})
		if !r.note(diagnosis.KindMetricsAPI, r.Client.Get(ctx, client.ObjectKey{Name: version + ".custom.metrics.k8s.io"}, u)) {
			continue
		}
		r.s.MetricsAPI = metricsAPI(u)
		return
	}
}

func metricsAPI(u *unstructured.Unstructured) *diagnosis.MetricsAPI {
	api := &diagnosis.MetricsAPI{Name: u.GetName()}
	service, _, _ := unstructured.NestedString(u.Object, "spec", "service", "name") // absent reads as empty
	namespace, _, _ := unstructured.NestedString(u.Object, "spec", "service", "namespace")
	api.Service = namespace + "/" + service
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, entry := range conditions {
		c, ok := entry.(map[string]any)
		if !ok || c["type"] != "Available" {
			continue
		}
		api.Available = c["status"] == "True"
		api.Reason, _ = c["reason"].(string)
		api.Condition, _ = c["message"].(string)
	}
	return api
}

// lastLines reads the end of the log of containers that ended without a word.
func (r reader) lastLines(ctx context.Context) {
	for i := range r.s.Pods {
		p := &r.s.Pods[i]
		for _, c := range p.Status.ContainerStatuses {
			end, previous := c.State.Terminated, false
			if end == nil {
				end, previous = c.LastTerminationState.Terminated, true
			}
			if end == nil || end.Message != "" {
				continue
			}
			if text, err := r.Log(ctx, p, c.Name, previous, lastLogLines, lastLogBytes); err == nil { // else the status must do
				r.s.LastLines[p.Name] = string(text)
			}
		}
	}
}
