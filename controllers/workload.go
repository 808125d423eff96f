package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/diagnosis"
	"github.com/gptoss/gptoss-operator/controllers/resources"
	"github.com/gptoss/gptoss-operator/controllers/resources/template"
)

// workload makes the Deployment true. Its pods stay as they are for as long as the user's wishes do: see pinned.
func (r *Reconciler) workload(ctx context.Context, p *pass) error {
	desired, refusal := resources.Deployment(p.model, r.ServerImage)
	if refusal != nil {
		var err error
		if desired, err = resources.Around(p.model, corev1.PodTemplateSpec{}); err != nil {
			return err
		}
	}
	live, found, err := locate(ctx, r, desired)
	if err != nil {
		return fmt.Errorf("controllers: read Deployment %q: %w", desired.Name, err)
	}
	if !found || !metav1.IsControlledBy(live, p.model) {
		live = nil
	}
	fresh := resources.Revision(desired)
	if err := r.pinned(ctx, p, desired, live, refusal); err != nil {
		return err
	}
	p.revision = resources.Revision(desired)
	p.updateAvailable = refusal == nil && p.revision != fresh
	if p.pods, err = r.pods(ctx, p.model); err != nil {
		return err
	}
	makeRoom(p, desired, live)
	p.deployment, err = apply(ctx, r, p.model, desired, func(live **appsv1.Deployment) {
		if live == nil {
			live = new(*appsv1.Deployment)
		}
		desired.Spec.Replicas = replicas(p.model, *live, p.rival != "")
	})
	var s *stall
	if p.model.Spec.PodTemplate != nil && errors.As(err, &s) && s.reason == v1alpha1.ReasonApplyRejected && strings.Contains(s.message, "spec.template") {
		return &stall{reason: v1alpha1.ReasonPodTemplateInvalid, message: "with spec.podTemplate over it, " + s.message, retry: s.retry}
	}
	return err
}

// unbuildable is the stall for a spec that no Deployment can be made of.
func unbuildable(err error) error {
	reason := v1alpha1.ReasonApplyRejected
	switch {
	case errors.Is(err, template.ErrInvalid):
		reason = v1alpha1.ReasonPodTemplateInvalid
	case errors.Is(err, resources.ErrResourcesTooSmall):
		reason = v1alpha1.ReasonResourcesTooSmall
	}
	return &stall{reason: reason, message: diagnosis.Shorten(err.Error())}
}

// pinned puts the recorded pod template into desired, so that an operator of another version, with another image, other
// arguments or other probes, leaves running pods alone. What is recorded goes with a hash of all that the user says of
// pods: when that changes, this version's template is recorded and used. Without a record the template in the cluster is
// taken for it where it was made from the same wishes. refusal is why this version makes no template of the spec, or nil:
// what an earlier one has made of it is still good.
func (r *Reconciler) pinned(ctx context.Context, p *pass, desired, live *appsv1.Deployment, refusal error) error {
	m, inputs := p.model, desired.Annotations[resources.AnnotationInputs]
	name := m.Name + "-" + inputs
	if m.Rollout().ServerUpdates == v1alpha1.ServerUpdatesAutomatic {
		if refusal != nil {
			return unbuildable(refusal)
		}
		return r.forgetRecords(ctx, m, "")
	}
	record := &appsv1.ControllerRevision{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: m.Namespace, Name: name}, record)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("controllers: read ControllerRevision %q: %w", name, err)
	}
	if err == nil && metav1.IsControlledBy(record, m) {
		kept, err := template.Restore(record)
		if err == nil {
			desired.Spec.Template = *kept
			return r.keep(ctx, m, record, kept)
		}
		log.FromContext(ctx).Error(err, "record of the pod template not read; it is made anew")
		if err := r.remove(ctx, m, record); err != nil {
			return err
		}
	}
	if refusal != nil {
		return unbuildable(refusal)
	}
	if live != nil && sameWishes(m, live, inputs) && resources.Revision(live) != "" && resources.Revision(live) != resources.Revision(desired) {
		desired.Spec.Template = *live.Spec.Template.DeepCopy()
	}
	fresh, err := resources.TemplateRecord(m, name, &desired.Spec.Template)
	if err != nil {
		return err
	}
	if _, err := apply(ctx, r, m, fresh, nil); err != nil {
		return err
	}
	return r.forgetRecords(ctx, m, name)
}

