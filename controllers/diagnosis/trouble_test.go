package diagnosis

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

func builtin() *v1alpha1.GptOssModel {
	m := &v1alpha1.GptOssModel{}
	m.Spec.Model.Source.Demo = &v1alpha1.DemoSource{}
	return m
}

func vllm() *v1alpha1.GptOssModel {
	m := &v1alpha1.GptOssModel{}
	m.Spec.Model.Source.PersistentVolumeClaim = &v1alpha1.PersistentVolumeClaimSource{ClaimName: "w"}
	m.Spec.Runtime = &v1alpha1.RuntimeSpec{Type: v1alpha1.RuntimeVLLM}
	return m
}

func named(name string, status corev1.PodStatus) corev1.Pod {
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: status}
}

// server is the status of a pod whose server is in that state, its node and network ready.
func server(c corev1.ContainerStatus) corev1.PodStatus {
	c.Name = "server"
	return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{c}}
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func ended(code int32, reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}}
}

var (
	running  = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	backOff  = waiting("CrashLoopBackOff", "back-off 10s restarting failed container")
	unplaced = corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.",
	}}}
	evicted = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory. "}
	ready   = corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
)

func TestWorstOfOnePod(t *testing.T) {
	sandboxed := server(corev1.ContainerStatus{Image: "i:1", State: waiting("ContainerCreating", "")})
	sandboxed.Conditions = []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}}
	initializing := *sandboxed.DeepCopy()
	initializing.Conditions = append(initializing.Conditions, corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionFalse})
	sidecar := server(corev1.ContainerStatus{State: waiting("ContainerCreating", "")})
	sidecar.ContainerStatuses = append(sidecar.ContainerStatuses, corev1.ContainerStatus{Name: "proxy", Image: "p", State: waiting("ErrImagePull", "no such image")})
	before := server(corev1.ContainerStatus{State: waiting("PodInitializing", "")})
	before.InitContainerStatuses = []corev1.ContainerStatus{{Name: "prepare", RestartCount: 3, State: backOff, LastTerminationState: ended(2, "Error", "a\nno space left")}}

	for name, tc := range map[string]struct {
		model           *v1alpha1.GptOssModel
		status          corev1.PodStatus
		reason, message string
		stalled         bool
	}{
		"no node":                   {builtin(), unplaced, "WaitingForCapacity", "2 Insufficient nvidia.com/gpu", false},
		"no status yet":             {builtin(), corev1.PodStatus{}, "PodsStarting", "node, image and volumes", false},
		"volumes being attached":    {builtin(), server(corev1.ContainerStatus{State: waiting("ContainerCreating", "")}), "PodsStarting", "node, image and volumes", false},
		"an image being pulled":     {builtin(), sandboxed, "PullingImage", `image "i:1" is being pulled`, false},
		"init containers running":   {builtin(), initializing, "PodsStarting", "node, image and volumes", false},
		"an image that is not":      {builtin(), server(corev1.ContainerStatus{Image: "i:1", State: waiting("ImagePullBackOff", `Back-off pulling image "i:1": ErrImagePull: manifest unknown`)}), "ImagePullFailed", `image "i:1": manifest unknown`, true},
		"an image that is a volume": {builtin(), server(corev1.ContainerStatus{Image: "i:1", State: waiting("ImagePullBackOff", `Back-off pulling image "weights:1": ErrImagePull: denied`)}), "ImagePullFailed", `image "weights:1": denied`, true},
		"a sidecar's image":         {builtin(), sidecar, "ImagePullFailed", `container "proxy": image "p": no such image`, true},
		"an init container":         {builtin(), before, "CrashLooping", `container "prepare": exited with status 2: no space left`, true},
		"no container":              {builtin(), server(corev1.ContainerStatus{State: waiting("CreateContainerConfigError", `configmap "c" not found`)}), "ContainerConfigFailed", `configmap "c" not found`, true},
		"a model being loaded":      {builtin(), server(corev1.ContainerStatus{State: running}), "LoadingWeights", "it has 1m0s for that", false},
		"a larger one, by others":   {vllm(), server(corev1.ContainerStatus{State: running}), "LoadingWeights", "it has 19m", false},
		"readiness lost":            {builtin(), server(corev1.ContainerStatus{State: running, Started: new(true)}), "ProbeFailing", "GET /v1/health", false},
		"readiness lost, vLLM":      {vllm(), server(corev1.ContainerStatus{State: running, Started: new(true)}), "ProbeFailing", "GET /health", false},
		"killed by a probe":         {builtin(), server(corev1.ContainerStatus{State: running, RestartCount: 1, LastTerminationState: ended(137, "Error", "")}), "ProbeFailing", "startup or liveness probe", false},
		"killed again and again":    {builtin(), server(corev1.ContainerStatus{State: backOff, LastTerminationState: ended(143, "Error", "last words")}), "ProbeFailing", "status 143: last words", true},
		"out of memory once":        {builtin(), server(corev1.ContainerStatus{State: running, RestartCount: 1, LastTerminationState: ended(137, "OOMKilled", "")}), "OOMKilled", "limits.memory", false},
		"out of memory again":       {builtin(), server(corev1.ContainerStatus{State: backOff, LastTerminationState: ended(137, "OOMKilled", "")}), "OOMKilled", "limits.memory", true},
		"a bad model":               {builtin(), server(corev1.ContainerStatus{State: ended(1, "Error", "weights: no config.json\n")}), "ModelLoadFailed", "weights: no config.json", true},
		"another's first crash":     {vllm(), server(corev1.ContainerStatus{State: ended(1, "Error", "Traceback:\n  File x\nValueError: no GPU\n")}), "CrashLooping", "the server exited with status 1: ValueError: no GPU", false},
		"a crash, looping":          {builtin(), server(corev1.ContainerStatus{State: backOff, LastTerminationState: ended(2, "Error", "panic: boom")}), "CrashLooping", "status 2: panic: boom", true},
		"a silent crash, looping":   {builtin(), server(corev1.ContainerStatus{RestartCount: 2, State: ended(1, "Error", "")}), "CrashLooping", "status 1", true},
		"an orderly end":            {builtin(), server(corev1.ContainerStatus{State: ended(0, "Completed", "")}), "PodsStarting", "started again", false},
		"evicted":                   {builtin(), evicted, "EvictedPods", "pod a was evicted: The node was low on resource: memory.", false},
		"not taken by a kubelet":    {builtin(), corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfcpu", Message: "Pod was rejected"}, "PodsFailed", "pod a failed: OutOfcpu: Pod was rejected", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, found := Worst(tc.model, []corev1.Pod{named("a", tc.status)})
			if !found || got.Reason != tc.reason || got.Stalled != tc.stalled || !strings.Contains(got.Message, tc.message) {
				t.Errorf("got %+v, want %s, stalled %t, %q", got, tc.reason, tc.stalled, tc.message)
			}
		})
	}
}

