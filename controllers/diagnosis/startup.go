package diagnosis

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// Startup says how long the newest ready pod took to start. A pod is measured once, when it is first seen ready: its
// Ready condition would move when its readiness comes and goes. known is what was reported before, and stays where no
// newer pod has become ready.
func Startup(pods []corev1.Pod, known *v1alpha1.StartupStatus) *v1alpha1.StartupStatus {
	var newest *corev1.Pod
	for i := range pods {
		if pod := &pods[i]; Ready(pod) && pod.DeletionTimestamp == nil && (newest == nil || younger(pod, newest)) {
			newest = pod
		}
	}
	if newest == nil || (known != nil && known.Pod == newest.Name) {
		return known
	}
	if s, complete := measure(newest); complete {
		return s
	}
	return known
}

func younger(a, b *corev1.Pod) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return strings.Compare(a.Name, b.Name) > 0
	}
	return b.CreationTimestamp.Before(&a.CreationTimestamp)
}

// measure reads the times that scheduler and kubelet have left in a pod. A container that was restarted has lost the time
// of its first start, so such a pod is not measured.
func measure(pod *corev1.Pod) (*v1alpha1.StartupStatus, bool) {
	scheduled, ready := conditionOf(pod, corev1.PodScheduled).LastTransitionTime, conditionOf(pod, corev1.PodReady).LastTransitionTime
	var started metav1.Time
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == resources.ContainerName && status.State.Running != nil && status.RestartCount == 0 {
			started = status.State.Running.StartedAt
		}
	}
	loaded := conditionOf(pod, corev1.ContainersReady).LastTransitionTime
	if loaded.IsZero() {
		loaded = ready
	}
	if scheduled.IsZero() || started.IsZero() || ready.IsZero() {
		return nil, false
	}
	return &v1alpha1.StartupStatus{
		Pod:              pod.Name,
		ScheduledSeconds: seconds(pod.CreationTimestamp, scheduled),
		PulledSeconds:    seconds(scheduled, started),
		LoadedSeconds:    seconds(started, loaded),
		ReadySeconds:     seconds(pod.CreationTimestamp, ready),
	}, true
}

// seconds between two times, which come from clocks of different machines.
func seconds(from, to metav1.Time) int64 { return max(0, int64(to.Sub(from.Time)/time.Second)) }
