package controllers

import (
	"context"
	"encoding/base64"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/metricsapi"
)

var metricsService = types.NamespacedName{Namespace: "gptoss-system", Name: "gptoss-operator-metrics-api"}

// prepareMetricsAPI makes what the installation brings along.
func prepareMetricsAPI() {
	GinkgoHelper()
	ctx := context.Background()
	Expect(k8s.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metricsService.Namespace}})).To(Succeed())
}

func apiService(name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(metricsapi.ServiceKind)
	u.SetName(name)
	return u
}

// adapter is the registration of somebody else's custom metrics API.
func adapter(version string) *unstructured.Unstructured {
	u := apiService(version + ".custom.metrics.k8s.io")
	u.Object["spec"] = map[string]any{
		"group": "custom.metrics.k8s.io", "version": version, "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
		"insecureSkipTLSVerify": true, "service": map[string]any{"namespace": "monitoring", "name": "prometheus-adapter", "port": int64(443)},
	}
	return u
}

// serviceOf waits for an APIService and returns the name of the Service that it leads to.
func serviceOf(ctx context.Context, name string) func() string {
	return func() string {
		u := apiService(name)
		if err := k8s.Get(ctx, client.ObjectKeyFromObject(u), u); err != nil {
			return err.Error()
		}
		service, _, _ := unstructured.NestedString(u.Object, "spec", "service", "name")
		return service
	}
}

// blind sees no list.
type blind struct{ client.Reader }

func (blind) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }

