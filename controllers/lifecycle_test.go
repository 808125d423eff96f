package controllers

import (
	"encoding/base64"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

func keySecret() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "chat-api-key"}}
}

var _ = Describe("a GptOssModel", func() {
	It("gets a Service, a strong key and pods, and becomes ready when they are", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), demoSpec)

		secret := get(ctx, m, keySecret())
		random, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(string(secret.Data["api-key"]), "sk-"))
		Expect(err).NotTo(HaveOccurred())
		Expect(random).To(HaveLen(32))
		Expect(get(ctx, m, &corev1.Service{}).Spec.Ports).To(HaveExactElements(HaveField("Port", int32(8000))))
		d := get(ctx, m, &appsv1.Deployment{})
		Expect(d.Spec.Template.Spec.Containers[0].Image).To(Equal(testImage))
		Expect(d.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--api-key-file=/etc/gptoss/api-keys/api-key"))
		eventuallyCondition(ctx, m, "Ready").Should(beReason("False", "Progressing", Not(BeEmpty())))
		eventuallyCondition(ctx, m, "Reconciling").Should(HaveField("Status", metav1.ConditionTrue))

		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(beReason("True", "Ready", Equal("1 of 1 pods serve")))
		Expect(condition(ctx, m, "Reconciling")).To(BeZero())
		Expect(condition(ctx, m, "Stalled")).To(BeZero())
		Expect(condition(ctx, m, "ModelAvailable").Status).To(Equal(metav1.ConditionTrue))
		Expect(condition(ctx, m, "WorkloadAvailable").Status).To(Equal(metav1.ConditionTrue))
		get(ctx, m, m)
		Expect(m.Status).To(And(
			HaveField("URL", "http://chat."+m.Namespace+".svc:8000/v1"), HaveField("Model", "gpt-oss-demo"),
			HaveField("APIKeySecret", "chat-api-key"), HaveField("Replicas", int32(1)), HaveField("ReadyReplicas", int32(1)),
			HaveField("Selector", "app.kubernetes.io/instance=chat,app.kubernetes.io/name=gptoss-server"),
			HaveField("ObservedGeneration", m.Generation)))
	})

	It("tells of transitions, and of nothing else, as events", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), demoSpec)
		rollOut(ctx, m)
		reasons := func() []string { return eventReasons(ctx, m) }
		Eventually(reasons).Should(ContainElement("Ready"))
		seen := reasons()
		Expect(seen[0]).To(Equal("Progressing"))
		for i := range seen[1:] {
			Expect(seen[i+1]).NotTo(Equal(seen[i]), "an event without a transition")
		}
		Consistently(reasons, 3*resync, resync/2).Should(Equal(seen))
	})

	It("is ready for a new generation only when no pod of an old one serves", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), demoSpec)
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))

		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) {
			m.Spec.Generation = &v1alpha1.GenerationSpec{MaxTokens: ptr.To[int32](64)}
		})
		eventuallyCondition(ctx, m, "Ready").Should(beReason("False", "Progressing", Not(BeEmpty())))
		Expect(condition(ctx, m, "WorkloadAvailable").Status).To(Equal(metav1.ConditionTrue), "the old pod still serves")

		d := get(ctx, m, &appsv1.Deployment{})
		Expect(d.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--max-tokens=64"))
		setPod(ctx, newPod(ctx, d, "new"), readyStatus())
		reportRollout(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(beReason("False", "OldPodsServing", ContainSubstring("1 pods")))

		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
	})

	It("owns all that it makes, so that deleting it removes them, and makes nothing again", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 2}}`)
		children := []client.Object{&appsv1.Deployment{}, &corev1.Service{}, &autoscalingv2.HorizontalPodAutoscaler{}, keySecret()}
		for _, child := range children {
			refs := get(ctx, m, child).GetOwnerReferences()
			Expect(refs).To(HaveLen(1))
			Expect(refs[0]).To(And(HaveField("UID", m.UID), HaveField("Kind", "GptOssModel"),
				HaveField("Controller", HaveValue(BeTrue())), HaveField("BlockOwnerDeletion", HaveValue(BeTrue()))))
		}
		Expect(m.Finalizers).To(BeEmpty())
		Expect(k8s.Delete(ctx, m)).To(Succeed())
		// The garbage collector's part. What a reconcile under way made once more, before it knew, it would take away too.
		Eventually(func(g Gomega) {
			for _, child := range children {
				g.Expect(apierrors.IsNotFound(k8s.Delete(ctx, child))).To(BeTrue(), "%T", child)
			}
		}).Should(Succeed())
		Consistently(func(g Gomega) {
			for _, child := range children {
				err := k8s.Get(ctx, client.ObjectKeyFromObject(child), child)
				g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%T: %v", child, err)
			}
		}, 2*resync).Should(Succeed())
	})

	It("writes nothing while nothing changes", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 2, behavior: {scaleUp: {stabilizationWindowSeconds: 0}}}}`)
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
		Eventually(func() []string { return eventReasons(ctx, m) }).Should(ContainElement("Ready"))
		before, everywhere := len(writes.in(m.Namespace)), len(writes.in(""))
		server := metricTotal(ctx, "apiserver_request_total", `verb="APPLY"`) + metricTotal(ctx, "apiserver_request_total", `verb="PATCH"`)
		Consistently(func() []string { return writes.in(m.Namespace)[before:] }, 5*resync, resync/4).Should(BeEmpty())
		Expect(metricTotal(ctx, "apiserver_request_total", `verb="APPLY"`)+metricTotal(ctx, "apiserver_request_total", `verb="PATCH"`)).
			To(Equal(server), "the API server's own count; the operator's writes meanwhile: %v", writes.in("")[everywhere:])
		Expect(before).To(BeNumerically("<=", 16), "writes from creation to ready: %v", writes.in(m.Namespace))
	})
})

