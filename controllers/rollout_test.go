package controllers

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
	"github.com/gptoss/gptoss-operator/controllers/resources/template"
)

// crowdedOut is a pod that the scheduler has no room for.
func crowdedOut(words string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: words,
	}}}
}

// wish is a change of the spec that needs new pods.
func wish(ctx context.Context, m *v1alpha1.GptOssModel, maxTokens int32) *appsv1.Deployment {
	GinkgoHelper()
	before := resources.Revision(get(ctx, m, &appsv1.Deployment{}))
	edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Generation = &v1alpha1.GenerationSpec{MaxTokens: new(maxTokens)} })
	d := &appsv1.Deployment{}
	Eventually(func() string { return resources.Revision(get(ctx, m, d)) }).ShouldNot(Equal(before))
	return d
}

func strategyOf(ctx context.Context, m *v1alpha1.GptOssModel) func() []string {
	return func() []string {
		s := get(ctx, m, &appsv1.Deployment{}).Spec.Strategy
		return []string{string(s.Type), s.RollingUpdate.MaxSurge.String(), s.RollingUpdate.MaxUnavailable.String()}
	}
}

var _ = Describe("a rollout without room for another pod", func() {
	const shortage = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."

	It("waits, and names the shortage", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), demoSpec)
		rollOut(ctx, m)
		setPod(ctx, newPod(ctx, wish(ctx, m, 64), "new"), crowdedOut(shortage))
		eventuallyCondition(ctx, m, "Ready").Should(beReason("False", "WaitingForCapacity",
			Equal(shortage+"; pods of an earlier generation go on serving; with rollout.onNoCapacity: Recreate they would make room")))
		Expect(condition(ctx, m, "Reconciling").Status).To(Equal(metav1.ConditionTrue))
		Expect(condition(ctx, m, "WorkloadAvailable").Status).To(Equal(metav1.ConditionTrue))
		Expect(strategyOf(ctx, m)()).To(Equal([]string{"RollingUpdate", "1", "0"}))
	})

	It("stops an earlier pod first where the user wants that, and only until none is left", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, rollout: {onNoCapacity: Recreate}}`)
		rollOut(ctx, m)
		d := wish(ctx, m, 64)
		Expect(strategyOf(ctx, m)()).To(Equal([]string{"RollingUpdate", "1", "0"}), "there may be room")
		created := newPod(ctx, d, "new")
		setPod(ctx, created, crowdedOut(shortage))
		Eventually(strategyOf(ctx, m)).Should(Equal([]string{"RollingUpdate", "0", "1"}))
		eventuallyCondition(ctx, m, "Ready").Should(beReason("False", "WaitingForCapacity", Equal(shortage+"; a pod of an earlier generation is stopped to make room")))

		setPod(ctx, created, corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}})
		Consistently(strategyOf(ctx, m), resync, resync/10).Should(Equal([]string{"RollingUpdate", "0", "1"}), "an earlier pod is still there")
		rollOut(ctx, m)
		Eventually(strategyOf(ctx, m)).Should(Equal([]string{"RollingUpdate", "1", "0"}))
		reportRollout(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
	})

	It("stops no pod for one that fits no node anyway", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, rollout: {onNoCapacity: Recreate}}`)
		rollOut(ctx, m)
		setPod(ctx, newPod(ctx, wish(ctx, m, 64), "new"), crowdedOut("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."))
		eventuallyCondition(ctx, m, "Ready").Should(beReason("False", "WaitingForCapacity", HaveSuffix("selector.; pods of an earlier generation go on serving")))
		Consistently(strategyOf(ctx, m), resync, resync/10).Should(Equal([]string{"RollingUpdate", "1", "0"}))
	})

	It("goes as the user says", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, rollout: {maxSurge: 50%, maxUnavailable: 2, drainTimeout: 90s}}`)
		Expect(strategyOf(ctx, m)()).To(Equal([]string{"RollingUpdate", "50%", "2"}))
		Expect(get(ctx, m, &appsv1.Deployment{}).Spec.Template.Spec.TerminationGracePeriodSeconds).To(HaveValue(Equal(int64(105))))
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) {
			m.Spec.Rollout = &v1alpha1.RolloutSpec{MaxSurge: new(intstr.FromInt32(0))}
		})
		Eventually(strategyOf(ctx, m)).Should(Equal([]string{"RollingUpdate", "0", "1"}))
	})
})

// recordOf is a record of a template, as the operator of another version would have left it.
func recordOf(m *v1alpha1.GptOssModel, change func(*corev1.PodTemplateSpec)) *appsv1.ControllerRevision {
	GinkgoHelper()
	d, err := resources.Deployment(m, "example.com/gptoss-server:old")
	Expect(err).NotTo(HaveOccurred())
	change(&d.Spec.Template)
	inputs, err := template.Inputs(m)
	Expect(err).NotTo(HaveOccurred())
	record, err := resources.TemplateRecord(m, m.Name+"-"+inputs, &d.Spec.Template)
	Expect(err).NotTo(HaveOccurred())
	return record
}

func records(ctx context.Context, m *v1alpha1.GptOssModel) func() []string {
	return func() []string {
		var list appsv1.ControllerRevisionList
		Expect(k8s.List(ctx, &list, client.InNamespace(m.Namespace))).To(Succeed())
		var names []string
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return names
	}
}

// asVersion runs the operator as another version, with another image for servers, until the spec ends.
func asVersion(image string) {
	GinkgoHelper()
	stop()
	stop = startManager(operator, image)
	DeferCleanup(func() {
		stop()
		stop = startManager(operator, testImage)
	})
}

func imageOf(ctx context.Context, m *v1alpha1.GptOssModel) func() string {
	return func() string { return get(ctx, m, &appsv1.Deployment{}).Spec.Template.Spec.Containers[0].Image }
}

var _ = Describe("a new version of the operator", func() {
	const next = "example.com/gptoss-server:next"
	updateAvailable := func(ctx context.Context, m *v1alpha1.GptOssModel) func() bool {
		return func() bool { return get(ctx, m, m).Status.UpdateAvailable }
	}

	It("leaves running pods alone until the spec changes", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), demoSpec)
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
		Expect(get(ctx, m, m).Status).To(And(HaveField("ServerImage", testImage), HaveField("UpdateAvailable", false)))
		generation := get(ctx, m, &appsv1.Deployment{}).Generation

		asVersion(next)
		Eventually(updateAvailable(ctx, m)).Should(BeTrue())
		Expect(get(ctx, m, &appsv1.Deployment{}).Generation).To(Equal(generation))
		Expect(condition(ctx, m, "Ready").Status).To(Equal(metav1.ConditionTrue))
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Replicas = ptr.To[int32](2) })
		Eventually(replicasOf(ctx, m)).Should(Equal(int32(2)))
		Expect(imageOf(ctx, m)()).To(Equal(testImage), "the number of pods is no reason to replace them")
		edit(ctx, m, &appsv1.Deployment{}, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "evil" })
		Eventually(imageOf(ctx, m)).Should(Equal(testImage), "drift is repaired to what was recorded")

		before := records(ctx, m)()
		wish(ctx, m, 64)
		Expect(imageOf(ctx, m)()).To(Equal(next))
		Eventually(updateAvailable(ctx, m)).Should(BeFalse())
		Eventually(records(ctx, m)).Should(And(HaveLen(1), Not(Equal(before))))
		Expect(get(ctx, m, m).Status.ServerImage).To(Equal(next))
	})

	It("takes pods along when it is asked to, once or always", func(ctx SpecContext) {
		once := applied(ctx, newNamespace(ctx), demoSpec)
		always := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, rollout: {serverUpdates: Automatic}}`)
		asVersion(next)
		Eventually(imageOf(ctx, always)).Should(Equal(next))
		Expect(records(ctx, always)()).To(BeEmpty())
		Eventually(updateAvailable(ctx, once)).Should(BeTrue())
		edit(ctx, once, once, func(m *v1alpha1.GptOssModel) { m.Annotations = map[string]string{v1alpha1.UpdateAnnotation: "2026-11"} })
		Eventually(imageOf(ctx, once)).Should(Equal(next))

		edit(ctx, always, always, func(m *v1alpha1.GptOssModel) { m.Spec.Rollout = nil })
		Eventually(records(ctx, always)).Should(HaveLen(1))
		Expect(imageOf(ctx, always)()).To(Equal(next))
	})

	It("goes on with what an earlier one recorded, other arguments and probes among it", func(ctx SpecContext) {
		stop()
		m := newModel(newNamespace(ctx), demoSpec)
		Expect(k8s.Create(ctx, m)).To(Succeed())
		Expect(k8s.Create(ctx, recordOf(m, func(pod *corev1.PodTemplateSpec) {
			pod.Spec.Containers[0].Args = []string{"--a-flag-of-old"}
			pod.Spec.Containers[0].LivenessProbe = nil
			pod.Labels[resources.LabelRevision] = "old"
		}))).To(Succeed())
		stop = startManager(operator, testImage)
		c := get(ctx, m, &appsv1.Deployment{}).Spec.Template.Spec.Containers[0]
		Expect(c.Image).To(Equal("example.com/gptoss-server:old"))
		Expect(c.Args).To(Equal([]string{"--a-flag-of-old"}))
		Expect(c.LivenessProbe).To(BeNil())
		Eventually(updateAvailable(ctx, m)).Should(BeTrue())
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
	})

	It("goes on with what an earlier one made of a spec that it refuses itself", func(ctx SpecContext) {
		stop()
		m := newModel(newNamespace(ctx), demoSpec)
		m.Spec.Runtime = &v1alpha1.RuntimeSpec{ExtraArgs: []string{"--a-flag-of-old"}}
		Expect(k8s.Create(ctx, m)).To(Succeed())
		before := newModel(m.Namespace, demoSpec)
		d, err := resources.Deployment(before, testImage)
		Expect(err).NotTo(HaveOccurred())
		inputs, err := template.Inputs(m)
		Expect(err).NotTo(HaveOccurred())
		record, err := resources.TemplateRecord(m, m.Name+"-"+inputs, &d.Spec.Template)
		Expect(err).NotTo(HaveOccurred())
		Expect(k8s.Create(ctx, record)).To(Succeed())
		stop = startManager(operator, testImage)
		get(ctx, m, d)
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) {
			m.Spec.Generation = &v1alpha1.GenerationSpec{MaxTokens: ptr.To[int32](9)}
		})
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "ApplyRejected", ContainSubstring("a-flag-of-old")))
		Expect(condition(ctx, m, "WorkloadAvailable").Status).To(Equal(metav1.ConditionTrue))
	})

	It("takes over pods of one that recorded nothing", func(ctx SpecContext) {
		stop()
		m := newModel(newNamespace(ctx), demoSpec)
		Expect(k8s.Create(ctx, m)).To(Succeed())
		d, err := resources.Deployment(m, "example.com/gptoss-server:first")
		Expect(err).NotTo(HaveOccurred())
		d.Annotations = nil
		d.Spec.Template.Labels[resources.LabelRevision] = "first"
		Expect(k8s.Create(ctx, d)).To(Succeed())
		m.Status.ObservedGeneration = m.Generation
		Expect(k8s.Status().Update(ctx, m)).To(Succeed())
		want := get(ctx, m, &appsv1.Deployment{}).Spec.Template

		stop = startManager(operator, testImage)
		Eventually(records(ctx, m)).Should(HaveLen(1))
		Eventually(func() map[string]string { return get(ctx, m, d).Annotations }).Should(HaveKey(resources.AnnotationInputs))
		Consistently(func() corev1.PodTemplateSpec { return get(ctx, m, d).Spec.Template }, resync, resync/5).Should(Equal(want))
		n := len(writes.in(m.Namespace))
		Consistently(func() []string { return writes.in(m.Namespace)[n:] }, 3*resync, resync/4).Should(BeEmpty())
	})

	It("makes the record again when somebody deletes it, and replaces no pod", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), demoSpec)
		Eventually(records(ctx, m)).Should(HaveLen(1))
		asVersion(next)
		Eventually(updateAvailable(ctx, m)).Should(BeTrue())
		Expect(k8s.DeleteAllOf(ctx, &appsv1.ControllerRevision{}, client.InNamespace(m.Namespace))).To(Succeed())
		Eventually(records(ctx, m)).Should(HaveLen(1))
		Consistently(imageOf(ctx, m), resync, resync/5).Should(Equal(testImage))
	})
})