// keep repairs what somebody changed of a record, whose content nobody can change, and deletes the others.
func (r *Reconciler) keep(ctx context.Context, m *v1alpha1.GptOssModel, record *appsv1.ControllerRevision, kept *corev1.PodTemplateSpec) error {
	desired, err := resources.TemplateRecord(m, record.Name, kept)
	if err != nil {
		return err
	}
	desired.Data = record.Data // as an earlier version wrote it, to the byte
	if _, err := apply(ctx, r, m, desired, nil); err != nil {
		return err
	}
	return r.forgetRecords(ctx, m, record.Name)
}

// sameWishes reports whether the Deployment was made from what the user says today. Versions that noted nothing of it have
// at least noted which generation they had worked on.
func sameWishes(m *v1alpha1.GptOssModel, live *appsv1.Deployment, inputs string) bool {
	if noted, ok := live.Annotations[resources.AnnotationInputs]; ok {
		return noted == inputs
	}
	return m.Status.ObservedGeneration == m.Generation
}

// forgetRecords deletes the model's records of templates, but for one.
func (r *Reconciler) forgetRecords(ctx context.Context, m *v1alpha1.GptOssModel, keep string) error {
	var records appsv1.ControllerRevisionList
	if err := r.Client.List(ctx, &records, client.InNamespace(m.Namespace), client.MatchingLabels(resources.SelectorLabels(m))); err != nil {
		return fmt.Errorf("controllers: list ControllerRevisions: %w", err)
	}
	for i := range records.Items {
		record := &records.Items[i]
		record.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ControllerRevision"))
		if record.Name == keep {
			continue
		}
		if err := r.remove(ctx, m, record); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom lets a rollout go on, where the user wants that, that waits for room which earlier pods take up: the Deployment
// stops one of them before it adds another. That holds until no earlier pod is left, and the Deployment itself is where
// that is remembered.
func makeRoom(p *pass, desired, live *appsv1.Deployment) {
	if p.model.Rollout().OnNoCapacity != v1alpha1.OnNoCapacityRecreate || live == nil {
		return
	}
	current, old := split(p.pods, p.revision)
	if !anyLives(old) {
		return
	}
	inPlace := resources.InPlace()
	crowded := equality.Semantic.DeepEqual(live.Spec.Strategy, inPlace)
	for i := range current {
		crowded = crowded || diagnosis.Crowded(&current[i])
	}
	if crowded {
		desired.Spec.Strategy = inPlace
	}
}

// split tells the pods that spec wants from earlier ones.
func split(pods []corev1.Pod, revision string) (current, old []corev1.Pod) {
	for _, pod := range pods {
		if pod.Labels[resources.LabelRevision] == revision {
			current = append(current, pod)
		} else {
			old = append(old, pod)
		}
	}
	return current, old
}

// anyLives reports whether one of the pods takes up room that nobody has asked it to leave.
func anyLives(pods []corev1.Pod) bool {
	for i := range pods {
		if phase := pods[i].Status.Phase; pods[i].DeletionTimestamp == nil && phase != corev1.PodFailed && phase != corev1.PodSucceeded {
			return true
		}
	}
	return false
}

// replicas is what we apply as the Deployment's replicas; nil leaves the field to others. live is nil before creation;
// rival says that somebody else's autoscaler chooses the number.
//
// While an autoscaler is on, a field that we no longer apply but still own would be removed, and the server's default of
// 1 take its place. So we go on applying the live value for as long as we own it, which ends with the autoscaler's first
// write. Neither this nor a stale cache can undo such a write: apply names the version that it read.
func replicas(m *v1alpha1.GptOssModel, live *appsv1.Deployment, rival bool) *int32 {
	start := m.FixedReplicas()
	switch {
	case m.Spec.Autoscaling != nil:
		start, _, _ = m.Spec.Autoscaling.Bounds()
	case !rival:
		return new(start)
	}
	switch {
	case live == nil || live.Spec.Replicas == nil:
		return new(start)
	case *live.Spec.Replicas == 0:
		return new(start) // an autoscaler takes 0 for "paused" and would never act
	case owns(live, FieldManager, "spec", "replicas"):
		return live.Spec.Replicas
	}
	return nil
}
