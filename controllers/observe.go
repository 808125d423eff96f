package controllers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// observation is everything that a model's conditions follow from.
type observation struct {
	model      *v1alpha1.GptOssModel
	deployment *appsv1.Deployment                     // nil when there is none of ours
	autoscaler *autoscalingv2.HorizontalPodAutoscaler // nil when there is none of ours
	pods       []corev1.Pod                           // all pods of the Deployment, of whatever revision
	revision   string                                 // of the pods that spec wants
	failure    error                                  // what ended the steps, or nil
	download   *v1alpha1.DownloadStatus               // nil when none runs
}

// observe reads the children back from the cache.
func (r *Reconciler) observe(ctx context.Context, p *pass, failure error) (observation, error) {
	m := p.model
	o := observation{model: m, deployment: p.deployment, failure: failure, download: p.download}
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
	if desired, err := resources.Deployment(m, r.ServerImage); err == nil {
		o.revision = resources.Revision(desired)
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(m.Namespace), client.MatchingLabels(resources.SelectorLabels(m))); err != nil {
		return o, fmt.Errorf("controllers: list pods: %w", err)
	}
	o.pods = pods.Items
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
