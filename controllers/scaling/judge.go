package scaling

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/metricsapi"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// Facts are what AutoscalingActive follows from.
type Facts struct {
	Model      *v1alpha1.GptOssModel
	Autoscaler *autoscalingv2.HorizontalPodAutoscaler // the model's own, or nil
	Rival      string                                 // the name of somebody else's, or ""
	Source     metricsapi.Source
}

// Verdict is the condition AutoscalingActive.
type Verdict struct {
	Active          bool
	Reason, Message string
}

// Judge says whether the model is scaled, by what, and what to do when it is not.
func Judge(f Facts) Verdict {
	switch {
	case f.Rival != "" && f.Model.Spec.Autoscaling != nil:
		return Verdict{Reason: v1alpha1.ReasonOtherAutoscaler, Message: fmt.Sprintf(
			"HorizontalPodAutoscaler %q scales the same pods, and two would stop each other, so the operator has none: delete it, or remove spec.autoscaling", f.Rival)}
	case f.Rival != "":
		return Verdict{Reason: v1alpha1.ReasonOtherAutoscaler, Message: fmt.Sprintf(
			"HorizontalPodAutoscaler %q scales Deployment %q, so spec.replicas is left alone: delete it and set spec.autoscaling, or let it scale GptOssModel %q instead", f.Rival, f.Model.Name, f.Model.Name)}
	case f.Model.Spec.Autoscaling == nil:
		return Verdict{Reason: v1alpha1.ReasonAutoscalingOff, Message: "spec.autoscaling is not set"}
	case f.Autoscaler == nil:
		return pendingVerdict()
	}
	c := condition(f.Autoscaler, autoscalingv2.ScalingActive)
	switch c.Status {
	case corev1.ConditionTrue:
		return working(f.Source)
	case corev1.ConditionFalse:
		if c.Reason == "ScalingDisabled" {
			return Verdict{Reason: v1alpha1.ReasonMetricUnavailable, Message: said(c)}
		}
		return failing(f.Source, said(c))
	}
	return pendingVerdict()
}

func pendingVerdict() Verdict {
	return Verdict{Reason: v1alpha1.ReasonAutoscalerPending, Message: "the autoscaler has not reported yet"}
}

func said(c autoscalingv2.HorizontalPodAutoscalerCondition) string {
	return c.Reason + ": " + c.Message
}

func working(s metricsapi.Source) Verdict {
	text := "the autoscaler reads " + resources.ActiveRequestsMetric
	if s.Kind == metricsapi.Foreign {
		return Verdict{Active: true, Reason: v1alpha1.ReasonMetricFromOthers, Message: fmt.Sprintf("%s from %s, to which APIService %q belongs", text, s.Owner, s.Registration)}
	}
	return Verdict{Active: true, Reason: v1alpha1.ReasonMetricAvailable, Message: text}
}

func failing(s metricsapi.Source, said string) Verdict {
	switch s.Kind {
	case metricsapi.Foreign:
		state := ""
		if s.Problem != "" {
			state = " (which does not work: " + s.Problem + ")"
		}
		return Verdict{Reason: v1alpha1.ReasonMetricsAPITaken, Message: fmt.Sprintf(
			"APIService %q belongs to %s%s, which does not serve %s: give it the rules in docs/autoscaling.md, or remove the APIService and the operator serves the metric itself; the autoscaler says: %s",
			s.Registration, s.Owner, state, resources.ActiveRequestsMetric, said)}
	case metricsapi.Off:
		return Verdict{Reason: v1alpha1.ReasonMetricsAPIOff, Message: fmt.Sprintf(
			"the operator runs with --metrics-api=off and nobody else serves %s: switch it on, or give another adapter the rules in docs/autoscaling.md; the autoscaler says: %s", resources.ActiveRequestsMetric, said)}
	case metricsapi.Refused:
		return Verdict{Reason: v1alpha1.ReasonMetricsAPIRefused, Message: fmt.Sprintf(
			"the operator may not register its metrics API: %s; give it the rights in config/rbac/metrics_api_role.yaml, or run it with --metrics-api=off", s.Problem)}
	}
	return Verdict{Reason: v1alpha1.ReasonMetricUnavailable, Message: said}
}
