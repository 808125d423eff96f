package diagnosis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// maxMessage bounds what is repeated from pods, in bytes: a condition is read by people.
const maxMessage = 1024

// manyRestarts is how many restarts make a loop.
const manyRestarts = 2

// Trouble is why a pod does not serve.
type Trouble struct {
	Reason, Message string
	Stalled         bool   // a person must change something
	Pod             string // whose it is
}

// Worst returns what keeps the pods of a model from serving, judged by the pod in the worst state; the first by name
// among equals, so that the answer does not flicker. found is false when every pod serves.
func Worst(m *v1alpha1.GptOssModel, pods []corev1.Pod) (t Trouble, found bool) {
	sorted := slices.SortedFunc(slices.Values(pods), func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	var living, ended []Trouble
	for i := range sorted {
		switch pod := &sorted[i]; {
		case pod.DeletionTimestamp != nil || Ready(pod):
		case pod.Status.Phase == corev1.PodFailed:
			ended = append(ended, failed(pod))
		default:
			t := podTrouble(m, pod)
			t.Pod = pod.Name
			living = append(living, t)
		}
	}
	bySeverity := func(a, b Trouble) int { return cmp.Compare(severity(a), severity(b)) }
	switch {
	case len(living) == 0 && len(ended) == 0:
		return Trouble{}, false
	case len(living) == 0:
		return slices.MinFunc(ended, bySeverity), true
	}
	t = slices.MinFunc(living, bySeverity)
	// A pod that its kubelet ended stays as a record. It explains why its successor has no place; it is old news where the
	// successor has got further.
	if len(ended) > 0 && t.Reason == v1alpha1.ReasonWaitingForCapacity {
		t.Message = Shorten(fmt.Sprintf("%s; before that, %s", t.Message, slices.MinFunc(ended, bySeverity).Message))
	}
	return t, true
}

// severity orders troubles: what needs a person, then what waits for the cluster, then what only takes time.
func severity(t Trouble) int {
	switch {
	case t.Stalled:
		return 0
	case t.Reason == v1alpha1.ReasonWaitingForCapacity:
		return 1
	case t.Reason == v1alpha1.ReasonEvictedPods:
		return 2
	}
	return 3
}

// Ready reports whether a pod answers clients.
func Ready(pod *corev1.Pod) bool {
	return conditionOf(pod, corev1.PodReady).Status == corev1.ConditionTrue
}

// Crowded reports whether the scheduler finds no node for a pod because others take up what it needs, and does not make
// room by preemption either. A pod that fits no node for another reason, such as a selector, is not crowded out.
func Crowded(pod *corev1.Pod) bool {
	c := conditionOf(pod, corev1.PodScheduled)
	if pod.DeletionTimestamp != nil || c.Status != corev1.ConditionFalse || c.Reason != corev1.PodReasonUnschedulable ||
		pod.Status.NominatedNodeName != "" {
		return false
	}
	for _, shortage := range []string{"Insufficient ", "Too many pods", "free ports", "anti-affinity", "max volume count", "cannot allocate all claims"} {
		if strings.Contains(c.Message, shortage) {
			return true
		}
	}
	return false
}

func conditionOf(pod *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

// failed speaks of a pod that is over: its kubelet has evicted it, or has not taken it.
func failed(pod *corev1.Pod) Trouble {
	words := strings.TrimSpace(pod.Status.Reason + ": " + strings.TrimSpace(pod.Status.Message))
	if pod.Status.Reason == "Evicted" {
		return Trouble{Reason: v1alpha1.ReasonEvictedPods, Message: Shorten(fmt.Sprintf("pod %s was evicted: %s", pod.Name, strings.TrimSpace(pod.Status.Message)))}
	}
	return Trouble{Reason: v1alpha1.ReasonPodsFailed, Message: Shorten(fmt.Sprintf("pod %s failed: %s", pod.Name, strings.Trim(words, ": ")))}
}

// podTrouble says why one pod does not serve, in the words of whoever knows: the server, the kubelet or the scheduler.
func podTrouble(m *v1alpha1.GptOssModel, pod *corev1.Pod) Trouble {
	if c := conditionOf(pod, corev1.PodScheduled); c.Status == corev1.ConditionFalse {
		return Trouble{Reason: v1alpha1.ReasonWaitingForCapacity, Message: Shorten(c.Message)}
	}
	var server *corev1.ContainerStatus
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range list {
			if list[i].Name == resources.ContainerName {
				server = &list[i]
			} else if t, found := companion(&list[i]); found {
				return t
			}
		}
	}
	if server == nil {
		return starting()
	}
	if server.State.Waiting != nil && preparing(server) && conditionOf(pod, corev1.PodReadyToStartContainers).Status == corev1.ConditionTrue &&
		conditionOf(pod, corev1.PodInitialized).Status != corev1.ConditionFalse {
		return Trouble{Reason: v1alpha1.ReasonPullingImage, Message: fmt.Sprintf("image %q is being pulled, and the container made", server.Image)}
	}
	return containerTrouble(m, server)
}

func starting() Trouble {
	return Trouble{Reason: v1alpha1.ReasonPodsStarting, Message: "pods wait for their node, image and volumes"}
}

// preparing reports whether nothing has gone wrong with a container that waits.
func preparing(status *corev1.ContainerStatus) bool {
	reason := status.State.Waiting.Reason
	return (reason == "ContainerCreating" || reason == "") && status.LastTerminationState.Terminated == nil
}

// companion finds trouble with a container that is not the server: one that the user has put beside it, or before it.
func companion(status *corev1.ContainerStatus) (Trouble, bool) {
	t, found := kubeletTrouble(status)
	if ended := endedState(status); !found && ended != nil && ended.ExitCode != 0 && status.State.Running == nil {
		t, found = Trouble{Reason: v1alpha1.ReasonCrashLooping, Message: exited(ended), Stalled: looping(status)}, true
	}
	t.Message = Shorten(fmt.Sprintf("container %q: %s", status.Name, t.Message))
	return t, found
}

// kubeletTrouble is what the kubelet says of a container that it cannot start.
func kubeletTrouble(status *corev1.ContainerStatus) (Trouble, bool) {
	waiting := status.State.Waiting
	if waiting == nil {
		return Trouble{}, false
	}
	switch waiting.Reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
		return Trouble{Reason: v1alpha1.ReasonImagePullFailed, Message: Shorten(pullMessage(status.Image, waiting.Message)), Stalled: true}, true
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return Trouble{Reason: v1alpha1.ReasonContainerConfigFailed, Message: Shorten(waiting.Message), Stalled: true}, true
	}
	return Trouble{}, false
}

