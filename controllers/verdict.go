package controllers

import (
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
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
		return pending(v1alpha1.ReasonApplyFailed, shorten(o.failure.Error()))
	case o.deployment == nil:
		return pending(v1alpha1.ReasonProgressing, "the Deployment is being created")
	}
	return judgeRollout(o)
}

// judgeRollout decides for a Deployment that is as the spec wants it.
func judgeRollout(o observation) verdict {
	want := wanted(o.deployment)
	current, old := o.split()
	if !rolledOut(o.deployment, want) || readyCount(current) < int(want) {
		return judgeUnfinished(o, current, want)
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
func judgeUnfinished(o observation, current []corev1.Pod, want int32) verdict {
	if c := deploymentCondition(o.deployment, appsv1.DeploymentReplicaFailure); c.Status == corev1.ConditionTrue {
		return stalled(v1alpha1.ReasonPodsRefused, shorten(c.Message))
	}
	deadline := deploymentCondition(o.deployment, appsv1.DeploymentProgressing)
	timedOut := deadline.Status == corev1.ConditionFalse && o.deployment.Status.ObservedGeneration >= o.deployment.Generation
	if t, found := worst(current); found {
		return verdict{stalled: t.stalled || timedOut, reason: t.reason, message: t.message}
	}
	if timedOut {
		return stalled(v1alpha1.ReasonRolloutTimedOut, shorten(deadline.Message))
	}
	if n := readyCount(current); n < int(want) {
		return pending(v1alpha1.ReasonProgressing, fmt.Sprintf("%d of %d pods of this generation serve", n, want))
	}
	return pending(v1alpha1.ReasonProgressing, "the pods serve; the Deployment has yet to finish its rollout")
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

// split tells the pods that spec wants from earlier ones.
func (o observation) split() (current, old []corev1.Pod) {
	for _, pod := range o.pods {
		if pod.Labels[resources.LabelRevision] == o.revision {
			current = append(current, pod)
		} else {
			old = append(old, pod)
		}
	}
	return current, old
}

// readyCount counts pods that answer clients. A pod that is being deleted answers until its readiness fails.
func readyCount(pods []corev1.Pod) int {
	n := 0
	for i := range pods {
		if podReady(&pods[i]) {
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
	current, _ := o.split()
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
	active, reason, message := judgeAutoscaler(o)
	set(v1alpha1.ConditionAutoscalingActive, active, reason, message)
}

// judgeAutoscaler repeats what the autoscaler says of its metric.
func judgeAutoscaler(o observation) (active bool, reason, message string) {
	if o.model.Spec.Autoscaling == nil {
		return false, v1alpha1.ReasonAutoscalingOff, "spec.autoscaling is not set"
	}
	if o.autoscaler != nil {
		for _, c := range o.autoscaler.Status.Conditions {
			if c.Type != autoscalingv2.ScalingActive {
				continue
			}
			if c.Status == corev1.ConditionTrue {
				return true, v1alpha1.ReasonMetricAvailable, "the autoscaler reads " + resources.ActiveRequestsMetric
			}
			return false, v1alpha1.ReasonMetricUnavailable, shorten(c.Reason + ": " + c.Message)
		}
	}
	return false, v1alpha1.ReasonAutoscalerPending, "the autoscaler has not reported yet"
}