var _ = Describe("drift", func() {
	type drift struct {
		obj    client.Object
		change func(client.Object)
	}
	var (
		deployment = func(change func(*appsv1.Deployment)) drift {
			return drift{&appsv1.Deployment{}, func(o client.Object) { change(o.(*appsv1.Deployment)) }}
		}
		service = func(change func(*corev1.Service)) drift {
			return drift{&corev1.Service{}, func(o client.Object) { change(o.(*corev1.Service)) }}
		}
		autoscaler = func(change func(*autoscalingv2.HorizontalPodAutoscaler)) drift {
			return drift{&autoscalingv2.HorizontalPodAutoscaler{}, func(o client.Object) { change(o.(*autoscalingv2.HorizontalPodAutoscaler)) }}
		}
		secret = func(change func(*corev1.Secret)) drift {
			return drift{keySecret(), func(o client.Object) { change(o.(*corev1.Secret)) }}
		}
	)
	const spec = `{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 2}}`

	DescribeTable("is repaired", func(ctx SpecContext, d drift) {
		m := applied(ctx, newNamespace(ctx), spec)
		want := get(ctx, m, d.obj).DeepCopyObject().(client.Object)
		edit(ctx, m, d.obj, func(o client.Object) { d.change(o) })
		Eventually(func(g Gomega) {
			got := get(ctx, m, d.obj)
			for _, o := range []client.Object{want, got} {
				o.SetManagedFields(nil)
				o.SetResourceVersion("")
				o.SetGeneration(0)
			}
			if w, ok := want.(*appsv1.Deployment); ok {
				w.Status = got.(*appsv1.Deployment).Status
			}
			g.Expect(got).To(Equal(want))
		}).Should(Succeed())
		managers := func() []string {
			var names []string
			for _, entry := range get(ctx, m, d.obj).GetManagedFields() {
				names = append(names, entry.Manager)
			}
			return names
		}
		Eventually(managers).ShouldNot(ContainElement(repairManager), "a second owner would keep fields alive that we give up")
		Expect(managers()).To(ContainElement(FieldManager))
	},
		Entry("another image", deployment(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "evil" })),
		Entry("arguments removed", deployment(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Args = nil })),
		Entry("a probe removed", deployment(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].LivenessProbe = nil })),
		Entry("a probe's path changed", deployment(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].ReadinessProbe.HTTPGet.Path = "/"
		})),
		Entry("the root file system made writable", deployment(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem = new(false)
		})),
		Entry("memory taken away", deployment(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Resources.Requests = nil })),
		Entry("the key's volume removed", deployment(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Volumes, d.Spec.Template.Spec.Containers[0].VolumeMounts = nil, nil
		})),
		Entry("the strategy changed", deployment(func(d *appsv1.Deployment) {
			d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		})),
		Entry("the container renamed", deployment(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Name = "other" })),
		Entry("a container added", deployment(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers, corev1.Container{Name: "miner", Image: "miner"})
		})),
		Entry("the Deployment's labels removed", deployment(func(d *appsv1.Deployment) { d.Labels = nil })),
		Entry("the Deployment's owner removed", deployment(func(d *appsv1.Deployment) { d.OwnerReferences[0].BlockOwnerDeletion = nil })),
		Entry("the Service's port changed", service(func(s *corev1.Service) { s.Spec.Ports[0].Port = 80 })),
		Entry("the Service's selector changed", service(func(s *corev1.Service) {
			s.Spec.Selector = map[string]string{"app.kubernetes.io/name": "other"}
		})),
		Entry("the Service's type changed", service(func(s *corev1.Service) {
			s.Spec.Type = corev1.ServiceTypeNodePort
		})),
		Entry("the autoscaler's maximum changed", autoscaler(func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Spec.MaxReplicas = 50 })),
		Entry("the autoscaler's metric changed", autoscaler(func(h *autoscalingv2.HorizontalPodAutoscaler) {
			h.Spec.Metrics[0].Object.Metric.Name = "other"
		})),
		Entry("the Secret's labels removed", secret(func(s *corev1.Secret) { s.Labels = nil })),
	)

	DescribeTable("by deletion is repaired", func(ctx SpecContext, obj client.Object) {
		m := applied(ctx, newNamespace(ctx), spec)
		uid := get(ctx, m, obj).GetUID()
		Expect(k8s.Delete(ctx, obj)).To(Succeed())
		Eventually(func() types.UID { return get(ctx, m, obj).GetUID() }).ShouldNot(Equal(uid))
	},
		Entry("of the Deployment", &appsv1.Deployment{}),
		Entry("of the Service", &corev1.Service{}),
		Entry("of the autoscaler", &autoscalingv2.HorizontalPodAutoscaler{}),
		Entry("of the key Secret", keySecret()),
	)

	It("leaves alone what others added, and a key that was changed by hand", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), demoSpec)
		edit(ctx, m, &corev1.Service{}, func(s *corev1.Service) { s.Annotations = map[string]string{"mine": "yes"} })
		edit(ctx, m, keySecret(), func(s *corev1.Secret) {
			s.Data = map[string][]byte{"api-key": []byte("sk-mine\nsk-second"), "note": []byte("kept")}
		})
		Consistently(func(g Gomega) {
			g.Expect(get(ctx, m, &corev1.Service{}).Annotations).To(HaveKeyWithValue("mine", "yes"))
			g.Expect(get(ctx, m, keySecret()).Data).To(Equal(map[string][]byte{"api-key": []byte("sk-mine\nsk-second"), "note": []byte("kept")}))
		}, 3*resync, 100*time.Millisecond).Should(Succeed())
	})

	It("makes a new key when the entry was emptied", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), demoSpec)
		edit(ctx, m, keySecret(), func(s *corev1.Secret) { s.Data = nil })
		Eventually(func() string { return string(get(ctx, m, keySecret()).Data["api-key"]) }).Should(HavePrefix("sk-"))
	})
})
