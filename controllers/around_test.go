package controllers

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

var (
	ingressKind   = networkingv1.SchemeGroupVersion.WithKind("Ingress")
	policyKind    = networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy")
	budgetKind    = policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")
	configMapKind = corev1.SchemeGroupVersion.WithKind("ConfigMap")
)

var _ = Describe("what stands around the pods", func() {
	DescribeTable("is made, and removed when it is switched off", func(ctx SpecContext, kind schema.GroupVersionKind, name, spec string, off func(*v1alpha1.GptOssModel)) {
		m := newModel(newNamespace(ctx), demoSpec)
		u := fromYAML(m.Namespace, m.Name, spec) // empty lists and maps mean something, and Go leaves them out
		Expect(k8s.Create(ctx, u)).To(Succeed())
		m.UID = u.GetUID()
		child := newObject(kind)
		child.SetName(name)
		Expect(metav1.IsControlledBy(get(ctx, m, child), m)).To(BeTrue())
		edit(ctx, m, m, off)
		eventuallyGone(ctx, m, kind, name)
		eventuallyCalm(m)
	},
		Entry("an Ingress", ingressKind, "chat", `{model: {source: {demo: {}}}, expose: {ingress: {className: nginx, host: chat.example.com, tls: {secretName: s}}}}`,
			func(m *v1alpha1.GptOssModel) { m.Spec.Expose = nil }),
		Entry("a NetworkPolicy", policyKind, "chat", `{model: {source: {demo: {}}}, networkPolicy: {from: [{namespaceSelector: {}}], egress: []}}`,
			func(m *v1alpha1.GptOssModel) { m.Spec.NetworkPolicy = nil }),
		Entry("a PodDisruptionBudget for several pods", budgetKind, "chat", `{model: {source: {demo: {}}}, replicas: 2}`,
			func(m *v1alpha1.GptOssModel) { m.Spec.Replicas = new(int32(1)) }),
		Entry("a PodDisruptionBudget that is asked for", budgetKind, "chat", `{model: {source: {demo: {}}}, disruption: {minAvailable: 50%}}`,
			func(m *v1alpha1.GptOssModel) { m.Spec.Disruption = nil }),
		Entry("a PodDisruptionBudget of a model that is scaled", budgetKind, "chat", `{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 2}}`,
			func(m *v1alpha1.GptOssModel) {
				m.Spec.Disruption = &v1alpha1.DisruptionSpec{Mode: v1alpha1.DisruptionDisabled}
			}),
		Entry("a dashboard", configMapKind, "chat-dashboard", `{model: {source: {demo: {}}}, monitoring: {dashboard: {}}}`,
			func(m *v1alpha1.GptOssModel) { m.Spec.Monitoring.Dashboard = nil }),
	)

	DescribeTable("is left alone when it belongs to somebody else", func(ctx SpecContext, spec string, foreign client.Object, off func(*v1alpha1.GptOssModel)) {
		m := newModel(newNamespace(ctx), spec)
		foreign.SetNamespace(m.Namespace)
		if foreign.GetName() == "" {
			foreign.SetName(m.Name)
		}
		Expect(k8s.Create(ctx, foreign)).To(Succeed())
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "NameConflict", ContainSubstring(foreign.GetName())))
		version := foreign.GetResourceVersion()
		edit(ctx, m, m, off)
		eventuallyCondition(ctx, m, "Stalled").Should(BeZero())
		Consistently(func() string { return get(ctx, m, foreign).GetResourceVersion() }, resync, resync/5).Should(Equal(version))
		Expect(k8s.Delete(ctx, m)).To(Succeed())
	},
		Entry("an Ingress", `{model: {source: {demo: {}}}, expose: {ingress: {host: a.example.com}}}`,
			&networkingv1.Ingress{Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
				Name: "theirs", Port: networkingv1.ServiceBackendPort{Number: 80},
			}}}}, func(m *v1alpha1.GptOssModel) { m.Spec.Expose = nil }),
		Entry("a NetworkPolicy", `{model: {source: {demo: {}}}, networkPolicy: {scrapers: [{podSelector: {a: b}}]}}`,
			&networkingv1.NetworkPolicy{}, func(m *v1alpha1.GptOssModel) { m.Spec.NetworkPolicy = nil }),
		Entry("a PodDisruptionBudget", `{model: {source: {demo: {}}}, replicas: 2}`,
			&policyv1.PodDisruptionBudget{Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}},
			func(m *v1alpha1.GptOssModel) { m.Spec.Replicas = nil }),
		Entry("a ConfigMap", `{model: {source: {demo: {}}}, monitoring: {dashboard: {}}}`,
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "chat-dashboard"}}, func(m *v1alpha1.GptOssModel) { m.Spec.Monitoring = nil }),
	)

	It("does not wait for what pods wait for, nor they for it", func(ctx SpecContext) {
		m := newModel(newNamespace(ctx), `{model: {source: {demo: {}}}, replicas: 2, expose: {ingress: {host: a.example.com}}, auth: {apiKeys: {secretRef: {name: team}}}}`)
		theirs := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name}}
		Expect(k8s.Create(ctx, theirs)).To(Succeed())
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "SecretNotFound", Not(BeEmpty())))
		get(ctx, m, &networkingv1.Ingress{})
		Expect(k8s.Create(ctx, newTeamSecret(m.Namespace))).To(Succeed())
		get(ctx, m, &appsv1.Deployment{})
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "NameConflict", ContainSubstring("PodDisruptionBudget")))
	})

	It("guards the pods before there are any", func(ctx SpecContext) {
		m := newModel(newNamespace(ctx), `{model: {source: {demo: {}}}, networkPolicy: {from: [{podSelector: {a: b}}]}}`)
		theirs := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name}}
		Expect(k8s.Create(ctx, theirs)).To(Succeed())
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "NameConflict", ContainSubstring("NetworkPolicy")))
		Consistently(func() bool {
			return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(m), &appsv1.Deployment{}))
		}, resync, resync/5).Should(BeTrue(), "no pod without the policy that was asked for")
		Expect(k8s.Delete(ctx, m)).To(Succeed())
	})

	It("moves the Service to another port and type, and tells both addresses", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, expose: {service: {annotations: {a: b}}}}`)
		Expect(get(ctx, m, &corev1.Service{}).Annotations).To(HaveKeyWithValue("a", "b"))
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) {
			m.Spec.Expose.Service = &v1alpha1.ServiceSpec{Type: v1alpha1.ServiceLoadBalancer, Port: new(int32(80)), LoadBalancerSourceRanges: []v1alpha1.CIDR{"10.0.0.0/8"}}
		})
		Eventually(func() corev1.ServiceSpec { return get(ctx, m, &corev1.Service{}).Spec }).Should(And(
			HaveField("Type", corev1.ServiceTypeLoadBalancer), HaveField("LoadBalancerSourceRanges", HaveExactElements("10.0.0.0/8")),
			HaveField("Ports", HaveExactElements(And(HaveField("Port", int32(80)), HaveField("Name", "http"))))))
		live := get(ctx, m, &corev1.Service{})
		Expect(live.Annotations).NotTo(HaveKey("a"))
		live.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.7"}}
		Expect(k8s.Status().Update(ctx, live)).To(Succeed())
		Eventually(func() v1alpha1.GptOssModelStatus { return get(ctx, m, m).Status }).Should(And(
			HaveField("URL", "http://chat."+m.Namespace+".svc:80/v1"), HaveField("ExternalURL", "http://192.0.2.7:80/v1")))

		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Expose = nil })
		Eventually(func() corev1.ServiceSpec { return get(ctx, m, &corev1.Service{}).Spec }).Should(And(
			HaveField("Type", corev1.ServiceTypeClusterIP), HaveField("LoadBalancerSourceRanges", BeEmpty()),
			HaveField("Ports", HaveExactElements(HaveField("Port", int32(8000))))))
		Eventually(func() string { return get(ctx, m, m).Status.ExternalURL }).Should(BeEmpty())
	})
})
