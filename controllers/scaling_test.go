package controllers

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// scale writes a Deployment's replicas as the autoscaler's controller does.
func scale(ctx context.Context, m *v1alpha1.GptOssModel, replicas int32) {
	GinkgoHelper()
	d := get(ctx, m, &appsv1.Deployment{})
	to := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	Expect(k8s.SubResource("scale").Update(ctx, d, client.WithSubResourceBody(to), client.FieldOwner("kube-controller-manager"))).To(Succeed())
}

func replicasOf(ctx context.Context, m *v1alpha1.GptOssModel) func() int32 {
	return func() int32 { return *get(ctx, m, &appsv1.Deployment{}).Spec.Replicas }
}

// report writes a condition as the autoscaler's controller does.
func report(ctx context.Context, m *v1alpha1.GptOssModel, kind autoscalingv2.HorizontalPodAutoscalerConditionType, status corev1.ConditionStatus, reason, message string) {
	GinkgoHelper()
	Eventually(func() error {
		hpa := get(ctx, m, &autoscalingv2.HorizontalPodAutoscaler{})
		hpa.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{
			Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.Now(),
		}}
		hpa.Status.DesiredReplicas = 1
		return k8s.Status().Update(ctx, hpa)
	}).Should(Succeed())
}

// servingPod makes a ready pod that shows a number of active requests, or answers nothing for a negative one.
func servingPod(ctx context.Context, d *appsv1.Deployment, name string, active int) {
	GinkgoHelper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if active < 0 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintf(w, "gpt_oss_active_requests %d\n", active)
	}))
	DeferCleanup(server.Close)
	address := server.Listener.Addr().(*net.TCPAddr)
	d = d.DeepCopy()
	d.Spec.Template.Spec.Containers[0].ReadinessProbe.HTTPGet.Port = intstr.FromInt32(int32(address.Port))
	status := readyStatus()
	status.PodIP, status.PodIPs = address.IP.String(), []corev1.PodIP{{IP: address.IP.String()}}
	setPod(ctx, newPod(ctx, d, name), status)
}

