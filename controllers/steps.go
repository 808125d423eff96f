package controllers

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
	"github.com/gptoss/gptoss-operator/controllers/resources/edge"
	"github.com/gptoss/gptoss-operator/controllers/resources/monitor"
)

// steps are the parts of a model, in the order in which they are made true. The autoscaler goes before the workload
// takes replicas over, and comes after it. What stands around the pods waits for nothing and holds nothing up, but for
// the NetworkPolicy, without which there shall be no pods.
func (r *Reconciler) steps() []step {
	return []step{r.service, r.around, r.guard, r.credentials, r.autoscalerOff, r.workload, r.autoscalerOn}
}

func (r *Reconciler) service(ctx context.Context, p *pass) error {
	live, err := apply(ctx, r, p.model, resources.Service(p.model), nil)
	if err == nil {
		p.service = live
	}
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

// guard makes the NetworkPolicy before there is a pod that it must protect.
func (r *Reconciler) guard(ctx context.Context, p *pass) error {
	return r.child(ctx, p.model, edge.Guard(p.model, r.Namespace))
}

// around makes what stands around the pods. Trouble with one object holds up none of the others, and no other step.
func (r *Reconciler) around(ctx context.Context, p *pass) error {
	children, err := r.children(p)
	if err != nil {
		return err
	}
	for _, c := range children {
		p.aside = gravest(p.aside, r.child(ctx, p.model, c))
	}
	return nil
}

// children lists what around makes.
func (r *Reconciler) children(p *pass) ([]resources.Child, error) {
	if p.children != nil {
		return p.children, nil
	}
	edges, err := edge.Children(p.model, r.optional.available(edge.InferencePoolKind))
	if err != nil {
		return nil, err
	}
	monitors, err := monitor.Children(p.model)
	if err != nil {
		return nil, err
	}
	p.children = slices.Concat(edges, monitors)
	return p.children, nil
}

// child makes one object true, or away. What the cluster has no API for is neither: missing tells of it.
func (r *Reconciler) child(ctx context.Context, m *v1alpha1.GptOssModel, c resources.Child) error {
	kind := c.Object.GetObjectKind().GroupVersionKind()
	if !r.optional.available(kind) {
		return nil
	}
	var err error
	if c.Off {
		err = r.remove(ctx, m, c.Object)
	} else {
		_, err = apply[client.Object](ctx, r, m, c.Object, nil)
	}
	if r.optional.follows(kind) && (apierrors.IsNotFound(err) || meta.IsNoMatchError(err)) {
		return nil // the API went away since it was last looked for
	}
	return err
}

// missing lists the APIs that the spec asks for and the cluster lacks, and says how many it asks for.
func (r *Reconciler) missing(p *pass) (asked int, missing []string, err error) {
	children, err := r.children(p)
	if err != nil {
		return 0, nil, err
	}
	for _, c := range children {
		if c.Off || c.Field == "" {
			continue
		}
		asked++
		if kind := c.Object.GetObjectKind().GroupVersionKind(); !r.optional.available(kind) {
			missing = append(missing, fmt.Sprintf("%s needs %s of %s, which this cluster does not serve", c.Field, kind.Kind, kind.GroupVersion()))
		}
	}
	return asked, missing, nil
}
