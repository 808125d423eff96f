package controllers

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// optionalAPI follows an API that a cluster may lack, gain and lose while the operator runs. It asks at an interval:
// a watch on CustomResourceDefinitions would need rights in the whole cluster, which a namespaced operator has not.
type optionalAPI struct {
	kind     schema.GroupVersionKind
	interval time.Duration

	exists  func() (bool, error)                            // asks the API server
	changed func(ctx context.Context, available bool) error // starts or stops watching
	wake    func(ctx context.Context)                       // lets all models be reconciled

	present atomic.Bool
}

// available reports whether the API is there and watched.
func (a *optionalAPI) available() bool { return a.present.Load() }

// Start asks until the context ends. It is a Runnable of the manager.
func (a *optionalAPI) Start(ctx context.Context) error {
	logger := log.FromContext(ctx).WithValues("kind", a.kind.Kind)
	_ = wait.PollUntilContextCancel(ctx, a.interval, true, func(ctx context.Context) (bool, error) {
		if err := a.check(ctx); err != nil && ctx.Err() == nil {
			logger.Error(err, "optional API not checked; trying again")
		}
		return false, nil
	})
	return nil
}

// check asks once. The API counts as gone before its watch is removed, and the watch runs before the API counts as
// available, so that no step reads what is not watched.
func (a *optionalAPI) check(ctx context.Context) error {
	found, err := a.exists()
	if err != nil {
		return fmt.Errorf("controllers: look for %s: %w", a.kind.Kind, err)
	}
	if found == a.present.Load() {
		return nil
	}
	if !found {
		a.present.Store(false)
	}
	if err := a.changed(ctx, found); err != nil {
		return fmt.Errorf("controllers: watch %s: %w", a.kind.Kind, err)
	}
	a.present.Store(found)
	a.wake(ctx)
	log.FromContext(ctx).Info("optional API changed", "kind", a.kind.Kind, "available", found)
	return nil
}
