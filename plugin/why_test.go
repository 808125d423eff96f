package plugin

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func mib(n int64) *resource.Quantity { return resource.NewQuantity(n<<20, resource.BinarySI) }

func waiting(reason, message string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "server", Image: "example.com/server:1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	}}}
}

func crashed(t corev1.ContainerStateTerminated) corev1.PodStatus {
	s := waiting("CrashLoopBackOff", "back-off")
	s.ContainerStatuses[0].RestartCount = 4
	s.ContainerStatuses[0].LastTerminationState.Terminated = &t
	return s
}

func podReady() corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
}

const volumeSpec = `{model: {source: {persistentVolumeClaim: {claimName: weights}}}}`

// broken are set-ups in a real API server, each of which has one true explanation.
var broken = map[string]struct {
	spec         string
	play         func(*world)
	reason, want string
}{
	"missing Secret": {
		`{model: {source: {demo: {}}}, auth: {apiKeys: {secretRef: {name: team}}}}`, func(w *world) { w.observed("SecretNotFound", "no Secret") },
		"SecretNotFound", `Secret "team" does not exist`,
	},
	"missing claim": {volumeSpec, func(w *world) { w.deployed() }, "ClaimNotFound", `PersistentVolumeClaim "weights" does not exist`},
	"claim that is not bound": {volumeSpec, func(w *world) {
		w.deployed()
		c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "weights"}}
		c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
		c.Spec.StorageClassName = new("fast")
		c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: *mib(1)}
		w.create(c)
		w.event("PersistentVolumeClaim", "weights", "ProvisioningFailed", `storageclass "fast" not found`)
	}, "ClaimNotBound", `is not bound to a volume (StorageClass "fast"): storageclass "fast" not found.`},
	"image that cannot be pulled": {
		demoSpec, func(w *world) { w.pod(waiting("ErrImagePull", "no such host")) }, "ImagePullFailed", `Image "example.com/server:1" of pod "chat-1" cannot be pulled: no such host.`,
	},
	"no node that fits": {demoSpec, func(w *world) {
		w.pod(corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."}}})
	}, "WaitingForCapacity", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."},
	"crash loop": {
		demoSpec, func(w *world) {
			w.pod(crashed(corev1.ContainerStateTerminated{ExitCode: 2, Message: "x\npanic: boom\n"}))
		}, "CrashLooping", "its last words are: panic: boom.",
	},
	"killed for memory": {
		demoSpec, func(w *world) { w.pod(crashed(corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"})) }, "OutOfMemory", "more memory than its limit of 512Mi",
	},
	"broken weights": {
		demoSpec, func(w *world) {
			w.pod(crashed(corev1.ContainerStateTerminated{ExitCode: 1, Message: "tensor x: wrong shape"}))
		}, "ModelLoadFailed", "cannot load the model: tensor x: wrong shape.",
	},
	"failing download": {demoSpec, func(w *world) {
		w.deployed()
		job := &batchv1.Job{ObjectMeta: w.owned()}
		job.Name = "chat-weights"
		job.Spec.Template.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "download", Image: "x"}}}
		w.create(job)
		job.Status.Failed, job.Status.Active = 3, 1
		w.status(job)
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "chat-weights-1", Labels: map[string]string{"app.kubernetes.io/instance": "chat"}}, Spec: job.Spec.Template.Spec}
		p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))}
		w.create(p)
		p.Status = corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{Name: "download", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "no such host"}}}}}
		w.status(p)
	}, "DownloadFailing", "fails and is being tried again, after 3 failures: no such host."},
	"used up quota": {demoSpec, func(w *world) {
		d := w.deployed()
		q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "small"}}
		q.Spec.Hard = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}
		w.create(q)
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: `pods "chat" is forbidden: exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0`}}
		w.status(d)
	}, "QuotaExceeded", "leaves no room for a pod: exceeded quota: small, requested: pods=1"},
	"no operator": {demoSpec, func(*world) {}, "OperatorNotRunning", "this cluster has no Deployment of gptoss-operator"},
	"foreign object of the name": {demoSpec, func(w *world) {
		w.observed("NameConflict", "x")
		w.create(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "chat"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}})
	}, "NameConflict", `Service "chat" exists already and does not belong to this model`},
	"failing probe": {demoSpec, func(w *world) {
		s := waiting("", "")
		s.Phase = corev1.PodRunning
		s.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
		s.ContainerStatuses[0].Started = new(true)
		w.pod(s)
		w.event("Pod", "chat-1", "Unhealthy", "Readiness probe failed: statuscode: 503")
	}, "ProbeFailing", "runs but fails its probe: Readiness probe failed: statuscode: 503."},
	"evicted pod": {demoSpec, func(w *world) {
		w.pod(corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory."})
	}, "Evicted", "was evicted from node"},
	"paused": {`{model: {source: {demo: {}}}, replicas: 0}`, func(w *world) { w.observed("ScaledToZero", "x") }, "ScaledToZero", "spec.replicas is 0"},
}

