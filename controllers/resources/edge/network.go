package edge

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// operatorPods are the labels of the operator's own pods, in kustomization and chart alike.
var operatorPods = map[string]string{
	resources.LabelName: resources.ManagedBy, resources.LabelComponent: "manager", resources.LabelPartOf: resources.PartOf,
}

// prometheusPods is the label that the Prometheus operator and the Prometheus chart give their pods.
var prometheusPods = map[string]string{resources.LabelName: "prometheus"}

func networkPolicy(m *v1alpha1.GptOssModel, namespace string) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{TypeMeta: typed("NetworkPolicy"), ObjectMeta: resources.ObjectMeta(m, m.Name, nil, nil)}
	spec := m.Spec.NetworkPolicy
	if spec == nil {
		return p
	}
	p.Spec = networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: resources.SelectorLabels(m)},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
	}
	// A rule without peers would let everybody in; without rules, nobody.
	if from := callers(spec, namespace); len(from) > 0 {
		p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: from, Ports: ports(corev1.ProtocolTCP, resources.ServerPort)}}
	}
	if spec.Egress != nil {
		p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		p.Spec.Egress = egress(spec.Egress)
	}
	return p
}

// callers are clients, scrapers and the operator.
func callers(spec *v1alpha1.NetworkPolicySpec, namespace string) []networkingv1.NetworkPolicyPeer {
	var out []networkingv1.NetworkPolicyPeer
	if spec.From == nil {
		out = append(out, networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}})
	}
	for i := range spec.From {
		out = append(out, peer(&spec.From[i]))
	}
	if spec.Scrapers == nil {
		out = append(out, networkingv1.NetworkPolicyPeer{
			NamespaceSelector: &metav1.LabelSelector{}, PodSelector: &metav1.LabelSelector{MatchLabels: prometheusPods},
		})
	}
	for i := range spec.Scrapers {
		out = append(out, peer(&spec.Scrapers[i]))
	}
	if namespace != "" {
		out = append(out, networkingv1.NetworkPolicyPeer{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			PodSelector:       &metav1.LabelSelector{MatchLabels: operatorPods},
		})
	}
	return out
}

// egress lets pods ask any resolver: a resolver on the node has no labels that could be selected by.
func egress(to []v1alpha1.NetworkDestination) []networkingv1.NetworkPolicyEgressRule {
	out := []networkingv1.NetworkPolicyEgressRule{{Ports: append(ports(corev1.ProtocolUDP, 53), ports(corev1.ProtocolTCP, 53)...)}}
	for i := range to {
		rule := networkingv1.NetworkPolicyEgressRule{}
		if p := to[i].Peer(); p != nil {
			rule.To = []networkingv1.NetworkPolicyPeer{peer(p)}
		}
		for _, number := range to[i].Ports {
			rule.Ports = append(rule.Ports, ports(corev1.ProtocolTCP, int32(number))...)
		}
		out = append(out, rule)
	}
	return out
}

func peer(p *v1alpha1.NetworkPeer) networkingv1.NetworkPolicyPeer {
	if p.IPBlock != "" {
		return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: string(p.IPBlock)}}
	}
	return networkingv1.NetworkPolicyPeer{NamespaceSelector: selector(p.NamespaceSelector), PodSelector: selector(p.PodSelector)}
}

// selector is nil for labels that are not given, and selects everything for empty ones.
func selector(labels v1alpha1.NetworkSelector) *metav1.LabelSelector {
	if labels == nil {
		return nil
	}
	out := &metav1.LabelSelector{}
	for k, v := range labels {
		if out.MatchLabels == nil {
			out.MatchLabels = make(map[string]string, len(labels))
		}
		out.MatchLabels[k] = string(v)
	}
	return out
}

func ports(protocol corev1.Protocol, number int32) []networkingv1.NetworkPolicyPort {
	return []networkingv1.NetworkPolicyPort{{Protocol: new(protocol), Port: new(intstr.FromInt32(number))}}
}
