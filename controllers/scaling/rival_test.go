package scaling

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// cluster plays the API server, which counts the lists, and the cache, which holds what carries our label.
func cluster(hpas ...client.Object) (live, cache client.Reader, lists *int) {
	lists = new(int)
	build := func() client.WithWatch {
		return fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(hpas...).Build()
	}
	live = interceptor.NewClient(build(), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, options ...client.ListOption) error {
			*lists++
			return c.List(ctx, l, options...)
		},
	})
	cache = interceptor.NewClient(build(), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, _ ...client.ListOption) error {
			return c.List(ctx, l, client.InNamespace("team"), client.MatchingLabels{resources.LabelManagedBy: resources.ManagedBy})
		},
	})
	return live, cache, lists
}

func scaler(name string, target autoscalingv2.CrossVersionObjectReference, labels map[string]string) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, Labels: labels},
		Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: target, MaxReplicas: 2},
	}
}

func TestRivals(t *testing.T) {
	deployment := autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "chat"}
	gom := autoscalingv2.CrossVersionObjectReference{APIVersion: "gptoss.dev/v1alpha1", Kind: "GptOssModel", Name: "chat"}
	of := func(change func(*autoscalingv2.CrossVersionObjectReference)) autoscalingv2.CrossVersionObjectReference {
		target := deployment
		change(&target)
		return target
	}
	ours := map[string]string{resources.LabelManagedBy: resources.ManagedBy}
	owned := scaler("chat", deployment, ours)
	owned.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(model(true), v1alpha1.GroupVersion.WithKind("GptOssModel"))}
	for name, tc := range map[string]struct {
		hpa        client.Object
		autoscaled bool
		want       string
	}{
		"one for the Deployment":                    {scaler("mine", deployment, nil), true, "mine"},
		"one for the Deployment that stands alone":  {scaler("mine", deployment, nil), false, "mine"},
		"a copy of ours with all its labels":        {scaler("copy", deployment, ours), true, "copy"},
		"ours":                                      {owned, true, ""},
		"one for the model beside ours":             {scaler("mine", gom, nil), true, "mine"},
		"one for the model alone, which is welcome": {scaler("mine", gom, nil), false, ""},
		"one for another Deployment":                {scaler("mine", of(func(r *autoscalingv2.CrossVersionObjectReference) { r.Name = "other" }), nil), true, ""},
		"one for a StatefulSet of the name":         {scaler("mine", of(func(r *autoscalingv2.CrossVersionObjectReference) { r.Kind = "StatefulSet" }), nil), true, ""},
		"one for another group's kind of that name": {scaler("mine", of(func(r *autoscalingv2.CrossVersionObjectReference) { r.APIVersion = "example.com/v1" }), nil), true, ""},
		"one for an old version of the same kind":   {scaler("mine", of(func(r *autoscalingv2.CrossVersionObjectReference) { r.APIVersion = "apps/v1beta2" }), nil), true, "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			live, cache, _ := cluster(tc.hpa)
			var rivals Rivals
			got, err := rivals.Of(t.Context(), live, cache, model(tc.autoscaled), Strong)
			if err != nil || got != tc.want {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestRivalsAreAskedForSparingly(t *testing.T) {
	live, cache, lists := cluster()
	var rivals Rivals
	for _, step := range []struct {
		s    Suspicion
		want int
	}{{None, 0}, {Routine, 1}, {Routine, 1}, {Strong, 2}, {Routine, 2}} {
		if _, err := rivals.Of(t.Context(), live, cache, model(true), step.s); err != nil || *lists != step.want {
			t.Errorf("after suspicion %d: %d lists, %v; want %d", step.s, *lists, err, step.want)
		}
	}
}

func TestSuspect(t *testing.T) {
	scaled := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
		{Subresource: "scale", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`)},
	}}}
	for name, tc := range map[string]struct {
		autoscaled bool
		own        *autoscalingv2.HorizontalPodAutoscaler
		d          *appsv1.Deployment
		want       Suspicion
	}{
		"nothing to scale yet":                      {false, nil, nil, None},
		"a fixed number that is ours":               {false, nil, &appsv1.Deployment{}, None},
		"a fixed number that somebody else changed": {false, nil, scaled, Strong},
		"ours is about to be made":                  {true, nil, scaled, Routine},
		"ours works":                                {true, saying(autoscalingv2.ScalingActive, "True", "ValidMetricFound", ""), scaled, None},
		"ours is not alone":                         {true, saying(autoscalingv2.ScalingActive, "False", "AmbiguousSelector", ""), nil, Strong},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Suspect(model(tc.autoscaled), tc.own, tc.d); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}
