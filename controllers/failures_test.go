package controllers

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

var _ = Describe("what the user must fix", func() {
	It("is a missing Secret, and goes on when it appears", func(ctx SpecContext) {
		m := newModel(newNamespace(ctx), `{model: {source: {demo: {}}}, auth: {apiKeys: {secretRef: {name: team, key: keys}}}}`)
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Ready").Should(beReason("False", "SecretNotFound", ContainSubstring(`Secret "team"`)))
		Expect(condition(ctx, m, "Stalled")).To(beReason("True", "SecretNotFound", Not(BeEmpty())))
		get(ctx, m, &corev1.Service{})
		Expect(apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(m), &appsv1.Deployment{}))).To(BeTrue())

		team := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: "team"}, Data: map[string][]byte{"other": []byte("x")}}
		Expect(k8s.Create(ctx, team)).To(Succeed())
		eventuallyCondition(ctx, m, "Ready").Should(beReason("False", "SecretKeyNotFound", ContainSubstring(`no entry "keys"`)))
		team.Data = map[string][]byte{"keys": []byte("sk-a\nsk-b\n")}
		Expect(k8s.Update(ctx, team)).To(Succeed())
		get(ctx, m, &appsv1.Deployment{})
		eventuallyCondition(ctx, m, "Stalled").Should(BeZero())
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
		Expect(get(ctx, m, m).Status.APIKeySecret).To(Equal("team"))
		Expect(get(ctx, m, team).Labels).To(BeEmpty(), "a Secret of the user's is never written")
		Expect(apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKey{Namespace: m.Namespace, Name: "chat-api-key"}, team))).To(BeTrue())
	})

	DescribeTable("is an object of somebody else with the same name, which is left alone", func(ctx SpecContext, foreign client.Object) {
		m := newModel(newNamespace(ctx), `{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 3}}`)
		foreign.SetNamespace(m.Namespace)
		if foreign.GetName() == "" {
			foreign.SetName(m.Name)
		}
		Expect(k8s.Create(ctx, foreign)).To(Succeed())
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "NameConflict", ContainSubstring(foreign.GetName())))
		version := foreign.GetResourceVersion()
		Consistently(func() string { return get(ctx, m, foreign).GetResourceVersion() }, 2*resync, resync/5).Should(Equal(version))
		Expect(k8s.Delete(ctx, m)).To(Succeed())
	},
		Entry("a Service", &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}}}),
		Entry("a Secret", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "chat-api-key"}}),
		Entry("a Deployment", &appsv1.Deployment{Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
			},
		}}),
	)

	It("is a setting that the API server refuses", func(ctx SpecContext) {
		m := newModel(newNamespace(ctx), `{model: {source: {demo: {}}}, resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}`)
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "ApplyRejected", ContainSubstring("must be less than or equal to memory limit")))
		Eventually(func(g Gomega) {
			n := len(writes.in(m.Namespace))
			g.Consistently(func() int { return len(writes.in(m.Namespace)) }, 3*resync, resync/4).Should(Equal(n), "refused once is enough for a while")
		}).Should(Succeed())
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Resources = nil })
		get(ctx, m, &appsv1.Deployment{})
		eventuallyCondition(ctx, m, "Stalled").Should(BeZero())
	})
})

