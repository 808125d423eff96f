package resources

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// ActiveRequestsMetric is the gauge of the server that pods are scaled by.
const ActiveRequestsMetric = "gpt_oss_active_requests"

// HorizontalPodAutoscaler chooses the number of pods by their active requests. It needs spec.autoscaling.
func HorizontalPodAutoscaler(m *v1alpha1.GptOssModel) *autoscalingv2.HorizontalPodAutoscaler {
	a := m.Spec.Autoscaling
	minReplicas, maxReplicas, target := a.Bounds()
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: objectMeta(m, m.Name),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: m.Name},
			MinReplicas:    new(minReplicas),
			MaxReplicas:    maxReplicas,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.PodsMetricSourceType,
				Pods: &autoscalingv2.PodsMetricSource{
					Metric: autoscalingv2.MetricIdentifier{Name: ActiveRequestsMetric},
					Target: autoscalingv2.MetricTarget{
						Type:         autoscalingv2.AverageValueMetricType,
						AverageValue: resource.NewQuantity(int64(target), resource.DecimalSI),
					},
				},
			}},
			Behavior: behavior(a.Behavior),
		},
	}
}

func behavior(b *v1alpha1.AutoscalingBehavior) *autoscalingv2.HorizontalPodAutoscalerBehavior {
	if b == nil || (b.ScaleUp == nil && b.ScaleDown == nil) {
		return nil
	}
	return &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: rules(b.ScaleUp), ScaleDown: rules(b.ScaleDown)}
}

func rules(r *v1alpha1.ScalingRules) *autoscalingv2.HPAScalingRules {
	if r == nil {
		return nil
	}
	out := &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: r.StabilizationWindowSeconds}
	if r.SelectPolicy != "" {
		out.SelectPolicy = new(autoscalingv2.ScalingPolicySelect(r.SelectPolicy))
	}
	for _, p := range r.Policies {
		out.Policies = append(out.Policies, autoscalingv2.HPAScalingPolicy{
			Type: autoscalingv2.HPAScalingPolicyType(p.Type), Value: p.Value, PeriodSeconds: p.PeriodSeconds,
		})
	}
	return out
}
