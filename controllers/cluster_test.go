package controllers

import (
	"context"
	"fmt"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// What follows plays the parts of a cluster that envtest lacks: users, the Deployment's controller and the kubelet.

const demoSpec = `{model: {source: {demo: {}}}}`

func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	Expect(k8s.Create(ctx, ns)).To(Succeed())
	return ns.Name
}

func newModel(namespace, spec string) *v1alpha1.GptOssModel {
	GinkgoHelper()
	m := &v1alpha1.GptOssModel{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "chat"}}
	Expect(yaml.UnmarshalStrict([]byte(spec), &m.Spec)).To(Succeed())
	return m
}

// applied creates a model and waits until its Deployment is there.
func applied(ctx context.Context, namespace, spec string) *v1alpha1.GptOssModel {
	GinkgoHelper()
	m := newModel(namespace, spec)
	Expect(k8s.Create(ctx, m)).To(Succeed())
	get(ctx, m, &appsv1.Deployment{})
	return m
}

// get waits until the object of the model's name, or of obj's own, exists.
func get[T client.Object](ctx context.Context, m *v1alpha1.GptOssModel, obj T) T {
	GinkgoHelper()
	key := client.ObjectKey{Namespace: m.Namespace, Name: m.Name}
	if obj.GetName() != "" {
		key.Name = obj.GetName()
	}
	Eventually(func() error { return k8s.Get(ctx, key, obj) }).Should(Succeed())
	return obj
}

// edit changes an object as a user would, trying again when somebody else was faster.
func edit[T client.Object](ctx context.Context, m *v1alpha1.GptOssModel, obj T, change func(T)) {
	GinkgoHelper()
	Eventually(func() error {
		get(ctx, m, obj)
		change(obj)
		return k8s.Update(ctx, obj)
	}).Should(Succeed())
}

// condition reads one of the model's conditions, and an empty one when it is absent or speaks of an older generation.
func condition(ctx context.Context, m *v1alpha1.GptOssModel, kind string) metav1.Condition {
	fresh := &v1alpha1.GptOssModel{}
	if err := k8s.Get(ctx, client.ObjectKeyFromObject(m), fresh); err != nil {
		return metav1.Condition{Message: err.Error()}
	}
	c := meta.FindStatusCondition(fresh.Status.Conditions, kind)
	if c == nil || fresh.Status.ObservedGeneration != fresh.Generation || c.ObservedGeneration != fresh.Generation {
		return metav1.Condition{}
	}
	return *c
}

func beReason(status metav1.ConditionStatus, reason string, message OmegaMatcher) OmegaMatcher {
	return And(HaveField("Status", status), HaveField("Reason", reason), HaveField("Message", message))
}

func eventuallyCondition(ctx context.Context, m *v1alpha1.GptOssModel, kind string) AsyncAssertion {
	return Eventually(func() metav1.Condition { return condition(ctx, m, kind) })
}

// eventReasons lists the reasons of the model's events, oldest first.
func eventReasons(ctx context.Context, m *v1alpha1.GptOssModel) []string {
	GinkgoHelper()
	var list eventsv1.EventList
	Expect(k8s.List(ctx, &list, client.InNamespace(m.Namespace))).To(Succeed())
	slices.SortFunc(list.Items, func(a, b eventsv1.Event) int { return a.EventTime.Compare(b.EventTime.Time) })
	var out []string
	for _, e := range list.Items {
		if e.Regarding.Kind == "GptOssModel" {
			out = append(out, e.Reason)
		}
	}
	return out
}

// rollOut makes the Deployment's pods ready, one for each replica, and removes earlier ones unless they are kept.
func rollOut(ctx context.Context, m *v1alpha1.GptOssModel) {
	GinkgoHelper()
	removePods(ctx, m)
	d := get(ctx, m, &appsv1.Deployment{})
	for i := range *d.Spec.Replicas {
		setPod(ctx, newPod(ctx, d, fmt.Sprintf("%s-%d-%d", m.Name, d.Generation, i)), readyStatus())
	}
	reportRollout(ctx, m)
}

// reportRollout is what the Deployment's controller writes when all pods are ready.
func reportRollout(ctx context.Context, m *v1alpha1.GptOssModel) {
	GinkgoHelper()
	Eventually(func() error {
		d := get(ctx, m, &appsv1.Deployment{})
		n := *d.Spec.Replicas
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n}
		return k8s.Status().Update(ctx, d)
	}).Should(Succeed())
}

func removePods(ctx context.Context, m *v1alpha1.GptOssModel) {
	GinkgoHelper()
	Expect(k8s.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(m.Namespace), client.GracePeriodSeconds(0))).To(Succeed())
}

func newPod(ctx context.Context, d *appsv1.Deployment, name string) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: name, Labels: d.Spec.Template.Labels},
		Spec:       d.Spec.Template.Spec,
	}
	Expect(k8s.Create(ctx, pod)).To(Succeed())
	return pod
}

func setPod(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) {
	GinkgoHelper()
	pod.Status = status
	Expect(k8s.Status().Update(ctx, pod)).To(Succeed())
}

func readyStatus() corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
}

// waitingStatus is a scheduled pod whose container has not become ready.
func waitingStatus(container corev1.ContainerStatus) corev1.PodStatus {
	container.Name = "server"
	return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{container}}
}
