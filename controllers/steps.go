package controllers

import (
	"bytes"
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
	"github.com/gptoss/gptoss-operator/controllers/weights"
)

// steps are the parts of a model, in the order in which they are made true. The autoscaler goes before the workload
// takes replicas over, and comes after it. The weights hold the workload up until they are there. The monitor is last: trouble
// with an optional API holds nothing else up.
func (r *Reconciler) steps() []step {
	return []step{r.service, r.credentials, r.weights, r.autoscalerOff, r.workload, r.autoscalerOn, r.serviceMonitor}
}

func (r *Reconciler) service(ctx context.Context, p *pass) error {
	_, err := apply(ctx, r, p.model, resources.Service(p.model), nil)
	return err
}

// credentials checks the Secret that the user named, or sees to it that the generated one exists. A generated key is
// made once: from then on the Secret's own content is what is desired, so that a key changed by hand stays.
func (r *Reconciler) credentials(ctx context.Context, p *pass) error {
	name, entry := p.model.APIKeySecret()
	if name == "" {
		return nil
	}
	if p.model.NamedSecret() != nil {
		return r.checkNamedSecret(ctx, p.model.Namespace, name, entry)
	}
	desired := resources.Secret(p.model, nil)
	_, err := apply(ctx, r, p.model, desired, func(live **corev1.Secret) {
		if live != nil && len(bytes.TrimSpace((*live).Data[entry])) > 0 {
			desired.Data[entry] = (*live).Data[entry]
			return
		}
		desired.Data[entry] = resources.NewAPIKey()
	})
	return err
}

func (r *Reconciler) checkNamedSecret(ctx context.Context, namespace, name, entry string) error {
	secret := &corev1.Secret{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return &stall{
			reason:  v1alpha1.ReasonSecretNotFound,
			message: fmt.Sprintf("Secret %q, named by spec.auth.apiKeys.secretRef, does not exist in namespace %q", name, namespace),
		}
	case err != nil:
		return fmt.Errorf("controllers: read Secret %q: %w", name, err)
	case len(bytes.TrimSpace(secret.Data[entry])) == 0:
		return &stall{
			reason:  v1alpha1.ReasonSecretKeyNotFound,
			message: fmt.Sprintf("Secret %q has no entry %q, or an empty one; spec.auth.apiKeys.secretRef.key names it", name, entry),
		}
	}
	return nil
}

func (r *Reconciler) autoscalerOff(ctx context.Context, p *pass) error {
	if p.model.Spec.Autoscaling != nil {
		return nil
	}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: metav1.ObjectMeta{Namespace: p.model.Namespace, Name: p.model.Name},
	}
	return r.remove(ctx, p.model, hpa)
}

func (r *Reconciler) workload(ctx context.Context, p *pass) error {
	desired, err := resources.Deployment(p.model, r.ServerImage)
	if err != nil {
		return &stall{reason: v1alpha1.ReasonApplyRejected, message: err.Error()}
	}
	p.deployment, err = apply(ctx, r, p.model, desired, func(live **appsv1.Deployment) {
		if live == nil {
			live = new(*appsv1.Deployment)
		}
		desired.Spec.Replicas = replicas(p.model, *live)
	})
	return err
}

// weights sees to it that pods will find the weights.
func (r *Reconciler) weights(ctx context.Context, p *pass) error {
	s, err := r.keeper.Ensure(ctx, p.model)
	if err != nil || s == nil {
		return err
	}
	p.download = s.Download
	return held(s)
}

// held is a step's error for what the weights wait for.
func held(s *weights.State) error {
	return &stall{reason: s.Reason, message: s.Message, retry: s.Retry, passing: !s.Stalled}
}

// newKeeper lends the keeper of weights what the steps have: how objects are written, and whose they are.
func (r *Reconciler) newKeeper(names client.Reader, interval time.Duration) *weights.Keeper {
	return &weights.Keeper{
		Client: r.Client, Live: r.Live, Names: names, Image: r.ServerImage, Interval: interval,
		ApplyClaim: func(ctx context.Context, m *v1alpha1.GptOssModel, desired *corev1.PersistentVolumeClaim, adjust func(*corev1.PersistentVolumeClaim)) (*corev1.PersistentVolumeClaim, error) {
			return apply(ctx, r, m, desired, func(live **corev1.PersistentVolumeClaim) {
				if live != nil {
					adjust(*live)
				}
			})
		},
		FindJob: func(ctx context.Context, m *v1alpha1.GptOssModel, desired *batchv1.Job) (*batchv1.Job, error) {
			live, found, err := locate(ctx, r, desired)
			switch {
			case err != nil:
				return nil, fmt.Errorf("controllers: read %s: %w", describe(desired), err)
			case !found:
				return nil, nil
			case !mine(live, m):
				return nil, conflict(describe(desired))
			}
			return live, nil
		},
		CreateJob: func(ctx context.Context, m *v1alpha1.GptOssModel, desired *batchv1.Job) error {
			_, err := apply(ctx, r, m, desired, nil)
			return err
		},
	}
}

// replicas is what we apply as the Deployment's replicas; nil leaves the field to others. live is nil before creation.
//
// While an autoscaler is on, a field that we no longer apply but still own would be removed, and the server's default of
// 1 take its place. So we go on applying the live value for as long as we own it, which ends with the autoscaler's first
// write. Neither this nor a stale cache can undo such a write: apply names the version that it read.
func replicas(m *v1alpha1.GptOssModel, live *appsv1.Deployment) *int32 {
	if m.Spec.Autoscaling == nil {
		return new(m.FixedReplicas())
	}
	minReplicas, _, _ := m.Spec.Autoscaling.Bounds()
	switch {
	case live == nil || live.Spec.Replicas == nil:
		return new(minReplicas)
	case *live.Spec.Replicas == 0:
		return new(minReplicas) // an autoscaler takes 0 for "paused" and would never act
	case owns(live, FieldManager, "spec", "replicas"):
		return live.Spec.Replicas
	}
	return nil
}

func (r *Reconciler) autoscalerOn(ctx context.Context, p *pass) error {
	if p.model.Spec.Autoscaling == nil {
		return nil
	}
	_, err := apply(ctx, r, p.model, resources.HorizontalPodAutoscaler(p.model), nil)
	return err
}

func (r *Reconciler) serviceMonitor(ctx context.Context, p *pass) error {
	if !r.monitors.available() {
		return nil
	}
	spec := p.model.ServiceMonitor()
	if spec == nil {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(resources.ServiceMonitorKind)
		u.SetNamespace(p.model.Namespace)
		u.SetName(p.model.Name)
		return r.remove(ctx, p.model, u)
	}
	desired, err := resources.ServiceMonitor(p.model, spec)
	if err != nil {
		return err
	}
	_, err = apply(ctx, r, p.model, desired, nil)
	if apierrors.IsNotFound(err) {
		return nil // the API went away since it was last looked for
	}
	return err
}
