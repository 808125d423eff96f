package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/diagnosis"
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
	after := status(o)
	err = r.report(ctx, p.model, after)
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
	case failure == nil && waits(after.Conditions):
		return ctrl.Result{RequeueAfter: sooner(p.retry, diagnosis.Patience)}, nil
	case failure == nil:
		return ctrl.Result{RequeueAfter: p.retry}, nil
	}
	return ctrl.Result{}, failure
}

// sooner is the shorter of two times to wait, of which 0 is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// waits reports whether a pod waits for its volumes or network, of which only events tell, and they wake nobody.
func waits(conditions []metav1.Condition) bool {
	c := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	return c != nil && (c.Reason == v1alpha1.ReasonPodsStarting || c.Reason == v1alpha1.ReasonVolumeMountFailed)
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
		s.ServerImage, s.UpdateAvailable = serverImage(o.deployment), o.updateAvailable
	}
	s.ExternalURL = resources.ExternalURL(m, o.service)
	if o.service == nil && s.ExternalURL == "" {
		s.ExternalURL = m.Status.ExternalURL // not known this time
	}
	current, _ := split(o.pods, o.revision)
	s.Startup = diagnosis.Startup(current, m.Status.DeepCopy().Startup)
	conditions(&s.Conditions, o, judgeCalmly(o))
	optionalCondition(&s.Conditions, o)
	return s
}

// optionalCondition says whether the cluster has the APIs that the spec asks for, if it asks for any.
func optionalCondition(list *[]metav1.Condition, o observation) {
	c := metav1.Condition{
		Type: v1alpha1.ConditionOptionalAPIsAvailable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAPIsFound,
		Message: "the cluster serves every API that the spec asks for", ObservedGeneration: o.model.Generation,
	}
	if len(o.missing) > 0 {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonAPINotFound, strings.Join(o.missing, "; ")
	}
	if o.asked == 0 {
		meta.RemoveStatusCondition(list, c.Type)
		return
	}
	meta.SetStatusCondition(list, c)
}

// serverImage is the image of the Deployment's server, as far as a status has room for it.
func serverImage(d *appsv1.Deployment) string {
	for _, c := range d.Spec.Template.Spec.Containers {
		if c.Name == resources.ContainerName && len(c.Image) <= 512 {
			return c.Image
		}
	}
	return ""
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
