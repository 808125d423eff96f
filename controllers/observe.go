package controllers

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/diagnosis"
	"github.com/gptoss/gptoss-operator/controllers/resources"
	"github.com/gptoss/gptoss-operator/controllers/resources/template"
)

// maxEvents bounds what is read of a pod's events; the kubelet counts repetitions in one.
const maxEvents = 50

// observation is everything that a model's conditions follow from.
type observation struct {
	model      *v1alpha1.GptOssModel
	deployment *appsv1.Deployment                     // nil when there is none of ours
	autoscaler *autoscalingv2.HorizontalPodAutoscaler // nil when there is none of ours
	pods       []corev1.Pod                           // all pods of the Deployment, of whatever revision
	revision   string                                 // of the pods that spec wants
	failure    error                                  // what ended the steps, or nil

	updateAvailable bool           // the operator would make other pods today
	events          []corev1.Event // of a pod that waits for its network and volumes for long
}

// observe reads the children back from the cache.
func (r *Reconciler) observe(ctx context.Context, p *pass, failure error) (observation, error) {
	m := p.model
	o := observation{model: m, deployment: p.deployment, failure: failure, updateAvailable: p.updateAvailable}
	if p.revision == "" {
		o.updateAvailable = m.Status.UpdateAvailable
	}
	key := client.ObjectKeyFromObject(m)
	if o.deployment == nil {
		d := &appsv1.Deployment{}
		if err := r.Client.Get(ctx, key, d); client.IgnoreNotFound(err) != nil {
			return o, fmt.Errorf("controllers: read Deployment: %w", err)
		}
		o.deployment = d
	}
	if !metav1.IsControlledBy(o.deployment, m) {
		o.deployment = nil
		return o, nil
	}
	o.revision = p.revision
	if inputs, err := template.Inputs(m); o.revision == "" && err == nil && inputs == o.deployment.Annotations[resources.AnnotationInputs] {
		o.revision = resources.Revision(o.deployment) // the steps ended before they came to it
	}
	pods, err := r.pods(ctx, m)
	if err != nil {
		return o, err
	}
	o.pods = pods
	if o.events, err = r.eventsOf(ctx, o); err != nil {
		return o, err
	}
	if m.Spec.Autoscaling == nil {
		return o, nil
	}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := r.Client.Get(ctx, key, hpa); client.IgnoreNotFound(err) != nil {
		return o, fmt.Errorf("controllers: read HorizontalPodAutoscaler: %w", err)
	}
	if metav1.IsControlledBy(hpa, m) {
		o.autoscaler = hpa
	}
	return o, nil
}

// eventsOf asks for the events of the pod that keeps the model from being ready, where nothing else says why it waits.
// They are read from the API server, and seldom: a cache would hold those of all pods.
func (r *Reconciler) eventsOf(ctx context.Context, o observation) ([]corev1.Event, error) {
	current, _ := split(o.pods, o.revision)
	t, found := diagnosis.Worst(o.model, current)
	if !found || t.Reason != v1alpha1.ReasonPodsStarting || !diagnosis.Waits(current, t.Pod, time.Now()) {
		return nil, nil
	}
	var list corev1.EventList
	err := r.Live.List(ctx, &list, client.InNamespace(o.model.Namespace), client.Limit(maxEvents),
		client.MatchingFields{"involvedObject.kind": "Pod", "involvedObject.name": t.Pod, "type": corev1.EventTypeWarning})
	if err != nil {
		return nil, fmt.Errorf("controllers: list events of pod %q: %w", t.Pod, err)
	}
	return list.Items, nil
}
