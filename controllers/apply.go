package controllers

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// FieldManager is the name under which the operator applies fields.
const FieldManager = "gptoss-operator"

// repairManager is the name under which overwrite takes foreign items out of lists.
const repairManager = FieldManager + "-repair"

// apply makes the desired object true and returns what the cluster then holds. It writes only when that differs from
// what is there, and never to an object that does not belong to the model. adjust, if given, may complete desired with
// what only the live object knows (nil when there is none).
func apply[T client.Object](ctx context.Context, r *Reconciler, m *v1alpha1.GptOssModel, desired T, adjust func(live *T)) (T, error) {
	what := describe(desired)
	live, found, err := locate(ctx, r, desired)
	if err != nil {
		return live, fmt.Errorf("controllers: read %s: %w", what, err)
	}
	if found && !mine(live, m) {
		return live, conflict(what)
	}
	if found && live.GetDeletionTimestamp() != nil {
		return live, fmt.Errorf("controllers: %s: %w", what, errWait)
	}
	if adjust != nil && found {
		adjust(&live)
	} else if adjust != nil {
		adjust(nil)
	}
	configuration, err := resources.Configuration(desired)
	if err != nil {
		return live, err
	}
	if !found {
		return send(ctx, r, m, desired, configuration, nil)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return live, fmt.Errorf("controllers: read %s: %w", what, err)
	}
	if inSync(configuration.Object, content, owned(live, FieldManager)) {
		return live, r.disown(ctx, live)
	}
	return send(ctx, r, m, desired, configuration, content)
}

// mine reports whether an object belongs to the model: it owns it, or the object is the claim of weights that are kept, which
// nobody owns, and which another model of the name may have left.
func mine(obj client.Object, m *v1alpha1.GptOssModel) bool {
	if metav1.IsControlledBy(obj, m) {
		return true
	}
	claim, ok := obj.(*corev1.PersistentVolumeClaim)
	return ok && metav1.GetControllerOf(claim) == nil && (resources.IsCacheClaim(m, claim.Labels) || owned(claim, FieldManager) != nil)
}

// send writes a configuration over what is there: content, or nil. What the API server refuses as invalid is not sent
// again before rejectedRetry has passed, however often the steps run meanwhile.
func send[T client.Object](ctx context.Context, r *Reconciler, m *v1alpha1.GptOssModel, desired T, configuration *unstructured.Unstructured, content map[string]any) (T, error) {
	what, applied := describe(desired), empty(desired)
	hash, err := digest(m, configuration, content != nil)
	if err != nil {
		return applied, err
	}
	if err := r.rejected.recall(client.ObjectKeyFromObject(m), hash); err != nil {
		return applied, err
	}
	if err := r.put(ctx, configuration, content); err != nil {
		err = refused("write "+what, err)
		r.rejected.note(client.ObjectKeyFromObject(m), hash, err)
		return applied, err
	}
	r.rejected.forget(client.ObjectKeyFromObject(m))
	log.FromContext(ctx).V(1).Info("applied", "object", what, "created", content == nil)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(configuration.Object, applied); err != nil {
		return applied, fmt.Errorf("controllers: read back %s: %w", what, err)
	}
	return applied, nil
}

// put applies the configuration, or overwrites where an apply cannot lead to what is wanted.
func (r *Reconciler) put(ctx context.Context, configuration *unstructured.Unstructured, content map[string]any) error {
	if content != nil {
		if anySurplus(configuration.Object, content) {
			return r.overwrite(ctx, configuration, content)
		}
		// What is applied rests on what was read: a late write of somebody else, such as the autoscaler, must win.
		version, _, _ := unstructured.NestedString(content, "metadata", "resourceVersion")
		configuration.SetResourceVersion(version)
	}
	err := r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(configuration), client.FieldOwner(FieldManager), client.ForceOwnership)
	if content != nil && apierrors.IsInvalid(err) {
		if again := r.overwrite(ctx, configuration, content); errors.Is(again, errAgain) {
			return again
		}
	}
	return err
}

// overwrite puts desired over an object whose lists hold items of others, which an apply can only add to: a port that
// was renumbered by hand would stand beside the right one. It always returns an error; errAgain when all went well.
func (r *Reconciler) overwrite(ctx context.Context, desired *unstructured.Unstructured, live map[string]any) error {
	u := &unstructured.Unstructured{Object: overlay(desired.Object, live)}
	if err := r.Client.Update(ctx, u, client.FieldOwner(repairManager)); err != nil {
		return err
	}
	return errAgain
}

// disown takes back the ownership that overwrite left behind: a field that two managers own is not removed when one of
// them no longer applies it.
func (r *Reconciler) disown(ctx context.Context, live client.Object) error {
	isRepair := func(e metav1.ManagedFieldsEntry) bool { return e.Manager == repairManager }
	if !slices.ContainsFunc(live.GetManagedFields(), isRepair) {
		return nil
	}
	before := live.DeepCopyObject().(client.Object)
	live.SetManagedFields(slices.DeleteFunc(live.GetManagedFields(), isRepair))
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, live, patch, client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("controllers: disown %s: %w", describe(live), err)
	}
	return nil
}

// remove deletes an object of the model, and leaves one that belongs to somebody else.
func (r *Reconciler) remove(ctx context.Context, m *v1alpha1.GptOssModel, obj client.Object) error {
	err := r.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj)
	if apierrors.IsNotFound(err) || (err == nil && (!metav1.IsControlledBy(obj, m) || obj.GetDeletionTimestamp() != nil)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("controllers: read %s: %w", describe(obj), err)
	}
	err = r.Client.Delete(ctx, obj, client.Preconditions{UID: new(obj.GetUID())})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("controllers: delete %s: %w", describe(obj), err)
	}
	return nil
}

// locate reads the object that desired names: from the cache, and, since the cache holds only what carries our label and
// lags behind our own writes, from the API server before it is taken for absent.
func locate[T client.Object](ctx context.Context, r *Reconciler, desired T) (live T, found bool, err error) {
	key := client.ObjectKeyFromObject(desired)
	for _, reader := range []client.Reader{r.Client, r.Live} {
		live = empty(desired)
		if err = reader.Get(ctx, key, live); !apierrors.IsNotFound(err) {
			return live, err == nil, err
		}
	}
	return live, false, nil
}

// empty returns a new object of desired's kind.
func empty[T client.Object](desired T) T {
	obj := reflect.New(reflect.TypeOf(desired).Elem()).Interface().(T)
	obj.GetObjectKind().SetGroupVersionKind(desired.GetObjectKind().GroupVersionKind())
	return obj
}

func conflict(what string) error {
	return &stall{
		reason:  v1alpha1.ReasonNameConflict,
		message: what + " exists and does not belong to this GptOssModel; delete or rename it, or give this GptOssModel another name",
		retry:   conflictRetry,
	}
}

func describe(obj client.Object) string {
	return fmt.Sprintf("%s %q", obj.GetObjectKind().GroupVersionKind().Kind, obj.GetName())
}
