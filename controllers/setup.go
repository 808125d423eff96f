package controllers

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// Alphabetical, so that none is repeated or missed.
//
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=create;delete;get;list;patch;update;watch
// +kubebuilder:rbac:groups="",resources=events,verbs=list
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=create;get;list;patch;update;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;patch;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=create;get;list;patch;update;watch
// +kubebuilder:rbac:groups="",resources=services,verbs=create;get;list;patch;update;watch
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=create;delete;get;list;patch;update;watch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=create;get;list;patch;update;watch
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=create;delete;get;list;patch;update;watch
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=create;delete;get;list;patch;update;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes,verbs=create;delete;get;list;patch;update;watch
// +kubebuilder:rbac:groups=gptoss.dev,resources=gptossmodels,verbs=get;list;watch
// +kubebuilder:rbac:groups=gptoss.dev,resources=gptossmodels/finalizers,verbs=update
// +kubebuilder:rbac:groups=gptoss.dev,resources=gptossmodels/status,verbs=get;patch
// +kubebuilder:rbac:groups=inference.networking.k8s.io,resources=inferencepools,verbs=create;delete;get;list;patch;update;watch
// +kubebuilder:rbac:groups=keda.sh,resources=scaledobjects,verbs=create;delete;get;list;patch;update;watch
// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=prometheusrules;servicemonitors,verbs=create;delete;get;list;patch;update;watch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=ingresses;networkpolicies,verbs=create;delete;get;list;patch;update;watch
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=create;delete;get;list;patch;update;watch

// Options tune how the reconciler runs.
type Options struct {
	// MaxConcurrentReconciles is how many objects are worked on at once; 0 means 1.
	MaxConcurrentReconciles int

	// Namespaces are those that the manager's cache is restricted to; none means all.
	Namespaces []string

	// APICheckInterval is the time between two looks for APIs that the cluster may lack; 0 means 30 seconds.
	APICheckInterval time.Duration

	// ProgressInterval is the time between two looks at how far a download is; 0 means 15 seconds. Status changes no more
	// often than that.
	ProgressInterval time.Duration
}

const (
	defaultAPICheckInterval = 30 * time.Second
	defaultProgressInterval = 15 * time.Second

	// secretIndex and claimIndex find GptOssModels by the Secrets and the claim that they name.
	secretIndex = "secrets"
	claimIndex  = "spec.model.source.persistentVolumeClaim.claimName"
)

// SetupWithManager registers the reconciler and everything that wakes it.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, o Options) error {
	if o.APICheckInterval == 0 {
		o.APICheckInterval = defaultAPICheckInterval
	}
	if r.Namespace == "" {
		r.Namespace = ownNamespace()
	}
	if o.ProgressInterval == 0 {
		o.ProgressInterval = defaultProgressInterval
	}
	names, err := newNameCache(mgr, o.Namespaces)
	if err != nil {
		return err
	}
	secrets, err := named(ctx, mgr, names, "Secret", secretIndex, namedSecrets)
	if err != nil {
		return err
	}
	claims, err := named(ctx, mgr, names, "PersistentVolumeClaim", claimIndex, namedClaims)
	if err != nil {
		return err
	}
	r.keeper = r.newKeeper(names, o.ProgressInterval)
	wake := make(chan event.GenericEvent, 1)
	c, err := ctrl.NewControllerManagedBy(mgr).
		// No predicate: our own status writes come back as events, and a status computed from an older one is put right.
		For(&v1alpha1.GptOssModel{}).
		Owns(&appsv1.ControllerRevision{}).
		Owns(&appsv1.Deployment{}).
		Owns(&networkingv1.Ingress{}).
		Owns(&networkingv1.NetworkPolicy{}).
		Owns(&policyv1.PodDisruptionBudget{}, builder.WithPredicates(budgetChanged())).
		Owns(&corev1.ConfigMap{}).
		Owns(&autoscalingv2.HorizontalPodAutoscaler{}, builder.WithPredicates(autoscalerChanged())).
		Owns(&batchv1.Job{}).
		Owns(&corev1.Secret{}).
		Owns(&corev1.Service{}).
		Watches(&corev1.PersistentVolumeClaim{}, handler.EnqueueRequestsFromMapFunc(modelOfPod)). // perhaps without an owner
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(modelOfPod)).
		WatchesRawSource(secrets).
		WatchesRawSource(claims).
		WatchesRawSource(source.Channel(wake, handler.EnqueueRequestsFromMapFunc(r.allModels))).
		WithOptions(controller.Options{MaxConcurrentReconciles: o.MaxConcurrentReconciles}).
		Build(r)
	if err != nil {
		return fmt.Errorf("controllers: set up: %w", err)
	}
	if err := r.followRegistration(mgr, wake); err != nil {
		return err
	}
	return r.followOptional(mgr, c, wake, o.APICheckInterval)
}

