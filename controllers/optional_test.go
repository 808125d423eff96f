package controllers

import (
	"context"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources/edge"
	"github.com/gptoss/gptoss-operator/controllers/resources/monitor"
)

// installOptional gives the cluster all APIs that it may lack, and returns what takes them away again and waits until
// they are gone.
func installOptional() (uninstall func(ctx context.Context)) {
	GinkgoHelper()
	options := envtest.CRDInstallOptions{Paths: []string{filepath.Join("testdata", "apis")}, ErrorIfPathMissing: true}
	crds, err := envtest.InstallCRDs(testEnv.Config, options)
	Expect(err).NotTo(HaveOccurred())
	Expect(crds).To(HaveLen(len(optionalKinds)))
	return func(ctx context.Context) {
		GinkgoHelper()
		Expect(envtest.UninstallCRDs(testEnv.Config, options)).To(Succeed())
		for _, crd := range crds {
			Eventually(func() bool {
				return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKey{Name: crd.Name}, crd.DeepCopy()))
			}).Should(BeTrue())
		}
	}
}

func newObject(kind schema.GroupVersionKind) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	return u
}

// field reads a value of an object by its path.
func field(u *unstructured.Unstructured, path ...string) any {
	GinkgoHelper()
	value, _, err := unstructured.NestedFieldNoCopy(u.Object, path...)
	Expect(err).NotTo(HaveOccurred())
	return value
}

// eventuallyGone waits until the model has no object of the kind.
func eventuallyGone(ctx context.Context, m *v1alpha1.GptOssModel, kind schema.GroupVersionKind, name string) {
	GinkgoHelper()
	Eventually(func() bool {
		return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKey{Namespace: m.Namespace, Name: name}, newObject(kind)))
	}).Should(BeTrue())
}

// eventuallyCalm waits until the operator writes nothing more to the model's namespace.
func eventuallyCalm(m *v1alpha1.GptOssModel) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		n := len(writes.in(m.Namespace))
		g.Consistently(func() int { return len(writes.in(m.Namespace)) }, 2*resync, resync/4).Should(Equal(n), "%v", writes.in(m.Namespace))
	}).Should(Succeed())
}

// asksForAll is a spec that uses every API that a cluster may lack, and optionalChildren the kinds that it leads to.
const asksForAll = `{model: {source: {demo: {}}},
	monitoring: {serviceMonitor: {interval: 15s, labels: {release: prom}}, prometheusRule: {labels: {release: prom}}},
	expose: {httpRoute: {parentRefs: [{name: web}], hostnames: [chat.example.com]}, inferencePool: {endpointPicker: {name: picker}}}}`

var optionalChildren = []schema.GroupVersionKind{monitor.ServiceMonitorKind, monitor.PrometheusRuleKind, edge.HTTPRouteKind, edge.InferencePoolKind}

// Serial, since the APIs come and go for the whole server.
var _ = Describe("APIs that a cluster may lack", Serial, Ordered, func() {
	It("are used when they come, missed when they go, and never hold anything up", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), asksForAll)
		rollOut(ctx, m)
		lacking := beReason("False", "APINotFound", And(
			ContainSubstring("spec.expose.inferencePool needs InferencePool of inference.networking.k8s.io/v1, which this cluster does not serve"),
			ContainSubstring("spec.expose.httpRoute needs HTTPRoute of gateway.networking.k8s.io/v1"),
			ContainSubstring("spec.monitoring.prometheusRule needs PrometheusRule of monitoring.coreos.com/v1"),
			Not(ContainSubstring("serviceMonitor"))))
		for range 2 {
			eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue), "the APIs are optional")
			eventuallyCondition(ctx, m, "OptionalAPIsAvailable").Should(lacking)
			eventuallyCalm(m)

			uninstall := installOptional()
			eventuallyCondition(ctx, m, "OptionalAPIsAvailable").Should(beReason("True", "APIsFound", Not(BeEmpty())))
			for _, kind := range optionalChildren {
				Expect(metav1.IsControlledBy(get(ctx, m, newObject(kind)), m)).To(BeTrue())
			}
			Expect(get(ctx, m, newObject(monitor.ServiceMonitorKind)).GetLabels()).To(HaveKeyWithValue("release", "prom"))
			Eventually(func() any {
				return field(get(ctx, m, newObject(edge.HTTPRouteKind)), "spec", "rules")
			}).Should(HaveExactElements(HaveKeyWithValue("backendRefs", HaveExactElements(HaveKeyWithValue("kind", "InferencePool")))))
			eventuallyCalm(m)

			By("removing what is switched off, and only that")
			edit(ctx, m, m, func(m *v1alpha1.GptOssModel) {
				m.Spec.Monitoring.ServiceMonitor.Mode = v1alpha1.ServiceMonitorDisabled
				m.Spec.Expose.InferencePool = nil
			})
			eventuallyGone(ctx, m, monitor.ServiceMonitorKind, m.Name)
			eventuallyGone(ctx, m, edge.InferencePoolKind, m.Name)
			Eventually(func() any {
				return field(get(ctx, m, newObject(edge.HTTPRouteKind)), "spec", "rules")
			}).Should(HaveExactElements(HaveKeyWithValue("backendRefs", HaveExactElements(HaveKeyWithValue("kind", "Service")))))
			edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec = newModel(m.Namespace, asksForAll).Spec })
			get(ctx, m, newObject(monitor.ServiceMonitorKind))

			uninstall(ctx)
			eventuallyCondition(ctx, m, "OptionalAPIsAvailable").Should(lacking)
		}
		By("saying nothing of them when none is asked for")
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Expose, m.Spec.Monitoring = nil, nil })
		Eventually(func() *metav1.Condition {
			return meta.FindStatusCondition(get(ctx, m, m).Status.Conditions, "OptionalAPIsAvailable")
		}).Should(BeNil())
	})
})

var _ = Describe("APIs that a cluster has, though it may lack them,", Serial, Ordered, func() {
	BeforeAll(func() { DeferCleanup(installOptional()) })

	DescribeTable("leave objects of somebody else alone", func(ctx SpecContext, kind schema.GroupVersionKind, content string) {
		m := newModel(newNamespace(ctx), asksForAll)
		foreign := fromYAML(m.Namespace, m.Name, content)
		foreign.SetGroupVersionKind(kind)
		Expect(k8s.Create(ctx, foreign)).To(Succeed())
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "NameConflict", ContainSubstring(kind.Kind+` "chat"`)))
		for _, other := range optionalChildren {
			get(ctx, m, newObject(other)) // what comes before and after it is made all the same
		}
		Expect(field(get(ctx, m, newObject(kind)), "metadata", "resourceVersion")).To(Equal(foreign.GetResourceVersion()))
		Expect(k8s.Delete(ctx, m)).To(Succeed())
	},
		Entry("a ServiceMonitor", monitor.ServiceMonitorKind, `{selector: {}, endpoints: []}`),
		Entry("a PrometheusRule", monitor.PrometheusRuleKind, `{groups: []}`),
		Entry("an HTTPRoute", edge.HTTPRouteKind, `{parentRefs: [{name: theirs}]}`),
		Entry("an InferencePool", edge.InferencePoolKind, `{selector: {matchLabels: {a: b}}, targetPorts: [{number: 1}]}`),
	)
})
