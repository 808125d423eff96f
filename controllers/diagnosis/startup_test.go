package diagnosis

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// started is a pod that was scheduled, started, loaded and ready so many seconds after its creation.
func started(name string, created int64, scheduled, running, loaded, ready int64) corev1.Pod {
	at := func(seconds int64) metav1.Time { return metav1.Unix(created+seconds, 0) }
	condition := func(kind corev1.PodConditionType, seconds int64) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at(seconds)}
	}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: at(0)},
		Status: corev1.PodStatus{
			Conditions: []corev1.PodCondition{condition(corev1.PodScheduled, scheduled), condition(corev1.ContainersReady, loaded), condition(corev1.PodReady, ready)},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "server", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(running)}},
			}},
		},
	}
}

func TestStartup(t *testing.T) {
	first, second := started("a", 1000, 1, 21, 81, 83), started("b", 2000, 0, 4, 14, 14)
	firstSeen := &v1alpha1.StartupStatus{Pod: "a", ScheduledSeconds: 1, PulledSeconds: 20, LoadedSeconds: 60, ReadySeconds: 83}
	secondSeen := &v1alpha1.StartupStatus{Pod: "b", PulledSeconds: 4, LoadedSeconds: 10, ReadySeconds: 14}
	flapped := *first.DeepCopy()
	flapped.Status.Conditions[2].LastTransitionTime = metav1.NewTime(first.CreationTimestamp.Add(time.Hour))
	restarted := *second.DeepCopy()
	restarted.Status.ContainerStatuses[0].RestartCount = 1
	loading := *second.DeepCopy()
	loading.Status.Conditions[2].Status = corev1.ConditionFalse
	leaving := *second.DeepCopy()
	leaving.DeletionTimestamp = &metav1.Time{}
	skewed := started("c", 3000, -2, 1, 2, 3)

	for name, tc := range map[string]struct {
		pods        []corev1.Pod
		known, want *v1alpha1.StartupStatus
	}{
		"nothing yet":                         {nil, nil, nil},
		"the first pod":                       {[]corev1.Pod{first}, nil, firstSeen},
		"the newest of two":                   {[]corev1.Pod{second, first}, firstSeen, secondSeen},
		"readiness that came and went":        {[]corev1.Pod{flapped}, firstSeen, firstSeen},
		"a newer pod that loads":              {[]corev1.Pod{first, loading}, firstSeen, firstSeen},
		"a newer pod that leaves":             {[]corev1.Pod{first, leaving}, firstSeen, firstSeen},
		"a container that lost its beginning": {[]corev1.Pod{restarted}, nil, nil},
		"no pod left":                         {nil, firstSeen, firstSeen},
		"clocks that differ":                  {[]corev1.Pod{skewed}, nil, &v1alpha1.StartupStatus{Pod: "c", PulledSeconds: 3, LoadedSeconds: 1, ReadySeconds: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Startup(tc.pods, tc.known)); diff != "" {
				t.Errorf("startup (-want +got):\n%s", diff)
			}
		})
	}
}
