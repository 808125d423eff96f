package controllers

import (
	"bytes"
	"context"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// steps are the parts of a model, in the order in which they are made true. The autoscaler goes before the workload
// takes replicas over, and comes after it. The monitor is last: trouble with an optional API holds nothing else up.
func (r *Reconciler) steps() []step {
	return []step{r.service, r.credentials, r.autoscalerOff, r.workload, r.autoscalerOn, r.serviceMonitor}
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
		return r.checkNamedSecret(ctx, p.model, name, entry)
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

func (r *Reconciler) checkNamedSecret(ctx context.Context, m *v1alpha1.GptOssModel, name, entry string) error {
	secret := &corev1.Secret{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: m.Namespace, Name: name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return &stall{
			reason:  v1alpha1.ReasonSecretNotFound,
			message: fmt.Sprintf("Secret %q, named by spec.auth.apiKeys.secretRef, does not exist in namespace %q", name, m.Namespace),
		}
	case err != nil:
		return fmt.Errorf("controllers: read Secret %q: %w", name, err)
	case len(bytes.TrimSpace(secret.Data[entry])) == 0:
		return &stall{
			reason:  v1alpha1.ReasonSecretKeyNotFound,
			message: fmt.Sprintf("Secret %q has no entry %q, or an empty one; spec.auth.apiKeys.secretRef.key names it", name, entry),
		}
	case !m.Builtin() && bytes.ContainsAny(secret.Data[entry], " \t\r\n"):
		return &stall{
			reason: v1alpha1.ReasonRuntimeUnsupported,
			message: fmt.Sprintf("runtime %s takes one API key, as it stands: entry %q of Secret %q must hold one key, without a line end or spaces",
				m.RuntimeType(), entry, name),
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
