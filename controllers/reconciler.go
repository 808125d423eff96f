// Package controllers reconciles GptOssModels: it makes the objects of package resources true in the cluster and reports what came of it.
//
// Reconcile runs an ordered list of steps (steps.go). A step writes through apply (apply.go), which
// compares first (drift.go) and so writes nothing when nothing changed. Whatever the steps did, finish (status.go) reads the
// children back (observe.go), judges them (verdict.go, trouble.go: pure functions) and writes status, in that one place.
// What wakes the reconciler is in setup.go, what is cached in caches.go; APIs that a cluster may lack are looked for in optional.go.
package controllers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
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

	monitors *optionalAPI // the Prometheus operator's ServiceMonitor
	keeper   *weights.Keeper
	rejected rejections
}

// pass is one run of the steps for one object.
type pass struct {
	model      *v1alpha1.GptOssModel
	deployment *appsv1.Deployment // as the API server returned or the cache holds it; nil before the step workload
	download   *v1alpha1.DownloadStatus
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
			return r.finish(ctx, p, err)
		}
	}
	return r.finish(ctx, p, nil)
}
