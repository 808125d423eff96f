package metricsapi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// ServiceKind is the kind by which an API is registered. It is handled without its Go types, as other APIs are that the
// operator writes but does not own.
var ServiceKind = schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"}

const (
	// RegistrationName is the name of our APIService: there can be only one of it in a cluster.
	RegistrationName = "v1beta2." + group

	// defaultInterval is how often the registration is looked at.
	defaultInterval = 15 * time.Second

	fieldManager = "gptoss-operator"
)

// Registrar registers the API with kube-apiserver, on the leader.
//
// Where anybody else serves the group, in whatever version, ours is not there: the autoscaler reads all its custom metrics
// from one version, so that a second server would hide what the first one serves.
type Registrar struct {
	// Live and Writer read and write the API server.
	Live   client.Reader
	Writer client.Client

	// Keeper has the certificate; its Service is what is registered.
	Keeper *Keeper

	// Interval is the time between two looks; 0 means 15 seconds.
	Interval time.Duration

	// Changed is called after the source has changed. It may be nil.
	Changed func(ctx context.Context)

	source atomic.Pointer[Source]
}

// Source tells where autoscalers find their metrics, as far as is known by now.
func (r *Registrar) Source() Source {
	if s := r.source.Load(); s != nil {
		return *s
	}
	return Source{}
}

// Start looks after the registration until the context ends. It is a Runnable of the manager, for the leader.
func (r *Registrar) Start(ctx context.Context) error {
	interval := r.Interval
	if interval == 0 {
		interval = defaultInterval
	}
	logger := ctrl.LoggerFrom(ctx).WithName("metricsapi")
	return ignoreEnd(wait.PollUntilContextCancel(ctx, interval, true, func(ctx context.Context) (bool, error) {
		source, err := r.check(ctx)
		switch {
		case apierrors.IsForbidden(err) || apierrors.IsInvalid(err):
			source = Source{Kind: Refused, Problem: err.Error()}
		case err != nil:
			if ctx.Err() == nil && !apierrors.IsConflict(err) {
				logger.Error(err, "registration of the metrics API not looked after; trying again")
			}
			return false, nil
		}
		if source != r.Source() {
			logger.Info("source of autoscalers' metrics", "kind", source.Kind.String(), "registration", source.Registration, "owner", source.Owner, "problem", source.Problem)
			r.source.Store(&source)
			if r.Changed != nil {
				r.Changed(ctx)
			}
		}
		return false, nil
	}))
}

