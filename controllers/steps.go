package controllers

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/metricsapi"
	"github.com/gptoss/gptoss-operator/controllers/resources"
	"github.com/gptoss/gptoss-operator/controllers/resources/edge"
	"github.com/gptoss/gptoss-operator/controllers/resources/monitor"
	"github.com/gptoss/gptoss-operator/controllers/scaling"
	"github.com/gptoss/gptoss-operator/controllers/weights"
)

// steps are the parts of a model, in the order in which they are made true. The autoscaler goes before the workload
// takes replicas over, and comes after it. What stands around the pods waits for nothing and holds nothing up, but for
// the NetworkPolicy, without which there shall be no pods. The weights hold the workload up until they are there.
func (r *Reconciler) steps() []step {
	return []step{r.service, r.around, r.guard, r.credentials, r.weights, r.otherAutoscaler, r.autoscalerOff, r.idleFirst, r.workload, r.autoscalerOn}
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

// otherAutoscaler looks for one that somebody else made for the same pods. While there is one, the operator has none of
// its own and leaves replicas alone: the two would undo each other's work.
func (r *Reconciler) otherAutoscaler(ctx context.Context, p *pass) error {
	own, err := r.autoscaler(ctx, p.model)
	if err != nil {
		return err
	}
	live, err := r.liveDeployment(ctx, p.model)
	if err != nil {
		return err
	}
	if p.rival, err = r.rivals.Of(ctx, r.Live, r.Client, p.model, scaling.Suspect(p.model, own, live)); p.rival != "" {
		p.retry = conflictRetry // no watch tells when it goes
	}
	return err
}

// liveDeployment reads the model's Deployment from the cache; nil when there is none of ours.
func (r *Reconciler) liveDeployment(ctx context.Context, m *v1alpha1.GptOssModel) (*appsv1.Deployment, error) {
	d := &appsv1.Deployment{}
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(m), d); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("controllers: read Deployment: %w", err)
	}
	if !metav1.IsControlledBy(d, m) {
		return nil, nil
	}
	return d, nil
}

// idleFirst marks busy pods while there are about to be fewer, so that idle ones go. Trouble with it holds nothing up:
// whichever pod goes, it finishes its requests first.
func (r *Reconciler) idleFirst(ctx context.Context, p *pass) error {
	shrinking, err := r.shrinking(ctx, p)
	if err != nil || !shrinking || r.Loads == nil {
		return err
	}
	pods, err := r.pods(ctx, p.model)
	if err != nil || len(pods) < 2 {
		return err
	}
	due := r.costs.Due(pods, time.Now())
	for _, change := range scaling.Changes(due, r.Loads.Of(ctx, due)) {
		patch := fmt.Sprintf(`{"metadata":{"uid":%q,"annotations":{%q:%q}}}`, change.Pod.UID, scaling.CostAnnotation, change.Value)
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: change.Pod.Namespace, Name: change.Pod.Name}}
		err := r.Client.Patch(ctx, pod, client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner(FieldManager))
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			log.FromContext(ctx).Error(err, "pod not marked as busy", "pod", change.Pod.Name)
		}
	}
	return nil
}

// shrinking reports whether there are about to be fewer pods, by the autoscaler's decision or by a change of spec.replicas
// that the next step carries out.
func (r *Reconciler) shrinking(ctx context.Context, p *pass) (bool, error) {
	if p.rival != "" {
		return false, nil
	}
	if p.model.Spec.Autoscaling == nil {
		d, err := r.liveDeployment(ctx, p.model)
		want := p.model.FixedReplicas()
		return d != nil && want > 0 && wanted(d) > want, err
	}
	own, err := r.autoscaler(ctx, p.model)
	if err != nil || !scaling.Shrinking(own) {
		return false, err
	}
	p.retry = scaling.CostInterval
	return true, nil
}

func (r *Reconciler) autoscalerOff(ctx context.Context, p *pass) error {
	if p.model.Spec.Autoscaling != nil && p.rival == "" {
		return nil
	}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: metav1.ObjectMeta{Namespace: p.model.Namespace, Name: p.model.Name},
	}
	return r.remove(ctx, p.model, hpa)
}

// autoscalerOn makes the autoscaler, with the metric that is served. Before that is known, an autoscaler stays as it is.
func (r *Reconciler) autoscalerOn(ctx context.Context, p *pass) error {
	if p.model.Spec.Autoscaling == nil || p.rival != "" {
		return nil
	}
	of := resources.MetricOfModel
	switch r.source().Kind {
	case metricsapi.Unknown:
		return nil // the registrar wakes all models when it knows
	case metricsapi.Foreign, metricsapi.Off:
		of = resources.MetricOfPods
	}
	_, err := apply(ctx, r, p.model, resources.HorizontalPodAutoscaler(p.model, of), nil)
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
