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
	"github.com/gptoss/gptoss-operator/controllers/metricsapi"
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
	rival      string                                 // an autoscaler of somebody else, or ""
	source     metricsapi.Source                      // of the autoscaler's metric
	service    *corev1.Service                        // ours, or nil when its step failed
	asked      int                                    // how many optional APIs the spec asks for
	download   *v1alpha1.DownloadStatus               // nil when none runs
	missing    []string                               // what it asks for and the cluster lacks, in sentences

	updateAvailable bool           // the operator would make other pods today
	events          []corev1.Event // of a pod that waits for its network and volumes for long
}

// observe reads the children back from the cache.
func (r *Reconciler) observe(ctx context.Context, p *pass, failure error) (observation, error) {
	m := p.model
	o := observation{
		model: m, deployment: p.deployment, failure: failure, rival: p.rival, source: r.source(), service: p.service,
		updateAvailable: p.updateAvailable, download: p.download,
	}
	if p.revision == "" {
		o.updateAvailable = m.Status.UpdateAvailable
	}
	var err error
	if o.asked, o.missing, err = r.missing(p); err != nil {
		return o, err
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
	if o.pods, err = r.pods(ctx, m); err != nil {
		return o, err
	}
	if o.events, err = r.eventsOf(ctx, o); err != nil {
		return o, err
	}
	if m.Spec.Autoscaling == nil {
		return o, nil
	}
	o.autoscaler, err = r.autoscaler(ctx, m)
	return o, err
}

// autoscaler reads the model's own autoscaler from the cache; nil when there is none.
func (r *Reconciler) autoscaler(ctx context.Context, m *v1alpha1.GptOssModel) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(m), hpa); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("controllers: read HorizontalPodAutoscaler: %w", err)
	}
	if !metav1.IsControlledBy(hpa, m) {
		return nil, nil
	}
	return hpa, nil
}

// source tells where autoscalers find their metrics.
func (r *Reconciler) source() metricsapi.Source {
	if r.Registration == nil {
		return metricsapi.Source{Kind: metricsapi.Off}
	}
	return r.Registration.Source()
}

// pods lists the model's pods, of whatever revision, from the cache.
func (r *Reconciler) pods(ctx context.Context, m *v1alpha1.GptOssModel) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := r.Client.List(ctx, &list, client.InNamespace(m.Namespace), client.MatchingLabels(resources.SelectorLabels(m))); err != nil {
		return nil, fmt.Errorf("controllers: list pods: %w", err)
	}
	return list.Items, nil
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