func ignoreEnd(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// check looks once, and makes, repairs or removes our registration.
func (r *Registrar) check(ctx context.Context) (Source, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(ServiceKind)
	if err := r.Live.List(ctx, list); err != nil {
		return Source{}, fmt.Errorf("metricsapi: list APIServices: %w", err)
	}
	var ours *unstructured.Unstructured
	var foreign []*unstructured.Unstructured
	for i := range list.Items {
		switch item := &list.Items[i]; {
		case text(item, "spec", "group") != group:
		case item.GetName() == RegistrationName && r.servedByUs(item):
			ours = item
		default:
			foreign = append(foreign, item)
		}
	}
	if len(foreign) > 0 {
		slices.SortFunc(foreign, func(a, b *unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
		return describe(foreign[0]), r.withdraw(ctx, ours)
	}
	return Source{Kind: Own, Registration: RegistrationName}, r.register(ctx, ours)
}

// servedByUs reports whether an APIService leads to our Service.
func (r *Registrar) servedByUs(u *unstructured.Unstructured) bool {
	return text(u, "spec", "service", "namespace") == r.Keeper.Service.Namespace && text(u, "spec", "service", "name") == r.Keeper.Service.Name
}

// madeByUs reports whether the operator, and not a person or a tool, made an APIService that leads to us.
func madeByUs(u *unstructured.Unstructured) bool {
	return u.GetLabels()[resources.LabelManagedBy] == resources.ManagedBy
}

// withdraw removes our registration, and nobody else's, not even if it takes the place of ours at this very moment.
func (r *Registrar) withdraw(ctx context.Context, ours *unstructured.Unstructured) error {
	if ours == nil || !madeByUs(ours) || ours.GetDeletionTimestamp() != nil {
		return nil
	}
	err := r.Writer.Delete(ctx, ours, client.Preconditions{UID: new(ours.GetUID()), ResourceVersion: new(ours.GetResourceVersion())})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("metricsapi: delete APIService %q: %w", ours.GetName(), err)
	}
	return nil
}

// register makes our registration, or repairs it. ours is the present one, or nil.
func (r *Registrar) register(ctx context.Context, ours *unstructured.Unstructured) error {
	var published []byte
	if ours != nil {
		published, _ = base64.StdEncoding.DecodeString(text(ours, "spec", "caBundle"))
	}
	bundle, err := r.Keeper.ensure(ctx, published)
	if err != nil {
		return err
	}
	if ours != nil && (!madeByUs(ours) || ours.GetDeletionTimestamp() != nil) {
		return nil
	}
	desired, err := r.desired(ctx, bundle)
	if err != nil {
		return err
	}
	options := []client.ApplyOption{client.FieldOwner(fieldManager)}
	if ours != nil {
		if same(desired, ours) {
			return nil
		}
		// What is repaired is what was read. Without force, and so without this, an apply over somebody else's is a conflict.
		desired.SetResourceVersion(ours.GetResourceVersion())
		options = append(options, client.ForceOwnership)
	}
	if err := r.Writer.Apply(ctx, client.ApplyConfigurationFromUnstructured(desired), options...); err != nil {
		return fmt.Errorf("metricsapi: write APIService %q: %w", RegistrationName, err)
	}
	return nil
}

// desired is our APIService. Its owner is the ClusterRole by which the operator may make it: when that is uninstalled, the
// APIService goes too. One that leads nowhere would hold up the deletion of every namespace.
func (r *Registrar) desired(ctx context.Context, bundle []byte) (*unstructured.Unstructured, error) {
	service := r.Keeper.Service
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"group": group, "version": "v1beta2", "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
		"service":  map[string]any{"namespace": service.Namespace, "name": service.Name, "port": int64(443)},
		"caBundle": base64.StdEncoding.EncodeToString(bundle),
	}}}
	u.SetGroupVersionKind(ServiceKind)
	u.SetName(RegistrationName)
	u.SetLabels(map[string]string{resources.LabelManagedBy: resources.ManagedBy, resources.LabelPartOf: resources.PartOf})
	role := &rbacv1.ClusterRole{}
	err := r.Live.Get(ctx, types.NamespacedName{Name: service.Name}, role)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("metricsapi: read ClusterRole %q: %w", service.Name, err)
	}
	if err == nil {
		u.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole", Name: role.Name, UID: role.UID}})
	}
	return u, nil
}

// same reports whether live has all that desired says.
func same(desired, live *unstructured.Unstructured) bool {
	want, _ := desired.Object["spec"].(map[string]any)
	have, _ := live.Object["spec"].(map[string]any)
	for name, value := range want {
		if !reflect.DeepEqual(value, have[name]) {
			return false
		}
	}
	for name, value := range desired.GetLabels() {
		if live.GetLabels()[name] != value {
			return false
		}
	}
	for _, owner := range desired.GetOwnerReferences() {
		if !slices.ContainsFunc(live.GetOwnerReferences(), func(o metav1.OwnerReference) bool { return o.UID == owner.UID }) {
			return false
		}
	}
	return true
}

// describe says who owns an APIService, and whether that works.
func describe(u *unstructured.Unstructured) Source {
	s := Source{Kind: Foreign, Registration: u.GetName(), Owner: "kube-apiserver itself"}
	if name := text(u, "spec", "service", "name"); name != "" {
		s.Owner = "Service " + text(u, "spec", "service", "namespace") + "/" + name
	}
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == "Available" && m["status"] == "False" {
			s.Problem, _ = m["reason"].(string)
		}
	}
	return s
}

func text(u *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(u.Object, path...)
	return value
}
