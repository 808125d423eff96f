package edge

import (
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// Kinds of APIs that a cluster may lack.
var (
	HTTPRouteKind     = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}
	InferencePoolKind = schema.GroupVersionKind{Group: "inference.networking.k8s.io", Version: "v1", Kind: "InferencePool"}
)

// Children are what makes pods reachable and keeps them from being evicted, on or off as the model wants it. pools says
// whether the cluster knows InferencePools.
func Children(m *v1alpha1.GptOssModel, pools bool) ([]resources.Child, error) {
	exposed := m.Exposed()
	route, err := route(m, pools)
	if err != nil {
		return nil, err
	}
	pool, err := pool(m)
	if err != nil {
		return nil, err
	}
	return []resources.Child{
		{Object: disruptionBudget(m), Off: m.Disruption() == nil},
		{Object: ingress(m), Off: exposed.Ingress == nil},
		{Object: pool, Off: exposed.InferencePool == nil, Field: "spec.expose.inferencePool"},
		{Object: route, Off: exposed.HTTPRoute == nil, Field: "spec.expose.httpRoute"},
	}, nil
}

// Guard is the NetworkPolicy: apart from the others, since it must be there before the first pod is. namespace is where
// the operator itself runs; empty outside a cluster.
func Guard(m *v1alpha1.GptOssModel, namespace string) resources.Child {
	return resources.Child{Object: networkPolicy(m, namespace), Off: m.Spec.NetworkPolicy == nil}
}

func disruptionBudget(m *v1alpha1.GptOssModel) *policyv1.PodDisruptionBudget {
	b := &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: resources.ObjectMeta(m, m.Name, nil, nil),
		Spec: policyv1.PodDisruptionBudgetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: resources.SelectorLabels(m)},
			// A pod that does not serve protects nobody by staying, and one that cannot start would block drains for ever.
			UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
		},
	}
	d := m.Disruption()
	switch {
	case d != nil && d.MaxUnavailable != nil:
		b.Spec.MaxUnavailable = d.MaxUnavailable
	case d != nil && d.MinAvailable != nil:
		b.Spec.MinAvailable = d.MinAvailable
	default:
		b.Spec.MaxUnavailable = new(defaultUnavailable)
	}
	return b
}

func typed(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: kind}
}
