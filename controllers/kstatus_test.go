package controllers

import (
	"testing"

	kstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// TestKstatus: the conditions that a verdict leads to are read as it means them by everything that waits with kstatus,
// whatever verdict was there before. test/gitops goes on from here to every reason.
func TestKstatus(t *testing.T) {
	verdicts := map[string]struct {
		v    verdict
		want kstatus.Status
	}{
		"ready":   {verdict{ready: true, reason: v1alpha1.ReasonReady, message: "m"}, kstatus.CurrentStatus},
		"pending": {pending(v1alpha1.ReasonProgressing, "m"), kstatus.InProgressStatus},
		"stalled": {stalled(v1alpha1.ReasonSecretNotFound, "m"), kstatus.FailedStatus},
	}
	for before, first := range verdicts {
		for after, second := range verdicts {
			m := &v1alpha1.GptOssModel{ObjectMeta: metav1.ObjectMeta{Name: "chat", Generation: 4}}
			m.Status.ObservedGeneration = m.Generation
			o := observation{model: m}
			conditions(&m.Status.Conditions, o, first.v)
			conditions(&m.Status.Conditions, o, second.v)
			content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(m)
			if err != nil {
				t.Fatal(err)
			}
			got, err := kstatus.Compute(&unstructured.Unstructured{Object: content})
			if err != nil || got.Status != second.want {
				t.Errorf("%s after %s: kstatus says %v (%v), want %s", after, before, got, err, second.want)
			}
		}
	}
}
