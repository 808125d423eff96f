package scaling

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// Suspect reports whether there is a reason to look for an autoscaler that somebody else made. Such ones carry no label of
// ours, so no cache knows them, and to ask for every model every time would be too much: it is asked before ours is made
// (own is nil then), when ours says that it is not alone, and when the number of pods was set through the Deployment's
// scale subresource although the model has no autoscaler.
func Suspect(m *v1alpha1.GptOssModel, own *autoscalingv2.HorizontalPodAutoscaler, d *appsv1.Deployment) bool {
	if m.Spec.Autoscaling == nil {
		return d != nil && scaledByOthers(d)
	}
	if own == nil {
		return true
	}
	return condition(own, autoscalingv2.ScalingActive).Reason == "AmbiguousSelector"
}

// scaledByOthers reports whether replicas was last set through the scale subresource.
func scaledByOthers(d *appsv1.Deployment) bool {
	return slices.ContainsFunc(d.ManagedFields, func(e metav1.ManagedFieldsEntry) bool {
		return e.Subresource == "scale" && e.FieldsV1 != nil && strings.Contains(string(e.FieldsV1.GetRawBytes()), `"f:replicas"`)
	})
}

// Rival returns the name of an autoscaler of somebody else that scales the model's Deployment, or "". One that scales the
// GptOssModel itself is welcome, unless the model has an autoscaler too: both would count the same pods, and then
// Kubernetes lets neither act.
func Rival(ctx context.Context, reader client.Reader, m *v1alpha1.GptOssModel) (string, error) {
	var list autoscalingv2.HorizontalPodAutoscalerList
	if err := reader.List(ctx, &list, client.InNamespace(m.Namespace)); err != nil {
		return "", fmt.Errorf("scaling: list HorizontalPodAutoscalers: %w", err)
	}
	var names []string
	for i := range list.Items {
		if hpa := &list.Items[i]; !metav1.IsControlledBy(hpa, m) && scales(hpa.Spec.ScaleTargetRef, m) {
			names = append(names, hpa.Name)
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	return slices.Min(names), nil
}

func scales(target autoscalingv2.CrossVersionObjectReference, m *v1alpha1.GptOssModel) bool {
	if target.Name != m.Name {
		return false
	}
	switch group := schema.FromAPIVersionAndKind(target.APIVersion, target.Kind).Group; target.Kind {
	case "Deployment":
		return group == appsv1.GroupName
	case "GptOssModel":
		return group == v1alpha1.GroupVersion.Group && m.Spec.Autoscaling != nil
	}
	return false
}

func condition(hpa *autoscalingv2.HorizontalPodAutoscaler, kind autoscalingv2.HorizontalPodAutoscalerConditionType) autoscalingv2.HorizontalPodAutoscalerCondition {
	for _, c := range hpa.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return autoscalingv2.HorizontalPodAutoscalerCondition{}
}
