package controllers

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestOptionalAPIs(t *testing.T) {
	one := schema.GroupVersionKind{Group: "a", Version: "v1", Kind: "One"}
	two := schema.GroupVersionKind{Group: "a", Version: "v1", Kind: "Two"}
	far := schema.GroupVersionKind{Group: "b", Version: "v1", Kind: "Far"}
	served, broken := map[string][]string{}, map[string]bool{}
	var watched, asked []string
	woken, watchFails := 0, false
	a := &optionalAPIs{
		kinds: []schema.GroupVersionKind{one, two, far},
		serves: func(group schema.GroupVersion) ([]string, error) {
			asked = append(asked, group.Group)
			if broken[group.Group] {
				return nil, errors.New("no answer")
			}
			return served[group.Group], nil
		},
		changed: func(_ context.Context, kind schema.GroupVersionKind, available bool) error {
			if watchFails {
				return errors.New("no watch")
			}
			if available {
				watched = append(watched, kind.Kind)
			} else {
				watched = append(watched, "-"+kind.Kind)
			}
			return nil
		},
		wake: func(context.Context) { woken++ },
	}
	for _, step := range []struct {
		name      string
		prepare   func()
		wantErr   bool
		available []bool // one, two, far
		watched   []string
		woken     int
	}{
		{"a cluster without any", func() {}, false, []bool{false, false, false}, nil, 0},
		{"two kinds of three", func() { served["a"], served["b"] = []string{"One"}, []string{"Far"} }, false, []bool{true, false, true}, []string{"One", "Far"}, 1},
		{"nothing new wakes nobody", func() {}, false, []bool{true, false, true}, nil, 0},
		{"one group that does not answer, and news of the other", func() { broken["b"] = true; served["a"] = []string{"Two"} }, true, []bool{false, true, true}, []string{"-One", "Two"}, 1},
		{"a watch that fails counts as absent", func() { broken["b"] = false; served["a"] = []string{"One", "Two"}; watchFails = true }, true, []bool{false, true, true}, nil, 0},
		{"and is tried again", func() { watchFails = false }, false, []bool{true, true, true}, []string{"One"}, 1},
		{"all gone", func() { clear(served) }, false, []bool{false, false, false}, []string{"-One", "-Two", "-Far"}, 1},
	} {
		step.prepare()
		watched, asked, woken = nil, nil, 0
		if err := a.check(t.Context()); (err != nil) != step.wantErr {
			t.Errorf("%s: error %v", step.name, err)
		}
		if diff := cmp.Diff(step.available, []bool{a.available(one), a.available(two), a.available(far)}); diff != "" {
			t.Errorf("%s: available (-want +got):\n%s", step.name, diff)
		}
		if diff := cmp.Diff(step.watched, watched); diff != "" {
			t.Errorf("%s: watches (-want +got):\n%s", step.name, diff)
		}
		if woken != step.woken {
			t.Errorf("%s: models woken %d times, want %d", step.name, woken, step.woken)
		}
		if len(asked) > 3 || (!step.wantErr && len(asked) != 2) {
			t.Errorf("%s: asked %v, want each group once", step.name, asked)
		}
	}
	if !a.available(schema.GroupVersionKind{Version: "v1", Kind: "Service"}) {
		t.Error("a kind that no cluster lacks is not available")
	}
}

func TestGravest(t *testing.T) {
	plain, person := errors.New("refused"), &stall{reason: "NameConflict"}
	for name, tc := range map[string]struct {
		all  []error
		want error
	}{
		"nothing":                              {[]error{nil, nil}, nil},
		"what may pass before what may not":    {[]error{person, plain}, plain},
		"a race before all":                    {[]error{plain, errAgain, person}, errAgain},
		"a person's task before mere waiting":  {[]error{errWait, person}, person},
		"the first of two that weigh the same": {[]error{nil, person, &stall{reason: "Other"}}, person},
	} {
		t.Run(name, func(t *testing.T) {
			if got := gravest(tc.all...); !errors.Is(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
