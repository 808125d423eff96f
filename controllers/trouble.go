package controllers

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

// trouble is why a pod does not serve.
type trouble struct {
	reason, message string
	stalled         bool // a person must change something
}

// worst returns what keeps the pods from serving, judged by the pod in the worst state; the first by name among equals,
// so that the answer does not flicker. ok is false when every pod serves.
func worst(pods []corev1.Pod) (t trouble, ok bool) {
	sorted := slices.SortedFunc(slices.Values(pods), func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	var all []trouble
	for i := range sorted {
		if pod := &sorted[i]; pod.DeletionTimestamp == nil && !podReady(pod) {
			all = append(all, podTrouble(pod))
		}
	}
	if len(all) == 0 {
		return trouble{}, false
	}
	return slices.MinFunc(all, func(a, b trouble) int { return cmp.Compare(severity(a), severity(b)) }), true
}

// severity orders troubles: what needs a person, then what waits for the cluster, then what only takes time.
func severity(t trouble) int {
	switch {
	case t.stalled:
		return 0
	case t.reason == v1alpha1.ReasonWaitingForCapacity:
		return 1
	}
	return 2
}

func podReady(pod *corev1.Pod) bool {
	return conditionOf(pod, corev1.PodReady).Status == corev1.ConditionTrue
}

func conditionOf(pod *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

// podTrouble says why one pod does not serve, in the words of whoever knows: the server, the kubelet or the scheduler.
func podTrouble(pod *corev1.Pod) trouble {
	if c := conditionOf(pod, corev1.PodScheduled); c.Status == corev1.ConditionFalse {
		return trouble{reason: v1alpha1.ReasonWaitingForCapacity, message: shorten(c.Message)}
	}
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == resources.ContainerName {
			return containerTrouble(status)
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return trouble{reason: v1alpha1.ReasonCrashLooping, message: shorten("pod failed: " + pod.Status.Reason + " " + pod.Status.Message), stalled: true}
	}
	return trouble{reason: v1alpha1.ReasonPodsStarting, message: "pods wait for their node, image and volumes"}
}

func containerTrouble(status corev1.ContainerStatus) trouble {
	if waiting := status.State.Waiting; waiting != nil {
		switch waiting.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull":
			return trouble{reason: v1alpha1.ReasonImagePullFailed, message: shorten(pullMessage(status.Image, waiting.Message)), stalled: true}
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			return trouble{reason: v1alpha1.ReasonContainerConfigFailed, message: shorten(waiting.Message), stalled: true}
		}
	}
	// A container that has ended is worth more than the state it is in now, which changes with every attempt.
	ended := status.State.Terminated
	if ended == nil {
		ended = status.LastTerminationState.Terminated
	}
	if ended != nil {
		backOff := status.State.Waiting != nil && status.State.Waiting.Reason == "CrashLoopBackOff"
		return exitTrouble(ended, backOff || status.RestartCount >= manyRestarts)
	}
	if status.State.Running != nil {
		return trouble{reason: v1alpha1.ReasonLoadingModel, message: "the server loads the model"}
	}
	return trouble{reason: v1alpha1.ReasonPodsStarting, message: "pods wait for their node, image and volumes"}
}

// exitTrouble explains the server's end. It ends with status 1 and one sentence when it cannot serve its model, which
// no restart changes; anything else gets a second chance before it counts as a loop.
func exitTrouble(ended *corev1.ContainerStateTerminated, loops bool) trouble {
	message := strings.TrimSpace(ended.Message)
	switch {
	case ended.Reason == "OOMKilled":
		return trouble{reason: v1alpha1.ReasonOutOfMemory, message: "the server used more memory than its limit and was killed; raise spec.resources.limits.memory", stalled: loops}
	case ended.ExitCode == 1 && message != "":
		return trouble{reason: v1alpha1.ReasonModelLoadFailed, message: shorten(message), stalled: true}
	case ended.ExitCode == 0:
		return trouble{reason: v1alpha1.ReasonPodsStarting, message: "the server ended and is being started again"}
	}
	text := fmt.Sprintf("the server exited with status %d", ended.ExitCode)
	if message != "" {
		text += ": " + message
	}
	return trouble{reason: v1alpha1.ReasonCrashLooping, message: shorten(text), stalled: loops}
}

// pullMessage leaves out the kubelet's back-off, which comes and goes with every attempt. The image may be one with weights.
func pullMessage(image, message string) string {
	if _, rest, found := strings.Cut(message, `ulling image "`); found {
		image, _, _ = strings.Cut(rest, `"`)
	}
	if _, cause, found := strings.Cut(message, "ErrImagePull: "); found {
		message = cause
	}
	return fmt.Sprintf("image %q: %s", image, message)
}

func shorten(message string) string {
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