// Serial, since there is one registration for the whole server.
var _ = Describe("the registration of the metrics API", Serial, func() {
	const ours = metricsapi.RegistrationName

	atHome := func(ctx SpecContext) { Eventually(serviceOf(ctx, ours)).Should(Equal(metricsService.Name)) }
	BeforeEach(atHome)
	BeforeEach(func() { DeferCleanup(atHome) }) // after what a spec itself cleans up

	It("is there, is known to whom it belongs, and comes back when it is deleted or changed", func(ctx SpecContext) {
		u := apiService(ours)
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(u), u)).To(Succeed())
		Expect(u.GetOwnerReferences()).To(HaveExactElements(And(HaveField("Kind", "ClusterRole"), HaveField("Name", metricsService.Name))))
		bundle, _, _ := unstructured.NestedString(u.Object, "spec", "caBundle")
		authorities, err := base64.StdEncoding.DecodeString(bundle)
		Expect(err).NotTo(HaveOccurred())
		secret := &corev1.Secret{}
		Expect(k8s.Get(ctx, client.ObjectKey{Namespace: metricsService.Namespace, Name: metricsService.Name + "-tls"}, secret)).To(Succeed())
		Expect(secret.Data["ca.crt"]).To(Equal(authorities))

		By("changing it")
		Expect(unstructured.SetNestedField(u.Object, base64.StdEncoding.EncodeToString([]byte("junk")), "spec", "caBundle")).To(Succeed())
		u.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "gptoss-operator"})
		Eventually(func() error { // its availability is written all the time
			fresh := apiService(ours)
			if err := k8s.Get(ctx, client.ObjectKeyFromObject(fresh), fresh); err != nil {
				return err
			}
			u.SetResourceVersion(fresh.GetResourceVersion())
			return k8s.Update(ctx, u)
		}).Should(Succeed())
		Eventually(func() string {
			fresh := apiService(ours)
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(fresh), fresh)).To(Succeed())
			now, _, _ := unstructured.NestedString(fresh.Object, "spec", "caBundle")
			return now
		}).Should(Equal(bundle))

		By("deleting it, and the certificate")
		Expect(k8s.Delete(ctx, secret)).To(Succeed())
		Expect(k8s.Delete(ctx, apiService(ours))).To(Succeed())
		Eventually(serviceOf(ctx, ours)).Should(Equal(metricsService.Name))
		Eventually(func() error { return k8s.Get(ctx, client.ObjectKeyFromObject(secret), secret) }).Should(Succeed())

		By("writing nothing once all is well")
		Eventually(func(g Gomega) {
			n := len(writes.in(""))
			g.Consistently(func() int { return len(writes.in("")) }, 2*resync, resync/4).Should(Equal(n))
		}).Should(Succeed())
	})

	It("gives way to somebody else's, says so, and comes back when that is gone", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 2, targetActiveRequests: 5}}`)
		metrics := func() []autoscalingv2.MetricSpec {
			return get(ctx, m, &autoscalingv2.HorizontalPodAutoscaler{}).Spec.Metrics
		}
		Eventually(metrics).Should(HaveExactElements(HaveField("Type", autoscalingv2.ObjectMetricSourceType)))
		foreign := adapter("v1beta1")
		Expect(k8s.Create(ctx, foreign)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			Expect(client.IgnoreNotFound(k8s.Delete(ctx, adapter("v1beta1")))).To(Succeed())
		})
		Eventually(func() bool {
			return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(apiService(ours)), apiService(ours)))
		}).Should(BeTrue(), "autoscalers would read ours, and no more of what the adapter serves to others")
		Eventually(metrics).Should(HaveExactElements(And(
			HaveField("Type", autoscalingv2.PodsMetricSourceType), HaveField("Pods.Metric.Name", "gpt_oss_active_requests"),
			HaveField("Pods.Target.AverageValue", HaveValue(HaveField("Value()", int64(5)))))))

		report(ctx, m, autoscalingv2.ScalingActive, corev1.ConditionFalse, "FailedGetPodsMetric", "no metrics")
		eventuallyCondition(ctx, m, "AutoscalingActive").Should(beReason("False", "MetricsAPITaken", And(
			ContainSubstring(`"v1beta1.custom.metrics.k8s.io" belongs to Service monitoring/prometheus-adapter`),
			ContainSubstring("docs/autoscaling.md"), ContainSubstring("FailedGetPodsMetric: no metrics"))))
		report(ctx, m, autoscalingv2.ScalingActive, corev1.ConditionTrue, "ValidMetricFound", "fine")
		eventuallyCondition(ctx, m, "AutoscalingActive").Should(beReason("True", "MetricFromOthers", ContainSubstring("monitoring/prometheus-adapter")))
		spec := foreign.Object["spec"]
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(foreign), foreign)).To(Succeed())
		Expect(foreign.Object["spec"]).To(Equal(spec))
		Expect(foreign.GetManagedFields()).NotTo(ContainElement(HaveField("Manager", FieldManager)))

		Expect(k8s.Delete(ctx, foreign)).To(Succeed())
		Eventually(serviceOf(ctx, ours)).Should(Equal(metricsService.Name))
		Eventually(metrics).Should(HaveExactElements(HaveField("Type", autoscalingv2.ObjectMetricSourceType)))
		eventuallyCondition(ctx, m, "AutoscalingActive").Should(beReason("True", "MetricAvailable", Not(BeEmpty())))
	})

	It("is never taken back from somebody who took its place", func(ctx SpecContext) {
		Eventually(func() error { // as `kubectl apply` of an adapter would
			u := apiService(ours)
			if err := k8s.Get(ctx, client.ObjectKeyFromObject(u), u); err != nil {
				return err
			}
			u.Object["spec"] = adapter("v1beta2").Object["spec"]
			return k8s.Update(ctx, u)
		}).Should(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(k8s.Delete(ctx, adapter("v1beta2"))).To(Succeed()) })
		Consistently(serviceOf(ctx, ours), 3*resync, resync/5).Should(Equal("prometheus-adapter"))

		By("a registrar that looked just before it came")
		racing, end := context.WithTimeout(ctx, 2*resync)
		defer end()
		keeper := &metricsapi.Keeper{Live: k8s, Writer: k8s, Service: metricsService, Now: time.Now}
		early := &metricsapi.Registrar{Live: blind{k8s}, Writer: k8s, Keeper: keeper, Interval: resync / 10}
		Expect(early.Start(racing)).To(Succeed())
		Expect(serviceOf(ctx, ours)()).To(Equal("prometheus-adapter"))

		By("a model")
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 2}}`)
		report(ctx, m, autoscalingv2.ScalingActive, corev1.ConditionFalse, "FailedGetPodsMetric", "no metrics")
		eventuallyCondition(ctx, m, "AutoscalingActive").Should(beReason("False", "MetricsAPITaken", ContainSubstring("prometheus-adapter")))
	})
})

