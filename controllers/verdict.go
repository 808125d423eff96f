package controllers

import (
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/diagnosis"
	"github.com/gptoss/gptoss-operator/controllers/metricsapi"
	"github.com/gptoss/gptoss-operator/controllers/scaling"
)

// verdict is what an observation means: one answer to "does it serve what was asked for", and why not.
type verdict struct {
	ready, stalled  bool
	reason, message string
}

// pending and stalled are the two ways of not being ready: time helps, or only a person.
func pending(reason, message string) verdict { return verdict{reason: reason, message: message} }

func stalled(reason, message string) verdict {
	return verdict{stalled: true, reason: reason, message: message}
}

// judge decides Ready. The steps' failure comes first: what was not written cannot be true.
func judge(o observation) verdict {
	var s *stall
	switch {
	case errors.As(o.failure, &s) && s.passing:
		return pending(s.reason, s.message)
	case errors.As(o.failure, &s):
		return stalled(s.reason, s.message)
	case errors.Is(o.failure, errWait):
		return pending(v1alpha1.ReasonProgressing, "an object of an earlier GptOssModel is being deleted")
	case o.failure != nil:
		return pending(v1alpha1.ReasonApplyFailed, diagnosis.Shorten(o.failure.Error()))
	case o.deployment == nil:
		return pending(v1alpha1.ReasonProgressing, "the Deployment is being created")
	}
	return judgeRollout(o)
}

// judgeRollout decides for a Deployment that is as the spec wants it.
func judgeRollout(o observation) verdict {
	want := wanted(o.deployment)
	current, old := split(o.pods, o.revision)
	if !rolledOut(o.deployment, want) || readyCount(current) < int(want) {
		return judgeUnfinished(o, current, old, want)
	}
	if n := readyCount(old); n > 0 {
		return pending(v1alpha1.ReasonOldPodsServing, fmt.Sprintf("%d pods of an earlier generation still answer clients", n))
	}
	if want == 0 {
		return verdict{ready: true, reason: v1alpha1.ReasonScaledToZero, message: "spec.replicas is 0: no pod runs, and clients get no answer"}
	}
	return verdict{ready: true, reason: v1alpha1.ReasonReady, message: fmt.Sprintf("%d of %d pods serve", want, want)}
}

// judgeUnfinished says what a rollout waits for.
func judgeUnfinished(o observation, current, old []corev1.Pod, want int32) verdict {
	if c := deploymentCondition(o.deployment, appsv1.DeploymentReplicaFailure); c.Status == corev1.ConditionTrue {
		t := diagnosis.Refused(c.Message)
		return stalled(t.Reason, t.Message)
	}
	deadline := deploymentCondition(o.deployment, appsv1.DeploymentProgressing)
	timedOut := deadline.Status == corev1.ConditionFalse && o.deployment.Status.ObservedGeneration >= o.deployment.Generation
	if t, found := diagnosis.Worst(o.model, current); found {
		if told, more := diagnosis.FromEvents(o.events); more {
			t = told
		}
		if t.Reason == v1alpha1.ReasonWaitingForCapacity && anyLives(old) {
			t.Message = diagnosis.Shorten(t.Message + "; " + standing(o.model, current))
		}
		return verdict{stalled: t.Stalled || timedOut, reason: t.Reason, message: t.Message}
	}
	if timedOut {
		return stalled(v1alpha1.ReasonRolloutTimedOut, diagnosis.Shorten(deadline.Message))
	}
	if n := readyCount(current); n < int(want) {
		return pending(v1alpha1.ReasonProgressing, fmt.Sprintf("%d of %d pods of this generation serve", n, want))
	}
	return pending(v1alpha1.ReasonProgressing, "the pods serve; the Deployment has yet to finish its rollout")
}

// standing says what becomes of earlier pods while there is no room for new ones.
func standing(m *v1alpha1.GptOssModel, current []corev1.Pod) string {
	crowded := false
	for i := range current {
		crowded = crowded || diagnosis.Crowded(&current[i])
	}
	switch {
	case !crowded:
		return "pods of an earlier generation go on serving"
	case m.Rollout().OnNoCapacity == v1alpha1.OnNoCapacityRecreate:
		return "a pod of an earlier generation is stopped to make room"
	}
	return "pods of an earlier generation go on serving; with rollout.onNoCapacity: Recreate they would make room"
}

// rolledOut reports whether the Deployment's controller has done all it has to do.
func rolledOut(d *appsv1.Deployment, want int32) bool {
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.Replicas == want && s.UpdatedReplicas == want &&
		s.ReadyReplicas == want && s.AvailableReplicas == want
}

func wanted(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1 // the API server's default
	}
	return *d.Spec.Replicas
}

// readyCount counts pods that answer clients. A pod that is being deleted answers until its readiness fails.
func readyCount(pods []corev1.Pod) int {
	n := 0
	for i := range pods {
		if diagnosis.Ready(&pods[i]) {
			n++
		}
	}
	return n
}

func deploymentCondition(d *appsv1.Deployment, kind appsv1.DeploymentConditionType) appsv1.DeploymentCondition {
	for _, c := range d.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return appsv1.DeploymentCondition{}
}

// conditions writes the verdict and its parts into the list.
func conditions(list *[]metav1.Condition, o observation, v verdict) {
	set := func(kind string, status bool, reason, message string) {
		c := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message, ObservedGeneration: o.model.Generation}
		if status {
			c.Status = metav1.ConditionTrue
		}
		meta.SetStatusCondition(list, c)
	}
	set(v1alpha1.ConditionReady, v.ready, v.reason, v.message)
	// kstatus wants the two abnormal conditions absent, not False, when all is well.
	for kind, on := range map[string]bool{v1alpha1.ConditionReconciling: !v.ready && !v.stalled, v1alpha1.ConditionStalled: v.stalled} {
		if on {
			set(kind, true, v.reason, v.message)
		} else {
			meta.RemoveStatusCondition(list, kind)
		}
	}
	current, _ := split(o.pods, o.revision)
	if readyCount(current) > 0 {
		set(v1alpha1.ConditionModelAvailable, true, v1alpha1.ReasonModelLoaded, "the model is loaded")
	} else {
		set(v1alpha1.ConditionModelAvailable, false, v.reason, v.message)
	}
	if readyCount(o.pods) > 0 {
		set(v1alpha1.ConditionWorkloadAvailable, true, v1alpha1.ReasonPodsServing, "at least one pod answers clients")
	} else {
		set(v1alpha1.ConditionWorkloadAvailable, false, v1alpha1.ReasonNoPodReady, "no pod answers clients")
	}
	before := meta.FindStatusCondition(*list, v1alpha1.ConditionAutoscalingActive)
	if o.source.Kind == metricsapi.Unknown && o.model.Spec.Autoscaling != nil && before != nil && before.ObservedGeneration == o.model.Generation {
		return // a new leader that does not know yet repeats what the last one knew
	}
	scaled := scaling.Judge(scaling.Facts{Model: o.model, Autoscaler: o.autoscaler, Rival: o.rival, Source: o.source})
	set(v1alpha1.ConditionAutoscalingActive, scaled.Active, scaled.Reason, diagnosis.Shorten(scaled.Message))
}
