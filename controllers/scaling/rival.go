package scaling

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// Suspicion is how much speaks for an autoscaler that somebody else made.
type Suspicion int

const (
	// None means that there is no reason to look.
	None Suspicion = iota

	// Routine means that ours is about to be made.
	Routine

	// Strong means that somebody acts like one.
	Strong
)

// Suspect tells whether to look for an autoscaler that somebody else made. Such ones carry no label of ours, so no cache
// knows them, and to ask for every model every time would be too much: it is asked before ours is made (own is nil then),
// when ours says that it is not alone, and when the number of pods was set through the Deployment's scale subresource
// although the model has no autoscaler.
func Suspect(m *v1alpha1.GptOssModel, own *autoscalingv2.HorizontalPodAutoscaler, d *appsv1.Deployment) Suspicion {
	switch {
	case m.Spec.Autoscaling == nil && d != nil && scaledByOthers(d):
		return Strong
	case m.Spec.Autoscaling == nil:
		return None
	case own == nil:
		return Routine
	case condition(own, autoscalingv2.ScalingActive).Reason == "AmbiguousSelector":
		return Strong
	}
	return None
}

// scaledByOthers reports whether replicas was last set through the scale subresource.
func scaledByOthers(d *appsv1.Deployment) bool {
	return slices.ContainsFunc(d.ManagedFields, func(e metav1.ManagedFieldsEntry) bool {
		return e.Subresource == "scale" && e.FieldsV1 != nil && strings.Contains(string(e.FieldsV1.GetRawBytes()), `"f:replicas"`)
	})
}

// memory is how long a namespace's autoscalers answer routine questions: a thousand models that are made at once take one
// list, and not a thousand. An autoscaler that is missed for that makes itself known through ours.
const memory = 5 * time.Second

// Rivals looks for autoscalers of somebody else. The zero value is ready for use.
type Rivals struct {
	mu    sync.Mutex
	lists map[string]rivalList // by namespace
}

type rivalList struct {
	at    time.Time
	items []autoscalingv2.HorizontalPodAutoscaler
}

// Of returns the name of an autoscaler of somebody else that scales the model's Deployment, or "". One that scales the
// GptOssModel itself is welcome, unless the model has an autoscaler too: both would count the same pods, and then
// Kubernetes lets neither act. live reads those without our label, cache those that were copied with it.
func (r *Rivals) Of(ctx context.Context, live, cache client.Reader, m *v1alpha1.GptOssModel, s Suspicion) (string, error) {
	if s == None {
		return "", nil
	}
	foreign, err := r.foreign(ctx, live, m.Namespace, s)
	if err != nil {
		return "", err
	}
	var labelled autoscalingv2.HorizontalPodAutoscalerList
	if err := cache.List(ctx, &labelled, client.InNamespace(m.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return "", fmt.Errorf("scaling: list HorizontalPodAutoscalers: %w", err)
	}
	name := ""
	for _, items := range [][]autoscalingv2.HorizontalPodAutoscaler{foreign, labelled.Items} {
		for i := range items {
			if hpa := &items[i]; scales(hpa.Spec.ScaleTargetRef, m) && !metav1.IsControlledBy(hpa, m) && (name == "" || hpa.Name < name) {
				name = hpa.Name
			}
		}
	}
	return name, nil
}

// foreign lists a namespace's autoscalers that carry no label of ours.
func (r *Rivals) foreign(ctx context.Context, live client.Reader, namespace string, s Suspicion) ([]autoscalingv2.HorizontalPodAutoscaler, error) {
	r.mu.Lock()
	defer r.mu.Unlock() // while one asks, the others wait for the same answer
	if known, ok := r.lists[namespace]; ok && s == Routine && time.Since(known.at) < memory {
		return known.items, nil
	}
	others, err := labels.NewRequirement(resources.LabelManagedBy, selection.NotEquals, []string{resources.ManagedBy})
	if err != nil {
		return nil, fmt.Errorf("scaling: %w", err)
	}
	var list autoscalingv2.HorizontalPodAutoscalerList
	if err := live.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: labels.NewSelector().Add(*others)}); err != nil {
		return nil, fmt.Errorf("scaling: list HorizontalPodAutoscalers: %w", err)
	}
	if r.lists == nil {
		r.lists = map[string]rivalList{}
	}
	maps.DeleteFunc(r.lists, func(_ string, l rivalList) bool { return time.Since(l.at) >= memory })
	r.lists[namespace] = rivalList{at: time.Now(), items: list.Items}
	return list.Items, nil
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