func TestWhy(t *testing.T) {
	for name, tc := range broken {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tc.spec)
			tc.play(w)
			got, status := w.why()
			if got.Reason != tc.reason || !strings.Contains(got.Sentence, tc.want) || got.Ready || status != StatusNo {
				t.Errorf("status %d, ready %t, %s: %s\nwant %d, %s: %s", status, got.Ready, got.Reason, got.Sentence, StatusNo, tc.reason, tc.want)
			}
		})
	}
}

func TestWhyReady(t *testing.T) {
	w := newWorld(t, `{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 2}}`)
	w.pod(podReady())
	w.observed("Ready", "1 of 1 pods serve")
	if got, status := w.why(); !got.Ready || got.Reason != "Ready" || status != StatusDone {
		t.Errorf("status %d, %+v", status, got)
	}
	h := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: w.owned()}
	h.Spec.MaxReplicas, h.Spec.ScaleTargetRef = 2, autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "chat"}
	w.create(h)
	h.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "FailedGetPodsMetric", Message: "unable to get metric gpt_oss_active_requests"}}
	w.status(h)
	got, status := w.why()
	if want := "nobody serves its metric, since the cluster has no APIService for custom.metrics.k8s.io."; !strings.HasSuffix(got.Sentence, want) || status != StatusDone {
		t.Errorf("status %d, %+v", status, got)
	}
}

func TestWhySaysWhatItSawAndNothingHarmful(t *testing.T) {
	w := newWorld(t, demoSpec)
	w.pod(waiting("ErrImagePull", "evil \x1b[2J host"))
	status, out, _ := tool(t, "why", "chat", "-n", w.namespace, "-v")
	if status != StatusNo || strings.Contains(out, "\x1b") || !strings.Contains(out, `evil \x1b[2J host`) || !strings.Contains(out, "condition Ready: False, Progressing") {
		t.Errorf("status %d\n%s", status, out)
	}
	if status, _, errs := tool(t, "why", "nobody", "-n", w.namespace); status != StatusFailed || !strings.Contains(errs, `GptOssModel "nobody" in namespace "`+w.namespace+`" does not exist`) {
		t.Errorf("status %d\n%s", status, errs)
	}
}

func TestWrongUse(t *testing.T) {
	for name, args := range map[string][]string{
		"no name": {"why"}, "an unknown command": {"wy"}, "an unknown flag": {"get", "--x"}, "an unknown format": {"get", "-o", "yaml"},
		"an unknown level": {"chat", "x", "--reasoning", "max"}, "too much load": {"bench", "x", "--requests", "1000000"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, _, errs := tool(t, args...); status != StatusUsage || !strings.Contains(errs, "--help") {
				t.Errorf("status %d, %s", status, errs)
			}
		})
	}
}

func TestEveryCommandHasHelpAndAnExample(t *testing.T) {
	for _, name := range []string{"get", "why", "chat", "rotate-key", "support-bundle", "drain", "bench"} {
		status, out, _ := tool(t, name, "--help")
		if status != StatusDone || !strings.Contains(out, "Examples:\n  kubectl gptoss "+name) || !strings.Contains(out, "--context") {
			t.Errorf("%s: status %d\n%s", name, status, out)
		}
	}
}

func TestGet(t *testing.T) {
	w := newWorld(t, demoSpec)
	w.pod(podReady())
	w.observed("Ready", "1 of 1 pods serve")
	status, out, errs := tool(t, "get", "-n", w.namespace)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != StatusDone || len(lines) != 2 {
		t.Fatalf("status %d\n%s%s", status, out, errs)
	}
	if got := strings.Fields(lines[1]); len(got) != 8 || strings.Join(got[:7], " ") != "chat 1/1 - gpt-oss-demo - - Ready" {
		t.Errorf("row %q", got) // no kubelet: the pod tells nothing
	}
	if _, out, _ := tool(t, "get", "-A", "-n", "elsewhere"); !strings.Contains(out, w.namespace) {
		t.Errorf("not in all namespaces:\n%s", out)
	}
}

// secret reads a Secret, and fails when it is not there.
func (w *world) secret(name string) *corev1.Secret {
	w.t.Helper()
	s := &corev1.Secret{}
	if err := k8s.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, s); err != nil {
		w.t.Fatal(err)
	}
	return s
}