var _ = Describe("autoscaling", func() {
	It("makes an autoscaler on active requests and leaves replicas to it", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, autoscaling: {minReplicas: 2, maxReplicas: 6, targetActiveRequests: 5}}`)
		hpa := &autoscalingv2.HorizontalPodAutoscaler{}
		Eventually(func() []autoscalingv2.MetricSpec { return get(ctx, m, hpa).Spec.Metrics }).Should(HaveExactElements(HaveField("Object", Not(BeNil()))))
		Expect(hpa.Spec.ScaleTargetRef).To(Equal(autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "chat"}))
		Expect(hpa.Spec.Metrics).To(HaveExactElements(HaveField("Object.Metric.Name", "gpt_oss_active_requests")))
		Expect(hpa.Spec.Metrics[0].Object.DescribedObject).To(Equal(autoscalingv2.CrossVersionObjectReference{APIVersion: "gptoss.dev/v1alpha1", Kind: "GptOssModel", Name: "chat"}))
		Expect(hpa.Spec.Metrics[0].Object.Target.AverageValue.Value()).To(Equal(int64(5)))
		Expect(replicasOf(ctx, m)()).To(Equal(int32(2)), "it starts with the minimum")

		scale(ctx, m, 5)
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) {
			m.Spec.Generation = &v1alpha1.GenerationSpec{MaxTokens: ptr.To[int32](9)}
		})
		Eventually(func() []string { return get(ctx, m, &appsv1.Deployment{}).Spec.Template.Spec.Containers[0].Args }).
			Should(ContainElement("--max-tokens=9"))
		Consistently(replicasOf(ctx, m), 2*resync, resync/10).Should(Equal(int32(5)), "a change of the template must not reset it")
	})

	It("is switched on and off without a jump", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, replicas: 4}`)
		Expect(replicasOf(ctx, m)()).To(Equal(int32(4)))
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) {
			m.Spec.Replicas, m.Spec.Autoscaling = nil, &v1alpha1.AutoscalingSpec{MaxReplicas: 8}
		})
		get(ctx, m, &autoscalingv2.HorizontalPodAutoscaler{})
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) {
			m.Spec.Generation = &v1alpha1.GenerationSpec{MaxTokens: ptr.To[int32](9)}
		})
		Consistently(replicasOf(ctx, m), 2*resync, resync/10).Should(Equal(int32(4)), "the live number stays")
		scale(ctx, m, 7)
		Consistently(replicasOf(ctx, m), 2*resync, resync/10).Should(Equal(int32(7)), "the autoscaler has it now")
		d := get(ctx, m, &appsv1.Deployment{})
		Expect(owns(d, FieldManager, "spec", "replicas")).To(BeFalse())

		generation := d.Generation
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Replicas, m.Spec.Autoscaling = ptr.To[int32](7), nil })
		Eventually(func() bool {
			return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(m), &autoscalingv2.HorizontalPodAutoscaler{}))
		}).Should(BeTrue(), "the autoscaler goes")
		Eventually(func() bool { return owns(get(ctx, m, d), FieldManager, "spec", "replicas") }).Should(BeTrue())
		Expect(d.Generation).To(Equal(generation), "the same number was never another one in between")

		scale(ctx, m, 2) // the late write of an autoscaler that is already gone
		Eventually(replicasOf(ctx, m)).Should(Equal(int32(7)))
	})

	It("starts a paused model", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, replicas: 0}`)
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(beReason("True", "ScaledToZero", Not(BeEmpty())))
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) {
			m.Spec.Replicas, m.Spec.Autoscaling = nil, &v1alpha1.AutoscalingSpec{MinReplicas: ptr.To[int32](3), MaxReplicas: 8}
		})
		Eventually(replicasOf(ctx, m)).Should(Equal(int32(3)))
	})

	It("repeats what the autoscaler says of its metric", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 2}}`)
		eventuallyCondition(ctx, m, "AutoscalingActive").Should(beReason("False", "AutoscalerPending", Not(BeEmpty())))
		say := func(status corev1.ConditionStatus, reason, message string) {
			report(ctx, m, autoscalingv2.ScalingActive, status, reason, message)
		}
		say(corev1.ConditionFalse, "FailedGetPodsMetric", "no metrics returned from custom metrics API")
		eventuallyCondition(ctx, m, "AutoscalingActive").
			Should(beReason("False", "MetricUnavailable", Equal("FailedGetPodsMetric: no metrics returned from custom metrics API")))
		say(corev1.ConditionTrue, "ValidMetricFound", "fine")
		eventuallyCondition(ctx, m, "AutoscalingActive").Should(beReason("True", "MetricAvailable", Not(BeEmpty())))
	})

	It("marks busy pods before there are fewer, so that idle ones go, and writes nothing otherwise", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, replicas: 3}`)
		d := get(ctx, m, &appsv1.Deployment{})
		for name, load := range map[string]int{"busy": 5, "idle": 0, "mute": -1} {
			servingPod(ctx, d, name, load)
		}
		cost := func(name string) func() string {
			return func() string {
				return get(ctx, m, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}).Annotations["controller.kubernetes.io/pod-deletion-cost"]
			}
		}
		Consistently(cost("busy"), 2*resync, resync/5).Should(BeEmpty(), "nothing is about to shrink")
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Replicas = ptr.To[int32](2) })
		Eventually(replicasOf(ctx, m)).Should(Equal(int32(2)))
		Expect(cost("busy")()).To(Equal("8"), "it is marked before the number changes")
		Expect(cost("idle")()).To(BeEmpty())
		Expect(cost("mute")()).To(BeEmpty())
	})

	It("marks busy pods while the autoscaler waits to shrink", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 3}}`)
		d := get(ctx, m, &appsv1.Deployment{})
		servingPod(ctx, d, "busy", 1)
		servingPod(ctx, d, "idle", 0)
		report(ctx, m, autoscalingv2.AbleToScale, corev1.ConditionTrue, "ScaleDownStabilized", "recent recommendations were higher")
		Eventually(func() map[string]string {
			return get(ctx, m, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "busy"}}).Annotations
		}).Should(HaveKeyWithValue("controller.kubernetes.io/pod-deletion-cost", "1"))
		Expect(get(ctx, m, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "idle"}}).Annotations).To(BeEmpty())
	})

	It("serves the scale subresource with a selector", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, replicas: 1}`)
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
		got := &autoscalingv1.Scale{}
		Expect(k8s.SubResource("scale").Get(ctx, m, got)).To(Succeed())
		Expect(got.Status).To(And(HaveField("Replicas", int32(1)), HaveField("Selector", ContainSubstring("instance=chat"))))
		got.Spec.Replicas = 3
		Expect(k8s.SubResource("scale").Update(ctx, m, client.WithSubResourceBody(got))).To(Succeed())
		Eventually(replicasOf(ctx, m)).Should(Equal(int32(3)))
	})
})
