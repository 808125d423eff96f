package metricsapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// Names of the resources in the API's paths: a resource is called with its group, unless that is the core's.
const (
	podsResource   = "pods"
	modelsResource = "gptossmodels.gptoss.dev"
)

// API answers questions about metrics.
//
// Unknown is always an error, never zero: on an error the autoscaler leaves the number of pods as it is. The Pods metric
// leaves out pods that do not answer, which the autoscaler takes into account in its own careful way. For the Object
// metric of a model, the sum over its ready pods, up to a quarter of them may be silent; each of those counts as what
// the others have on average, or the target if that is more, so that silence never reads as idleness.
type API struct {
	// Reader reads GptOssModels and their pods, from a cache.
	Reader client.Reader

	// Loads reads what the pods have to do.
	Loads *Loads
}

// query is one question: a metric of an object, or of all that a selector selects.
type query struct {
	namespace, resource, name, metric string
	selector, metricSelector          labels.Selector
}

// ask answers a question.
func (a *API) ask(ctx context.Context, q query) (*v1beta2.MetricValueList, error) {
	if q.metric != resources.ActiveRequestsMetric || !q.metricSelector.Matches(labels.Set{}) {
		return nil, notFound(q)
	}
	var items []v1beta2.MetricValue
	var err error
	switch q.resource {
	case podsResource:
		items, err = a.pods(ctx, q)
	case modelsResource:
		items, err = a.models(ctx, q)
	default:
		return nil, notFound(q)
	}
	if err != nil {
		return nil, err
	}
	return &v1beta2.MetricValueList{
		TypeMeta: metav1.TypeMeta{APIVersion: v1beta2.SchemeGroupVersion.String(), Kind: "MetricValueList"},
		Items:    items,
	}, nil
}

// pods answers for each pod of ours that serves and answers.
func (a *API) pods(ctx context.Context, q query) ([]v1beta2.MetricValue, error) {
	var list corev1.PodList
	if err := a.Reader.List(ctx, &list, client.InNamespace(q.namespace), client.MatchingLabelsSelector{Selector: q.selector}); err != nil {
		return nil, unavailable("pods cannot be listed", err)
	}
	chosen := serving(list.Items, func(p *corev1.Pod) bool {
		return p.Labels[resources.LabelManagedBy] == resources.ManagedBy && (q.name == v1beta2.AllObjects || p.Name == q.name)
	})
	if len(chosen) == 0 {
		return nil, notFound(q)
	}
	var out []v1beta2.MetricValue
	for i, r := range a.Loads.Of(ctx, chosen) {
		if r.Err == nil {
			out = append(out, value(q, corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: q.namespace, Name: chosen[i].Name}, r.Active, r.At))
		}
	}
	if len(out) == 0 {
		return nil, unavailable("no pod answers", nil)
	}
	return out, nil
}

// models answers for one model, or for each that is known.
func (a *API) models(ctx context.Context, q query) ([]v1beta2.MetricValue, error) {
	if q.name != v1beta2.AllObjects {
		m := &v1alpha1.GptOssModel{}
		if err := a.Reader.Get(ctx, client.ObjectKey{Namespace: q.namespace, Name: q.name}, m); apierrors.IsNotFound(err) {
			return nil, notFound(q)
		} else if err != nil {
			return nil, unavailable("the GptOssModel cannot be read", err)
		}
		v, err := a.model(ctx, q, m)
		return []v1beta2.MetricValue{v}, err
	}
	var list v1alpha1.GptOssModelList
	if err := a.Reader.List(ctx, &list, client.InNamespace(q.namespace), client.MatchingLabelsSelector{Selector: q.selector}); err != nil {
		return nil, unavailable("GptOssModels cannot be listed", err)
	}
	out := []v1beta2.MetricValue{}
	for i := range list.Items {
		if v, err := a.model(ctx, q, &list.Items[i]); err == nil {
			out = append(out, v)
		}
	}
	return out, nil
}

// model adds up the active requests of a model's pods.
func (a *API) model(ctx context.Context, q query, m *v1alpha1.GptOssModel) (v1beta2.MetricValue, error) {
	var list corev1.PodList
	if err := a.Reader.List(ctx, &list, client.InNamespace(m.Namespace), client.MatchingLabels(resources.SelectorLabels(m))); err != nil {
		return v1beta2.MetricValue{}, unavailable("pods cannot be listed", err)
	}
	pods := serving(list.Items, func(*corev1.Pod) bool { return true })
	if len(pods) == 0 {
		return v1beta2.MetricValue{}, unavailable(fmt.Sprintf("no pod of GptOssModel %q is ready", m.Name), nil)
	}
	target := int32(v1alpha1.DefaultTargetActiveRequests)
	if m.Spec.Autoscaling != nil {
		_, _, target = m.Spec.Autoscaling.Bounds()
	}
	sum, at, ok := sumUp(a.Loads.Of(ctx, pods), int64(target))
	if !ok {
		return v1beta2.MetricValue{}, unavailable(fmt.Sprintf("too few pods of GptOssModel %q answer", m.Name), nil)
	}
	return value(q, corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "GptOssModel", Namespace: m.Namespace, Name: m.Name}, sum, at), nil
}

// sumUp adds readings up, the time being the oldest one's. It is not known when more than a quarter is missing.
func sumUp(readings []Reading, target int64) (sum int64, at time.Time, ok bool) {
	known := int64(0)
	for _, r := range readings {
		if r.Err != nil {
			continue
		}
		known++
		sum += r.Active
		if at.IsZero() || r.At.Before(at) {
			at = r.At
		}
	}
	missing := int64(len(readings)) - known
	if known == 0 || missing > int64(len(readings)/4) {
		return 0, at, false
	}
	average := int64(math.Ceil(float64(sum) / float64(known)))
	return sum + missing*max(average, target), at, true
}

// serving selects pods that answer clients and will go on to, in the order of their names.
func serving(pods []corev1.Pod, chosen func(*corev1.Pod) bool) []corev1.Pod {
	var out []corev1.Pod
	for i := range pods {
		if p := &pods[i]; p.DeletionTimestamp == nil && isReady(p) && chosen(p) {
			out = append(out, *p)
		}
	}
	slices.SortFunc(out, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func value(q query, of corev1.ObjectReference, n int64, at time.Time) v1beta2.MetricValue {
	return v1beta2.MetricValue{
		DescribedObject: of,
		Metric:          v1beta2.MetricIdentifier{Name: q.metric},
		Timestamp:       metav1.NewTime(at),
		Value:           *resource.NewQuantity(n, resource.DecimalSI),
	}
}

func notFound(q query) error {
	return apierrors.NewNotFound(schema.GroupResource{Group: v1beta2.SchemeGroupVersion.Group, Resource: q.resource + "/" + q.metric}, q.name)
}

// unavailable is the answer while a value cannot be known. Its text does not change from one question to the next: the
// autoscaler copies it into its status, and a status that moves wakes everybody who watches it.
func unavailable(text string, cause error) error {
	if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		text += ": it took too long"
	}
	return apierrors.NewServiceUnavailable(text)
}
