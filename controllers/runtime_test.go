package controllers

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

const onVolume = `model: {source: {persistentVolumeClaim: {claimName: weights, path: gpt-oss-20b}}}`

// quiet holds that the operator writes nothing more in the model's namespace.
func quiet(m *v1alpha1.GptOssModel) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		n := len(writes.in(m.Namespace))
		g.Consistently(func() []string { return writes.in(m.Namespace)[n:] }, 2*resync, resync/4).Should(BeEmpty())
	}).Should(Succeed())
}

var _ = Describe("a runtime", func() {
	DescribeTable("runs, is ready and stays quiet", func(ctx SpecContext, spec, command, key string) {
		namespace := newNamespace(ctx)
		Expect(k8s.Create(ctx, newClaim(namespace, "weights"))).To(Succeed())
		m := applied(ctx, namespace, spec)
		pod := get(ctx, m, &appsv1.Deployment{}).Spec.Template.Spec
		c := pod.Containers[0]
		Expect(append(c.Command, c.Args...)[0]).To(Equal(command))
		Expect(c.Resources.Limits).To(HaveKeyWithValue(corev1.ResourceName("nvidia.com/gpu"), resource.MustParse("1")))
		Expect(c.ReadinessProbe.HTTPGet.Path).To(Equal("/health"))
		Expect(c.Env).To(ContainElement(And(HaveField("Name", key), HaveField("ValueFrom.SecretKeyRef.Name", "chat-api-key"))))
		Expect(c.VolumeMounts).To(ContainElement(HaveField("MountPath", "/dev/shm")))
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
		quiet(m)
	},
		Entry("vllm", `{`+onVolume+`, runtime: {type: vllm}}`, "vllm", "VLLM_API_KEY"),
		Entry("tgi", `{`+onVolume+`, runtime: {type: tgi}}`, "text-generation-launcher", "API_KEY"),
	)

	It("that is not ours takes one key, and says so of several", func(ctx SpecContext) {
		m := newModel(newNamespace(ctx), `{`+onVolume+`, runtime: {type: vllm}, auth: {apiKeys: {secretRef: {name: team}}}}`)
		team := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: "team"}, Data: map[string][]byte{"api-key": []byte("sk-a\nsk-b\n")}}
		Expect(k8s.Create(ctx, team)).To(Succeed())
		Expect(k8s.Create(ctx, newClaim(m.Namespace, "weights"))).To(Succeed())
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "RuntimeUnsupported", And(ContainSubstring(`"team"`), Not(ContainSubstring("sk-")))))
		team.Data["api-key"] = []byte("sk-a")
		Expect(k8s.Update(ctx, team)).To(Succeed())
		get(ctx, m, &appsv1.Deployment{})
		eventuallyCondition(ctx, m, "Stalled").Should(BeZero())
	})

	It("with arguments that the server does not know is refused with its sentence", func(ctx SpecContext) {
		m := newModel(newNamespace(ctx), `{model: {source: {demo: {}}}, runtime: {extraArgs: [--no-such-flag]}}`)
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "ApplyRejected", ContainSubstring("no-such-flag")))
	})
})

var _ = Describe("resources that cannot hold the model", func() {
	It("are refused with the sum, and mended", func(ctx SpecContext) {
		m := newModel(newNamespace(ctx), `{`+onVolume+`, resources: {limits: {memory: 4Gi}}}`)
		Expect(k8s.Create(ctx, newClaim(m.Namespace, "weights"))).To(Succeed())
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "ResourcesTooSmall",
			MatchRegexp(`spec\.resources\.limits\.memory is 4Gi, but serving gpt-oss-20b takes 1\d\.\dGi: weights 1\d\.\dGi`)))
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) {
			m.Spec.Resources.Limits[corev1.ResourceMemory] = resource.MustParse("20Gi")
		})
		get(ctx, m, &appsv1.Deployment{})
		eventuallyCondition(ctx, m, "Stalled").Should(BeZero())
	})
})

var _ = Describe("podTemplate", func() {
	It("adds to the pods, and what the server completes is no drift", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, podTemplate: {
			metadata: {annotations: {a: b}, labels: {team: search}},
			spec: {serviceAccountName: default, nodeSelector: {disk: nvme}, tolerations: [{key: k, operator: Exists}],
				topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {a: b}}}],
				initContainers: [{name: prepare, image: prepare, resources: {}}],
				containers: [{name: server, volumeMounts: [{name: all, mountPath: /all}], resources: {limits: {cpu: 1500m}}}, {name: proxy, image: proxy, ports: [{containerPort: 9000}]}],
				volumes: [
					{name: all, projected: {sources: [{serviceAccountToken: {path: t}}, {downwardAPI: {items: [{path: p, fieldRef: {fieldPath: metadata.name}}]}}]}},
					{name: scratch, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}]}}}`)
		pod := get(ctx, m, &appsv1.Deployment{}).Spec.Template
		Expect(pod.Labels).To(And(HaveKeyWithValue("team", "search"), HaveKey("gptoss.dev/revision"), HaveKeyWithValue("app.kubernetes.io/instance", "chat")))
		Expect(pod.Spec.NodeSelector).To(HaveKeyWithValue("disk", "nvme"))
		Expect(pod.Spec.Containers).To(HaveLen(2))
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
		quiet(m)
	})

	DescribeTable("that does not fit is explained", func(ctx SpecContext, patch, message string) {
		m := newModel(newNamespace(ctx), `{model: {source: {demo: {}}}, podTemplate: `+patch+`}`)
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "PodTemplateInvalid", ContainSubstring(message)))
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.PodTemplate = &runtime.RawExtension{Raw: []byte(`{}`)} })
		get(ctx, m, &appsv1.Deployment{})
		eventuallyCondition(ctx, m, "Stalled").Should(BeZero())
	},
		Entry("a label of the operator's", `{metadata: {labels: {app.kubernetes.io/name: mine}}}`, "must leave the label app.kubernetes.io/name=gptoss-server alone"),
		Entry("an unknown field", `{spec: {nodeSelectors: {}}}`, `unknown field "nodeSelectors"`),
		Entry("no server", `{spec: {containers: [{name: server, $patch: delete}]}}`, `must keep the container "server"`),
		Entry("what the API server refuses", `{spec: {priority: 3, restartPolicy: Never}}`, "with spec.podTemplate over it, write Deployment"),
	)
})

var _ = Describe("the start of a pod", func() {
	It("is reported in seconds, and does not move with its readiness", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), demoSpec)
		pod := newPod(ctx, get(ctx, m, &appsv1.Deployment{}), "chat-1")
		at := func(seconds int64) metav1.Time { return metav1.Unix(pod.CreationTimestamp.Unix()+seconds, 0) }
		status := func(ready int64) corev1.PodStatus {
			return corev1.PodStatus{
				Phase: corev1.PodRunning,
				Conditions: []corev1.PodCondition{
					{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: at(2)},
					{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: at(ready)},
					{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: at(ready)},
				},
				ContainerStatuses: []corev1.ContainerStatus{{
					Name: "server", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(9)}},
				}},
			}
		}
		setPod(ctx, pod, status(40))
		reportRollout(ctx, m)
		startup := func() *v1alpha1.StartupStatus { return get(ctx, m, m).Status.Startup }
		want := &v1alpha1.StartupStatus{Pod: "chat-1", ScheduledSeconds: 2, PulledSeconds: 7, LoadedSeconds: 31, ReadySeconds: 40}
		Eventually(startup).Should(Equal(want))
		setPod(ctx, pod, status(4000))
		Consistently(startup, resync, resync/5).Should(Equal(want))
	})
})
