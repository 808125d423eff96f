package controllers

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

func deploymentOf(replicas, ready int32, conditions ...appsv1.DeploymentCondition) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
	d.Spec.Replicas = &replicas
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: 2, Replicas: replicas, UpdatedReplicas: replicas, ReadyReplicas: ready, AvailableReplicas: ready, Conditions: conditions,
	}
	return d
}

func podOf(name, revision string, status corev1.PodStatus) corev1.Pod {
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{resources.LabelRevision: revision}}, Status: status}
}

func TestJudge(t *testing.T) {
	ready := corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	loading := corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "server", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}
	unplaced := corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "no room"}}}
	late := appsv1.DeploymentCondition{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Message: "too late"}
	stale := deploymentOf(1, 1)
	stale.Generation = 3
	surging := deploymentOf(1, 1)
	surging.Status.Replicas = 2

	for name, tc := range map[string]struct {
		o    observation
		want verdict
	}{
		"all pods ready": {
			observation{deployment: deploymentOf(1, 1), pods: []corev1.Pod{podOf("a", "r", ready)}},
			verdict{ready: true, reason: "Ready", message: "1 of 1 pods serve"},
		},
		"paused":               {observation{deployment: deploymentOf(0, 0)}, verdict{ready: true, reason: "ScaledToZero", message: "spec.replicas is 0: no pod runs, and clients get no answer"}},
		"paused, but one left": {observation{deployment: deploymentOf(0, 0), pods: []corev1.Pod{podOf("a", "old", ready)}}, pending("OldPodsServing", "1 pods of an earlier generation still answer clients")},
		"an old pod beside the new one": {
			observation{deployment: deploymentOf(1, 1), pods: []corev1.Pod{podOf("a", "old", ready), podOf("b", "r", ready)}},
			pending("OldPodsServing", "1 pods of an earlier generation still answer clients"),
		},
		"ready pods are all old, though the Deployment counts them": {
			observation{deployment: deploymentOf(1, 1), pods: []corev1.Pod{podOf("a", "old", ready)}},
			pending("Progressing", "0 of 1 pods of this generation serve"),
		},
		"the Deployment's controller has not seen the change": {
			observation{deployment: stale, pods: []corev1.Pod{podOf("a", "r", ready)}},
			pending("Progressing", "the pods serve; the Deployment has yet to finish its rollout"),
		},
		"a surge pod is still there": {
			observation{deployment: surging, pods: []corev1.Pod{podOf("a", "r", ready)}},
			pending("Progressing", "the pods serve; the Deployment has yet to finish its rollout"),
		},
		"no Deployment yet": {observation{}, pending("Progressing", "the Deployment is being created")},
		"a step stalled":    {observation{failure: &stall{reason: "SecretNotFound", message: "m"}}, stalled("SecretNotFound", "m")},
		"a step failed":     {observation{failure: errors.New("boom")}, pending("ApplyFailed", "boom")},
		"an object is on its way out": {
			observation{failure: errWait}, pending("Progressing", "an object of an earlier GptOssModel is being deleted"),
		},
		"the worst pod speaks": {
			observation{deployment: deploymentOf(2, 0), pods: []corev1.Pod{podOf("a", "r", loading), podOf("b", "r", unplaced)}},
			pending("WaitingForCapacity", "no room"),
		},
		"out of time, with a known cause": {
			observation{deployment: deploymentOf(1, 0, late), pods: []corev1.Pod{podOf("b", "r", unplaced)}}, stalled("WaitingForCapacity", "no room"),
		},
		"out of time without pods": {observation{deployment: deploymentOf(1, 0, late)}, stalled("RolloutTimedOut", "too late")},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.model, tc.o.revision = &v1alpha1.GptOssModel{}, "r"
			if diff := cmp.Diff(tc.want, judge(tc.o), cmp.AllowUnexported(verdict{})); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFailedWriteLeavesAReadyModelReady(t *testing.T) {
	ready := corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	m := &v1alpha1.GptOssModel{ObjectMeta: metav1.ObjectMeta{Generation: 7}}
	o := observation{model: m, deployment: deploymentOf(1, 1), revision: "r", pods: []corev1.Pod{podOf("a", "r", ready)}, failure: errors.New("timeout")}
	if v := judgeCalmly(o); v.ready || v.reason != v1alpha1.ReasonApplyFailed {
		t.Errorf("never ready before: %+v", v)
	}
	m.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: 7}}
	if v := judgeCalmly(o); !v.ready {
		t.Errorf("ready before: %+v", v)
	}
	m.Generation = 8
	if v := judgeCalmly(o); v.ready {
		t.Errorf("ready for an earlier generation only: %+v", v)
	}
}