var _ = Describe("an autoscaler made by hand", func() {
	// byHand makes one for a target.
	byHand := func(ctx context.Context, m *v1alpha1.GptOssModel, name string, target autoscalingv2.CrossVersionObjectReference) *autoscalingv2.HorizontalPodAutoscaler {
		GinkgoHelper()
		hpa := &autoscalingv2.HorizontalPodAutoscaler{
			ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: name},
			Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: target, MaxReplicas: 7},
		}
		Expect(k8s.Create(ctx, hpa)).To(Succeed())
		return hpa
	}
	deployment := autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "chat"}

	It("is left alone, even under the same name, and the operator makes none beside it", func(ctx SpecContext) {
		for _, name := range []string{"mine", "chat"} {
			m := newModel(newNamespace(ctx), `{model: {source: {demo: {}}}, autoscaling: {minReplicas: 2, maxReplicas: 3}}`)
			hand := byHand(ctx, m, name, deployment)
			Expect(k8s.Create(ctx, m)).To(Succeed())
			eventuallyCondition(ctx, m, "AutoscalingActive").Should(beReason("False", "OtherAutoscaler", ContainSubstring(`"`+name+`"`)))
			Expect(replicasOf(ctx, m)()).To(Equal(int32(2)))
			scale(ctx, m, 5)
			Consistently(replicasOf(ctx, m), 2*resync, resync/10).Should(Equal(int32(5)))
			var all autoscalingv2.HorizontalPodAutoscalerList
			Expect(k8s.List(ctx, &all, client.InNamespace(m.Namespace))).To(Succeed())
			Expect(all.Items).To(HaveExactElements(And(HaveField("Name", name), HaveField("Spec", hand.Spec), HaveField("OwnerReferences", BeEmpty()))))
		}
	})

	It("makes ours go when it comes later", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 3}}`)
		get(ctx, m, &autoscalingv2.HorizontalPodAutoscaler{})
		byHand(ctx, m, "mine", autoscalingv2.CrossVersionObjectReference{APIVersion: "gptoss.dev/v1alpha1", Kind: "GptOssModel", Name: "chat"})
		report(ctx, m, autoscalingv2.ScalingActive, corev1.ConditionFalse, "AmbiguousSelector", "two of them")
		eventuallyCondition(ctx, m, "AutoscalingActive").Should(beReason("False", "OtherAutoscaler", ContainSubstring(`"mine"`)))
		Eventually(func() bool {
			return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(m), &autoscalingv2.HorizontalPodAutoscaler{}))
		}).Should(BeTrue())
	})

	It("is not fought over the number of pods of a model that has no autoscaler", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, replicas: 2}`)
		byHand(ctx, m, "mine", deployment)
		scale(ctx, m, 6)
		eventuallyCondition(ctx, m, "AutoscalingActive").Should(beReason("False", "OtherAutoscaler", ContainSubstring("spec.replicas is left alone")))
		Consistently(replicasOf(ctx, m), 2*resync, resync/10).Should(Equal(int32(6)))
	})

	It("is welcome when it scales the model", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, replicas: 2}`)
		byHand(ctx, m, "mine", autoscalingv2.CrossVersionObjectReference{APIVersion: "gptoss.dev/v1alpha1", Kind: "GptOssModel", Name: "chat"})
		scale(ctx, m, 6) // somebody's late write to the Deployment
		Eventually(replicasOf(ctx, m)).Should(Equal(int32(2)))
		eventuallyCondition(ctx, m, "AutoscalingActive").Should(beReason("False", "AutoscalingOff", Not(BeEmpty())))
	})
})
