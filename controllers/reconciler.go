// Package controllers reconciles GptOssModels: it makes the objects of package resources true in the cluster and reports what came of it.
//
// Reconcile runs an ordered list of steps (steps.go). A step writes through apply (apply.go), which
// compares first (drift.go) and so writes nothing when nothing changed. Whatever the steps did, finish (status.go) reads the
// children back (observe.go), judges them (verdict.go and package diagnosis: pure functions) and writes status, in that one place.
// What wakes the reconciler is in setup.go, what is cached in caches.go; APIs that a cluster may lack are looked for in optional.go.
// Whoever adds a child adds the setting that makes it to everySpec in repair_test.go, which then demands that it is repaired.
package controllers

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/metricsapi"
	"github.com/gptoss/gptoss-operator/controllers/resources"
	"github.com/gptoss/gptoss-operator/controllers/scaling"
	"github.com/gptoss/gptoss-operator/controllers/weights"
)

// Reconciler makes GptOssModels true.
type Reconciler struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client

	// Live reads from the API server: Secrets that users name, and objects that may exist without our label.
	Live client.Reader

	// Recorder writes events.
	Recorder events.EventRecorder

	// ServerImage is the image of gptoss-server that model pods run.
	ServerImage string

	// Registration tells where autoscalers find their metrics; nil where the operator does not serve them.
	Registration *metricsapi.Registrar

	// Loads reads what pods have to do, so that idle ones go first; nil leaves that to chance.
	Loads *metricsapi.Loads

	// Namespace is where the operator itself runs; empty outside a cluster. NetworkPolicies let it in.
	Namespace string

	optional *optionalAPIs
	keeper   *weights.Keeper
	rejected rejections
	rivals   scaling.Rivals
	costs    scaling.Costs
}

// pass is one run of the steps for one object.
type pass struct {
	model      *v1alpha1.GptOssModel
	deployment *appsv1.Deployment // as the API server returned or the cache holds it; nil before the step workload
	rival      string             // an autoscaler of somebody else for the same pods, or ""
	retry      time.Duration      // when to look again although nothing tells to; 0 for never
	service    *corev1.Service    // likewise; nil before the step service
	download   *v1alpha1.DownloadStatus
	children   []resources.Child // what stands around the pods; nil before it is first asked for
	aside      error             // trouble with these, which holds no step up

	// What the step workload found; empty before it.
	pods            []corev1.Pod // all pods of the Deployment, of whatever revision
	revision        string       // of the pods that spec wants
	updateAvailable bool         // the operator would make other pods today
}

// step makes one part of the model true. Its error ends the run: a stall, errWait, or a failure to try again.
type step func(ctx context.Context, p *pass) error

// Reconcile runs the steps in order, stops at the first that fails, and reports.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	m := &v1alpha1.GptOssModel{}
	if err := r.Client.Get(ctx, req.NamespacedName, m); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.rejected.forget(req.NamespacedName)
			r.keeper.Forget(req.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("controllers: read GptOssModel: %w", err)
	}
	if !m.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // the garbage collector follows the ownerReferences
	}
	p := &pass{model: m}
	for _, run := range r.steps() {
		if err := run(ctx, p); err != nil {
			return r.finish(ctx, p, gravest(err, p.aside))
		}
	}
	return r.finish(ctx, p, p.aside)
}
