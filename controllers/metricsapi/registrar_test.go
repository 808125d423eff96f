package metricsapi

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func TestRegistrarSaysWhatItMayNot(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Group: ServiceKind.Group, Resource: "apiservices"}, RegistrationName, errors.New("no rule"))
	for name, tc := range map[string]struct {
		funcs interceptor.Funcs
		want  SourceKind
	}{
		"may not list": {interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return forbidden
		}}, Refused},
		"may not make": {interceptor.Funcs{
			List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return nil },
			Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
				return forbidden
			},
		}, Refused},
		"finds the API server busy, which passes": {interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return apierrors.NewTooManyRequestsError("busy")
		}}, Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			c := interceptor.NewClient(newClient(t), tc.funcs)
			ctx, cancel := context.WithCancel(t.Context())
			changed := 0
			r := &Registrar{
				Live: c, Writer: c, Keeper: &Keeper{Live: c, Writer: c, Service: testService, Now: time.Now},
				Interval: time.Hour, Changed: func(context.Context) { changed++; cancel() },
			}
			if tc.want == Unknown {
				r.Interval = time.Millisecond
				n := 0
				list := tc.funcs.List
				tc.funcs.List = func(ctx context.Context, c client.WithWatch, l client.ObjectList, o ...client.ListOption) error {
					if n++; n == 3 {
						cancel()
					}
					return list(ctx, c, l, o...)
				}
				r.Live = interceptor.NewClient(newClient(t), tc.funcs)
			}
			if err := r.Start(ctx); err != nil {
				t.Fatal(err)
			}
			got := r.Source()
			if got.Kind != tc.want || (got.Kind == Refused) != strings.Contains(got.Problem, "no rule") || (changed > 0) != (tc.want != Unknown) {
				t.Errorf("source %+v after %d changes, want %s", got, changed, tc.want)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	local := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"group": group}}}
	local.SetName("v1beta1." + group)
	broken := &unstructured.Unstructured{Object: map[string]any{
		"spec":   map[string]any{"service": map[string]any{"namespace": "monitoring", "name": "adapter"}},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Available", "status": "False", "reason": "ServiceNotFound"}}},
	}}
	broken.SetName("v1beta2." + group)
	for name, tc := range map[string]struct {
		of   *unstructured.Unstructured
		want Source
	}{
		"one without a Service":     {local, Source{Kind: Foreign, Registration: "v1beta1." + group, Owner: "kube-apiserver itself"}},
		"one whose Service is gone": {broken, Source{Kind: Foreign, Registration: "v1beta2." + group, Owner: "Service monitoring/adapter", Problem: "ServiceNotFound"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := describe(tc.of); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}
