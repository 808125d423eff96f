package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gptoss/gptoss-operator/controllers/resources/edge"
	"github.com/gptoss/gptoss-operator/controllers/resources/monitor"
)

// ScaledObjectKind is KEDA's.
var ScaledObjectKind = schema.GroupVersionKind{Group: "keda.sh", Version: "v1alpha1", Kind: "ScaledObject"}

// optionalKinds are the kinds of children that a cluster may lack.
var optionalKinds = []schema.GroupVersionKind{
	monitor.ServiceMonitorKind, monitor.PrometheusRuleKind, edge.HTTPRouteKind, edge.InferencePoolKind, ScaledObjectKind,
}

// optionalAPIs follows kinds that a cluster may lack, gain and lose while the operator runs. It asks at an interval: a
// watch on CustomResourceDefinitions would need rights in the whole cluster, which a namespaced operator has not.
type optionalAPIs struct {
	kinds    []schema.GroupVersionKind
	interval time.Duration

	serves  func(schema.GroupVersion) (kinds []string, err error)                         // asks the API server
	changed func(ctx context.Context, kind schema.GroupVersionKind, available bool) error // starts or stops watching
	wake    func(ctx context.Context)                                                     // lets all models be reconciled

	mu      sync.RWMutex
	present map[schema.GroupVersionKind]bool
}

// available reports whether the kind is there and watched, or need not be looked for.
func (a *optionalAPIs) available(kind schema.GroupVersionKind) bool {
	if !a.follows(kind) {
		return true
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.present[kind]
}

// follows reports whether the cluster may lack the kind.
func (a *optionalAPIs) follows(kind schema.GroupVersionKind) bool {
	return slices.Contains(a.kinds, kind)
}

func (a *optionalAPIs) set(kind schema.GroupVersionKind, available bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.present == nil {
		a.present = map[schema.GroupVersionKind]bool{}
	}
	a.present[kind] = available
}

// Start asks until the context ends. It is a Runnable of the manager.
func (a *optionalAPIs) Start(ctx context.Context) error {
	_ = wait.PollUntilContextCancel(ctx, a.interval, true, func(ctx context.Context) (bool, error) {
		if err := a.check(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "optional APIs not checked; trying again")
		}
		return false, nil
	})
	return nil
}

// check asks once for every group of kinds. Trouble with one of them says nothing about the others.
func (a *optionalAPIs) check(ctx context.Context) error {
	var all []error
	answers := map[schema.GroupVersion][]string{}
	changed := false
	for _, kind := range a.kinds {
		group := kind.GroupVersion()
		served, asked := answers[group]
		if !asked {
			var err error
			if served, err = a.serves(group); err != nil {
				all = append(all, fmt.Errorf("controllers: look for %s: %w", kind, err))
				continue
			}
			answers[group] = served
		}
		did, err := a.follow(ctx, kind, slices.Contains(served, kind.Kind))
		all = append(all, err)
		changed = changed || did
	}
	if changed {
		a.wake(ctx)
	}
	return errors.Join(all...)
}

// follow notes what was found of one kind. The API counts as gone before its watch is removed, and the watch runs before
// the API counts as available, so that no step reads what is not watched.
func (a *optionalAPIs) follow(ctx context.Context, kind schema.GroupVersionKind, found bool) (changed bool, err error) {
	if found == a.available(kind) {
		return false, nil
	}
	if !found {
		a.set(kind, false)
	}
	if err := a.changed(ctx, kind, found); err != nil {
		return false, fmt.Errorf("controllers: watch %s: %w", kind.Kind, err)
	}
	a.set(kind, found)
	log.FromContext(ctx).Info("optional API changed", "kind", kind.Kind, "available", found)
	return true, nil
}