func TestWorstOfSeveral(t *testing.T) {
	loading, bad := server(corev1.ContainerStatus{State: running}), server(corev1.ContainerStatus{State: ended(1, "Error", "no model")})
	leaving := named("a", bad)
	leaving.DeletionTimestamp = &metav1.Time{}
	for name, tc := range map[string]struct {
		pods            []corev1.Pod
		reason, message string
	}{
		"what needs a person comes first":       {[]corev1.Pod{named("a", unplaced), named("b", bad), named("c", loading)}, "ModelLoadFailed", "no model"},
		"then what waits for the cluster":       {[]corev1.Pod{named("a", loading), named("b", unplaced)}, "WaitingForCapacity", "Insufficient"},
		"an old eviction is no news":            {[]corev1.Pod{named("a", evicted), named("b", loading)}, "LoadingWeights", "loads"},
		"an eviction explains the lack of room": {[]corev1.Pod{named("a", evicted), named("b", unplaced)}, "WaitingForCapacity", "gpu.; before that, pod a was evicted: The node was low"},
		"a pod that serves or leaves is none":   {[]corev1.Pod{leaving, named("b", ready)}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, found := Worst(builtin(), tc.pods)
			if found != (tc.reason != "") || got.Reason != tc.reason || !strings.Contains(got.Message, tc.message) {
				t.Errorf("got %+v (%t), want %s with %q", got, found, tc.reason, tc.message)
			}
		})
	}
}