// ownNamespace is where the operator's pod runs, as the kubelet tells it; empty outside a cluster.
func ownNamespace() string {
	text, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// followRegistration runs the registrar on the leader, and wakes all models when autoscalers find their metrics elsewhere.
func (r *Reconciler) followRegistration(mgr ctrl.Manager, wake chan<- event.GenericEvent) error {
	if r.Registration == nil {
		return nil
	}
	r.Registration.Changed = waker(wake)
	return mgr.Add(r.Registration)
}

// waker returns a function that lets all models be reconciled.
func waker(wake chan<- event.GenericEvent) func(context.Context) {
	return func(ctx context.Context) {
		select {
		case wake <- event.GenericEvent{Object: &v1alpha1.GptOssModel{}}:
		case <-ctx.Done():
		}
	}
}

// followOptional watches the children's kinds that the cluster may lack while it has them, and wakes all models when
// that changes.
func (r *Reconciler) followOptional(mgr ctrl.Manager, c controller.Controller, wake chan<- event.GenericEvent, interval time.Duration) error {
	asker, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("controllers: discovery: %w", err)
	}
	owner := handler.EnqueueRequestForOwner(mgr.GetScheme(), mgr.GetRESTMapper(), &v1alpha1.GptOssModel{}, handler.OnlyControllerOwner())
	r.optional = &optionalAPIs{
		kinds:    optionalKinds,
		interval: interval,
		serves:   func(group schema.GroupVersion) ([]string, error) { return servedKinds(asker, group) },
		changed: func(ctx context.Context, kind schema.GroupVersionKind, available bool) error {
			child := &unstructured.Unstructured{}
			child.SetGroupVersionKind(kind)
			if !available {
				return mgr.GetCache().RemoveInformer(ctx, child)
			}
			return c.Watch(source.Kind[client.Object](mgr.GetCache(), child, owner))
		},
		wake: waker(wake),
	}
	return mgr.Add(r.optional)
}

// servedKinds asks the API server for the kinds of a group; none when it lacks the group.
func servedKinds(asker discovery.ServerResourcesInterface, group schema.GroupVersion) ([]string, error) {
	list, err := asker.ServerResourcesForGroupVersion(group.String())
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var kinds []string
	for _, resource := range list.APIResources {
		kinds = append(kinds, resource.Kind)
	}
	return kinds, nil
}

// named wakes the models that name an object of the kind when it appears or changes. Such objects carry no label of ours,
// so they have a cache of their own that holds nothing of them but their names.
func named(ctx context.Context, mgr ctrl.Manager, names cache.Cache, kind, field string, of func(*v1alpha1.GptOssModel) []string) (source.Source, error) {
	index := func(obj client.Object) []string { return of(obj.(*v1alpha1.GptOssModel)) }
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.GptOssModel{}, field, index); err != nil {
		return nil, fmt.Errorf("controllers: index by %s: %w", kind, err)
	}
	enqueue := func(ctx context.Context, obj client.Object) []reconcile.Request {
		return requests(ctx, mgr.GetClient(), client.InNamespace(obj.GetNamespace()), client.MatchingFields{field: obj.GetName()})
	}
	return source.Kind[client.Object](names, nameOnly(kind), handler.EnqueueRequestsFromMapFunc(enqueue)), nil
}

func namedSecrets(m *v1alpha1.GptOssModel) (names []string) {
	if ref := m.NamedSecret(); ref != nil {
		names = append(names, ref.Name)
	}
	if name, _ := m.Spec.Model.Source.Token(); name != "" {
		names = append(names, name)
	}
	return names
}

func namedClaims(m *v1alpha1.GptOssModel) []string {
	if pvc := m.Spec.Model.Source.PersistentVolumeClaim; pvc != nil {
		return []string{pvc.ClaimName}
	}
	return nil
}

func (r *Reconciler) allModels(ctx context.Context, _ client.Object) []reconcile.Request {
	return requests(ctx, r.Client)
}

func requests(ctx context.Context, reader client.Reader, options ...client.ListOption) []reconcile.Request {
	var models v1alpha1.GptOssModelList
	if err := reader.List(ctx, &models, options...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "models not listed; the next event wakes them")
		return nil
	}
	out := make([]reconcile.Request, 0, len(models.Items))
	for i := range models.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&models.Items[i])})
	}
	return out
}

// modelOfPod follows the instance label: a pod's owner is a ReplicaSet, which is not watched.
func modelOfPod(_ context.Context, obj client.Object) []reconcile.Request {
	name := obj.GetLabels()[resources.LabelInstance]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: obj.GetNamespace(), Name: name}}}
}

// budgetChanged ignores the budget's status, which changes with every pod.
func budgetChanged() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{}, predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !equality.Semantic.DeepEqual(e.ObjectOld.GetOwnerReferences(), e.ObjectNew.GetOwnerReferences())
	}})
}

// autoscalerChanged ignores the metric's present value, which the autoscaler reports every few seconds.
func autoscalerChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, okBefore := e.ObjectOld.(*autoscalingv2.HorizontalPodAutoscaler)
		after, okAfter := e.ObjectNew.(*autoscalingv2.HorizontalPodAutoscaler)
		if !okBefore || !okAfter {
			return true
		}
		return !equality.Semantic.DeepEqual(before.Spec, after.Spec) ||
			!equality.Semantic.DeepEqual(before.Status.Conditions, after.Status.Conditions) ||
			!equality.Semantic.DeepEqual(before.Labels, after.Labels) ||
			!equality.Semantic.DeepEqual(before.OwnerReferences, after.OwnerReferences)
	}}
}
