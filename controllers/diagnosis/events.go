package diagnosis

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// Patience is how long a pod may take to get its network and volumes before its events are asked why.
const Patience = 10 * time.Second

// Waits reports whether a pod has had a node for longer than is usual, and still waits for its network and volumes. Its
// status says nothing of what keeps it; its events do.
func Waits(pods []corev1.Pod, name string, now time.Time) bool {
	for i := range pods {
		c := conditionOf(&pods[i], corev1.PodScheduled)
		if pods[i].Name == name && c.Status == corev1.ConditionTrue {
			return now.Sub(c.LastTransitionTime.Time) >= Patience
		}
	}
	return false
}

// FromEvents is what the kubelet and the controllers of volumes say of a pod that waits for them: the latest of what
// they say of volumes, or else of its network.
func FromEvents(events []corev1.Event) (t Trouble, found bool) {
	latest := func(reasons ...string) *corev1.Event {
		var last *corev1.Event
		for i := range events {
			if e := &events[i]; slices.Contains(reasons, e.Reason) && (last == nil || last.LastTimestamp.Before(&e.LastTimestamp)) {
				last = e
			}
		}
		return last
	}
	if e := latest("FailedMount", "FailedAttachVolume", "FailedMapVolume"); e != nil {
		return Trouble{Reason: v1alpha1.ReasonVolumeMountFailed, Message: Shorten(e.Message)}, true
	}
	if e := latest("FailedCreatePodSandBox", "NetworkNotReady"); e != nil {
		return Trouble{Reason: v1alpha1.ReasonPodsStarting, Message: Shorten("the pod's network is not ready: " + strings.TrimSpace(e.Message))}, true
	}
	return Trouble{}, false
}