func TestCrowded(t *testing.T) {
	pod := func(change func(*corev1.Pod)) corev1.Pod {
		p := named("a", *unplaced.DeepCopy())
		change(&p)
		return p
	}
	for name, tc := range map[string]struct {
		pod  corev1.Pod
		want bool
	}{
		"short of GPUs":           {pod(func(*corev1.Pod) {}), true},
		"leaving":                 {pod(func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }), false},
		"about to preempt others": {pod(func(p *corev1.Pod) { p.Status.NominatedNodeName = "n" }), false},
		"gated, not tried":        {pod(func(p *corev1.Pod) { p.Status.Conditions[0].Reason = "SchedulingGated" }), false},
		"a selector that fits nobody": {pod(func(p *corev1.Pod) {
			p.Status.Conditions[0].Message = "3 node(s) didn't match Pod's node affinity/selector"
		}), false},
		"placed": {named("a", ready), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Crowded(&tc.pod); got != tc.want {
				t.Errorf("crowded: %t, want %t", got, tc.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for message, want := range map[string]string{
		`pods "a" is forbidden: exceeded quota: team, requested: memory=2Gi`:        "QuotaExceeded",
		`pods "a" is forbidden: failed quota: team: must specify limits.cpu`:        "QuotaExceeded",
		`pods "a" is forbidden: violates PodSecurity "restricted:latest": hostPath`: "PodsRefused",
	} {
		if got := Refused(message); got.Reason != want || !got.Stalled || got.Message != message {
			t.Errorf("%s: got %+v, want %s", message, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	if got := Shorten(strings.Repeat("ä", 5000)); !strings.HasSuffix(got, "ää…") || len(got) > maxMessage+len("…") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-8:])
	}
}

func TestFromEvents(t *testing.T) {
	event := func(reason, message string, at int64) corev1.Event {
		return corev1.Event{Reason: reason, Message: message, LastTimestamp: metav1.Unix(at, 0)}
	}
	for name, tc := range map[string]struct {
		events          []corev1.Event
		reason, message string
	}{
		"nothing":            {nil, "", ""},
		"of no concern":      {[]corev1.Event{event("Unhealthy", "x", 1)}, "", ""},
		"the latest counts":  {[]corev1.Event{event("FailedMount", "new", 2), event("FailedAttachVolume", "old", 1)}, "VolumeMountFailed", "new"},
		"volumes come first": {[]corev1.Event{event("FailedCreatePodSandBox", "cni", 9), event("FailedMount", "m", 1)}, "VolumeMountFailed", "m"},
		"the network":        {[]corev1.Event{event("FailedCreatePodSandBox", "no plugin", 1)}, "PodsStarting", "network is not ready: no plugin"},
	} {
		t.Run(name, func(t *testing.T) {
			got, found := FromEvents(tc.events)
			if found != (tc.reason != "") || got.Reason != tc.reason || !strings.Contains(got.Message, tc.message) {
				t.Errorf("got %+v (%t), want %s with %q", got, found, tc.reason, tc.message)
			}
		})
	}
}

func TestWaits(t *testing.T) {
	now := time.Unix(1000, 0)
	placed := func(since int64) corev1.Pod {
		return named("a", corev1.PodStatus{Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Unix(1000-since, 0),
		}}})
	}
	for name, tc := range map[string]struct {
		pod  corev1.Pod
		want bool
	}{
		"for long":       {placed(10), true},
		"for a moment":   {placed(9), false},
		"without a node": {named("a", unplaced), false},
		"another pod":    {named("b", placed(60).Status), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Waits([]corev1.Pod{tc.pod}, "a", now); got != tc.want {
				t.Errorf("waits: %t, want %t", got, tc.want)
			}
		})
	}
}
