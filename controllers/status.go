package controllers

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// action names, in events, what the operator was doing.
const action = "Reconcile"

// finish writes status, the only place that does, emits an event when Ready has changed, and says when to run again.
func (r *Reconciler) finish(ctx context.Context, p *pass, failure error) (ctrl.Result, error) {
	if apierrors.IsConflict(failure) || errors.Is(failure, errAgain) {
		return ctrl.Result{RequeueAfter: raceRetry}, nil // what we read is old: nothing to report yet
	}
	o, err := r.observe(ctx, p, failure)
	if err != nil {
		return ctrl.Result{}, errors.Join(failure, err)
	}
	err = r.report(ctx, p.model, status(o))
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: raceRetry}, nil
	}
	var s *stall
	switch {
	case err != nil:
		return ctrl.Result{}, errors.Join(failure, err)
	case errors.As(failure, &s):
		return ctrl.Result{RequeueAfter: s.retry}, nil
	case errors.Is(failure, errWait):
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, failure
}

// status derives the whole status from an observation; the old one lends only its transition times.
func status(o observation) v1alpha1.GptOssModelStatus {
	m := o.model
	secret, _ := m.APIKeySecret()
	s := v1alpha1.GptOssModelStatus{
		ObservedGeneration: m.Generation,
		Conditions:         m.DeepCopy().Status.Conditions,
		Selector:           resources.Selector(m),
		URL:                resources.URL(m),
		Model:              m.ModelName(),
		APIKeySecret:       secret,
		Download:           o.download,
	}
	if o.deployment != nil {
		s.Replicas = o.deployment.Status.Replicas
		s.ReadyReplicas = o.deployment.Status.ReadyReplicas
	}
	conditions(&s.Conditions, o, judgeCalmly(o))
	return s
}

// judgeCalmly is judge, but a write that failed once does not make a model that was ready unready: its pods still
// serve, and the operator tries again.
func judgeCalmly(o observation) verdict {
	v := judge(o)
	before := meta.FindStatusCondition(o.model.Status.Conditions, v1alpha1.ConditionReady)
	wasReady := before != nil && before.Status == metav1.ConditionTrue && before.ObservedGeneration == o.model.Generation
	if v.reason != v1alpha1.ReasonApplyFailed || !wasReady {
		return v
	}
	o.failure = nil
	return judge(o)
}

// report writes the status if it differs, resting on the version that was read, and tells of a change of Ready.
func (r *Reconciler) report(ctx context.Context, m *v1alpha1.GptOssModel, after v1alpha1.GptOssModelStatus) error {
	if equality.Semantic.DeepEqual(m.Status, after) {
		return nil
	}
	before := m.DeepCopy()
	m.Status = after
	if err := r.Client.Status().Patch(ctx, m, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldManager)); err != nil {
		if apierrors.IsNotFound(err) {
			return nil // deleted meanwhile
		}
		return fmt.Errorf("controllers: write status: %w", err)
	}
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady)
	is := meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionReady)
	if was != nil && was.Status == is.Status && was.Reason == is.Reason {
		return nil
	}
	kind := corev1.EventTypeNormal
	if meta.IsStatusConditionTrue(after.Conditions, v1alpha1.ConditionStalled) {
		kind = corev1.EventTypeWarning
	}
	log.FromContext(ctx).Info("ready condition changed", "status", is.Status, "reason", is.Reason, "message", is.Message)
	r.Recorder.Eventf(m, nil, kind, is.Reason, action, "%s", is.Message)
	return nil
}