// endedState is how a container ended last. That is worth more than the state it is in now, which changes with every attempt.
func endedState(status *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	if status.State.Terminated != nil {
		return status.State.Terminated
	}
	return status.LastTerminationState.Terminated
}

func looping(status *corev1.ContainerStatus) bool {
	backOff := status.State.Waiting != nil && status.State.Waiting.Reason == "CrashLoopBackOff"
	return backOff || status.RestartCount >= manyRestarts
}

// containerTrouble says why the server does not serve.
func containerTrouble(m *v1alpha1.GptOssModel, status *corev1.ContainerStatus) Trouble {
	if t, found := kubeletTrouble(status); found {
		return t
	}
	running := status.State.Running != nil
	if running && status.Started != nil && *status.Started {
		return Trouble{Reason: v1alpha1.ReasonProbeFailing, Message: "the server has started, but its readiness probe fails: GET " + resources.HealthPath(m)}
	}
	if ended := endedState(status); ended != nil {
		return exitTrouble(m, ended, looping(status))
	}
	if running {
		return Trouble{Reason: v1alpha1.ReasonLoadingWeights, Message: fmt.Sprintf(
			"the server loads the model; it has %s for that", resources.StartTime(m).String())}
	}
	return starting()
}

// exitTrouble explains the server's end. The built-in one ends with status 1 and one sentence when it cannot serve its
// model, which no restart changes; anything else gets a second chance before it counts as a loop.
func exitTrouble(m *v1alpha1.GptOssModel, ended *corev1.ContainerStateTerminated, loops bool) Trouble {
	switch {
	case ended.Reason == "OOMKilled":
		return Trouble{Reason: v1alpha1.ReasonOOMKilled, Message: "the server used more memory than its limit and was killed; raise spec.resources.limits.memory", Stalled: loops}
	case ended.ExitCode == 1 && m.Builtin() && lastLine(ended.Message) != "":
		return Trouble{Reason: v1alpha1.ReasonModelLoadFailed, Message: Shorten(lastLine(ended.Message)), Stalled: true}
	case ended.ExitCode == 0:
		return Trouble{Reason: v1alpha1.ReasonPodsStarting, Message: "the server ended and is being started again"}
	case ended.ExitCode == 137 || ended.ExitCode == 143:
		return Trouble{Reason: v1alpha1.ReasonProbeFailing, Message: Shorten(fmt.Sprintf(
			"the kubelet ended the server, as it does when the startup or liveness probe keeps failing: %s", exited(ended))), Stalled: loops}
	}
	return Trouble{Reason: v1alpha1.ReasonCrashLooping, Message: Shorten("the server " + exited(ended)), Stalled: loops}
}

// exited is how a container ended, with the last line that it left behind.
func exited(ended *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("exited with status %d", ended.ExitCode)
	if line := lastLine(ended.Message); line != "" {
		text += ": " + line
	}
	return text
}

// lastLine is what a program said last: its termination message, or the end of its log.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	return strings.TrimSpace(text)
}

// pullMessage leaves out the kubelet's back-off, which comes and goes with every attempt. The image may be another than the
// container's: one that is mounted as a volume.
func pullMessage(image, message string) string {
	if _, rest, found := strings.Cut(message, `ulling image "`); found {
		image, _, _ = strings.Cut(rest, `"`)
	}
	if _, cause, found := strings.Cut(message, "ErrImagePull: "); found {
		message = cause
	}
	return fmt.Sprintf("image %q: %s", image, message)
}

// Refused says why the cluster creates no pods: message is that of a Deployment's ReplicaFailure.
func Refused(message string) Trouble {
	if strings.Contains(message, "exceeded quota") || strings.Contains(message, "failed quota") {
		return Trouble{Reason: v1alpha1.ReasonQuotaExceeded, Message: Shorten(message), Stalled: true}
	}
	return Trouble{Reason: v1alpha1.ReasonPodsRefused, Message: Shorten(message), Stalled: true}
}

// Shorten bounds a message for a condition.
func Shorten(message string) string {
	message = strings.TrimSpace(message)
	if len(message) <= maxMessage {
		return message
	}
	cut := maxMessage
	for cut > 0 && !utf8.RuneStart(message[cut]) {
		cut--
	}
	return message[:cut] + "…"
}
