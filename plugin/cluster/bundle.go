package cluster

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/gptoss/gptoss-operator/plugin/diagnosis"
)

// SecretValues are all values of all Secrets of the namespace, so that none gets out by whatever way. Where they may not be
// listed, those that the model names.
func (c *Cluster) SecretValues(ctx context.Context, s *diagnosis.Snapshot) [][]byte {
	var all [][]byte
	var list corev1.SecretList
	for n := 0; n < maxItems; n += pageSize {
		err := c.Client.List(ctx, &list, client.InNamespace(s.Model.Namespace), client.Limit(pageSize), client.Continue(list.Continue))
		if err != nil {
			return append(all, c.namedSecretValues(ctx, s)...)
		}
		for i := range list.Items {
			all = append(all, values(&list.Items[i])...)
		}
		if list.Continue == "" {
			break
		}
	}
	return all
}

func (c *Cluster) namedSecretValues(ctx context.Context, s *diagnosis.Snapshot) [][]byte {
	var all [][]byte
	for _, name := range diagnosis.SecretNames(s.Model, s.Deployment) {
		secret := &corev1.Secret{}
		if err := c.Client.Get(ctx, client.ObjectKey{Namespace: s.Model.Namespace, Name: name}, secret); err == nil { // else patterns must do
			all = append(all, values(secret)...)
		}
	}
	return all
}

func values(secret *corev1.Secret) [][]byte {
	var all [][]byte
	for _, value := range secret.Data {
		all = append(all, value)
	}
	return all
}

// ServerVersion is the API server's, or why it is not known.
func (c *Cluster) ServerVersion(ctx context.Context) string {
	body, err := c.core.Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return "unknown: " + err.Error()
	}
	var v struct {
		GitVersion string `json:"gitVersion"`
		Platform   string `json:"platform"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return "unknown"
	}
	return v.GitVersion + ", " + v.Platform
}

// OperatorPods are those of the operator, as far as they may be read.
func (c *Cluster) OperatorPods(ctx context.Context, s *diagnosis.Snapshot) []corev1.Pod {
	var all []corev1.Pod
	for i := range s.Operators {
		var list corev1.PodList
		o := &s.Operators[i]
		if o.Spec.Selector == nil {
			continue
		}
		if err := c.Client.List(ctx, &list, client.InNamespace(o.Namespace), client.MatchingLabels(o.Spec.Selector.MatchLabels), client.Limit(10)); err == nil {
			all = append(all, list.Items...)
		}
	}
	return all
}

// Objects are those of the snapshot with their kinds, for files. Of Secrets only names are known, so none is among them.
func (c *Cluster) Objects(_ context.Context, s *diagnosis.Snapshot) []*unstructured.Unstructured {
	var all []*unstructured.Unstructured
	add := func(o client.Object) {
		kind, err := apiutil.GVKForObject(o, c.Client.Scheme())
		if err != nil {
			return // every type here is in the scheme
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return
		}
		u := &unstructured.Unstructured{Object: content}
		u.SetGroupVersionKind(kind)
		all = append(all, u)
	}
	add(s.Model)
	if s.Deployment != nil {
		add(s.Deployment)
	}
	if s.Service != nil {
		add(s.Service)
	}
	addAll(add, s.ReplicaSets)
	addAll(add, s.Pods)
	addAll(add, s.Jobs)
	addAll(add, s.JobPods)
	addAll(add, s.Claims)
	addAll(add, s.Autoscalers)
	addAll(add, s.Quotas)
	addAll(add, s.Nodes)
	addAll(add, s.Operators)
	return all
}

func addAll[T any, P interface {
	*T
	client.Object
}](add func(client.Object), list []T) {
	for i := range list {
		add(P(&list[i]))
	}
}