var _ = Describe("a pod that does not serve", func() {
	DescribeTable("is explained in the conditions", func(ctx SpecContext, status corev1.PodStatus, reason, message string, isStalled bool) {
		m := applied(ctx, newNamespace(ctx), demoSpec)
		setPod(ctx, newPod(ctx, get(ctx, m, &appsv1.Deployment{}), "chat-1"), status)
		eventuallyCondition(ctx, m, "Ready").Should(beReason("False", reason, ContainSubstring(message)))
		kind := "Reconciling"
		if isStalled {
			kind = "Stalled"
		}
		Expect(condition(ctx, m, kind)).To(beReason("True", reason, ContainSubstring(message)))
		Expect(condition(ctx, m, "ModelAvailable")).To(beReason("False", reason, ContainSubstring(message)))
	},
		Entry("the scheduler finds no node", corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available: 3 Insufficient memory.",
		}}}, "WaitingForCapacity", "3 Insufficient memory", false),
		Entry("the model is bad", waitingStatus(corev1.ContainerStatus{
			RestartCount: 1,
			State:        corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 10s"}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 1, Message: `weights: tensor "lm_head.weight": shape [3 4], want [5 4]`,
			}},
		}), "ModelLoadFailed", `tensor "lm_head.weight": shape [3 4], want [5 4]`, true),
		Entry("the server crashes again and again", waitingStatus(corev1.ContainerStatus{
			RestartCount:         4,
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Message: "panic: boom"}},
		}), "CrashLooping", "status 2: panic: boom", true),
		Entry("the image cannot be pulled", waitingStatus(corev1.ContainerStatus{
			Image: testImage,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
				Reason: "ImagePullBackOff", Message: `Back-off pulling image "registry/weights": ErrImagePull: not found`,
			}},
		}), "ImagePullFailed", `image "registry/weights": not found`, true),
		Entry("the image cannot even be named", waitingStatus(corev1.ContainerStatus{
			Image: testImage,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "InvalidImageName", Message: "couldn't parse image name"}},
		}), "ImagePullFailed", `image "`+testImage+`": couldn't parse`, true),
		Entry("the container cannot be made", waitingStatus(corev1.ContainerStatus{
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: "image will run as root"}},
		}), "ContainerConfigFailed", "run as root", true),
		Entry("the server still loads", waitingStatus(corev1.ContainerStatus{
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		}), "LoadingWeights", "loads the model", false),
		Entry("the kubelet prepares it", waitingStatus(corev1.ContainerStatus{
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
		}), "PodsStarting", "image and volumes", false),
		Entry("its image is being pulled", corev1.PodStatus{
			Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "server", Image: testImage, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}}},
		}, "PullingImage", testImage, false),
		Entry("it took too much memory", waitingStatus(corev1.ContainerStatus{
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}},
		}), "OOMKilled", "raise spec.resources.limits.memory", true),
		Entry("its readiness fails", waitingStatus(corev1.ContainerStatus{
			Started: new(true), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		}), "ProbeFailing", "GET /v1/health", false),
		Entry("its node was short of something", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: ephemeral-storage."},
			"EvictedPods", "pod chat-1 was evicted: The node was low", false),
		Entry("its kubelet did not take it", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "UnexpectedAdmissionError", Message: "no GPU is healthy"},
			"PodsFailed", "UnexpectedAdmissionError: no GPU is healthy", false),
		Entry("a message of any length is cut", waitingStatus(corev1.ContainerStatus{
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: strings.Repeat("ä", 5000)}},
		}), "ModelLoadFailed", "ää…", true),
	)

	It("is explained by the kubelet's events while it waits for a volume", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), demoSpec)
		pod := newPod(ctx, get(ctx, m, &appsv1.Deployment{}), "chat-1")
		const words = `MountVolume.SetUp failed for volume "mine" : configmap "mine" not found`
		Expect(k8s.Create(ctx, &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Namespace: m.Namespace, GenerateName: "chat-1."},
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: m.Namespace, Name: pod.Name, UID: pod.UID},
			Type:           corev1.EventTypeWarning, Reason: "FailedMount", Message: words, LastTimestamp: metav1.Now(),
		})).To(Succeed())
		status := waitingStatus(corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}})
		status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(time.Now().Add(-time.Minute))}}
		setPod(ctx, pod, status)
		eventuallyCondition(ctx, m, "Ready").Should(beReason("False", "VolumeMountFailed", Equal(words)))
		Expect(condition(ctx, m, "Reconciling").Status).To(Equal(metav1.ConditionTrue))
	})

	DescribeTable("may be refused by the cluster", func(ctx SpecContext, message, reason string) {
		m := applied(ctx, newNamespace(ctx), demoSpec)
		Eventually(func() error {
			d := get(ctx, m, &appsv1.Deployment{})
			d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Conditions: []appsv1.DeploymentCondition{{
				Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: message,
			}}}
			return k8s.Status().Update(ctx, d)
		}).Should(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", reason, Equal(message)))
	},
		Entry("for a quota", `pods "chat-1" is forbidden: exceeded quota: team, requested: memory=2Gi, used: memory=7Gi, limited: memory=8Gi`, "QuotaExceeded"),
		Entry("for Pod Security", `pods "chat-1" is forbidden: violates PodSecurity "restricted:latest"`, "PodsRefused"),
	)
})
