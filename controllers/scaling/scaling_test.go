package scaling

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/metricsapi"
)

func model(autoscaled bool) *v1alpha1.GptOssModel {
	m := &v1alpha1.GptOssModel{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "chat"}}
	if autoscaled {
		m.Spec.Autoscaling = &v1alpha1.AutoscalingSpec{MaxReplicas: 3}
	}
	return m
}

func saying(kind autoscalingv2.HorizontalPodAutoscalerConditionType, status corev1.ConditionStatus, reason, message string) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{Status: autoscalingv2.HorizontalPodAutoscalerStatus{
		Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: kind, Status: status, Reason: reason, Message: message}},
	}}
}

func TestJudge(t *testing.T) {
	fine := saying(autoscalingv2.ScalingActive, corev1.ConditionTrue, "ValidMetricFound", "fine")
	failed := saying(autoscalingv2.ScalingActive, corev1.ConditionFalse, "FailedGetPodsMetric", "no metrics")
	foreign := metricsapi.Source{Kind: metricsapi.Foreign, Registration: "v1beta1.custom.metrics.k8s.io", Owner: "Service monitoring/adapter"}
	broken := foreign
	broken.Problem = "ServiceNotFound"
	own := metricsapi.Source{Kind: metricsapi.Own}
	for name, tc := range map[string]struct {
		facts  Facts
		active bool
		reason string
		words  []string
	}{
		"no autoscaling":                   {Facts{Model: model(false)}, false, "AutoscalingOff", nil},
		"just made":                        {Facts{Model: model(true), Source: own}, false, "AutoscalerPending", nil},
		"has not looked yet":               {Facts{Model: model(true), Source: own, Autoscaler: &autoscalingv2.HorizontalPodAutoscaler{}}, false, "AutoscalerPending", nil},
		"works":                            {Facts{Model: model(true), Source: own, Autoscaler: fine}, true, "MetricAvailable", nil},
		"works with another adapter":       {Facts{Model: model(true), Source: foreign, Autoscaler: fine}, true, "MetricFromOthers", []string{"monitoring/adapter"}},
		"fails with our own":               {Facts{Model: model(true), Source: own, Autoscaler: failed}, false, "MetricUnavailable", []string{"FailedGetPodsMetric: no metrics"}},
		"an adapter that lacks the metric": {Facts{Model: model(true), Source: foreign, Autoscaler: failed}, false, "MetricsAPITaken", []string{"monitoring/adapter", "docs/autoscaling.md", "no metrics"}},
		"an adapter that is gone":          {Facts{Model: model(true), Source: broken, Autoscaler: failed}, false, "MetricsAPITaken", []string{"ServiceNotFound"}},
		"switched off":                     {Facts{Model: model(true), Source: metricsapi.Source{Kind: metricsapi.Off}, Autoscaler: failed}, false, "MetricsAPIOff", []string{"--metrics-api=off", "no metrics"}},
		"without the rights":               {Facts{Model: model(true), Source: metricsapi.Source{Kind: metricsapi.Refused, Problem: "forbidden"}, Autoscaler: failed}, false, "MetricsAPIRefused", []string{"forbidden", "metrics_api_role.yaml"}},
		"paused":                           {Facts{Model: model(true), Source: foreign, Autoscaler: saying(autoscalingv2.ScalingActive, corev1.ConditionFalse, "ScalingDisabled", "replicas is 0")}, false, "MetricUnavailable", []string{"ScalingDisabled"}},
		"another autoscaler":               {Facts{Model: model(true), Source: own, Rival: "mine"}, false, "OtherAutoscaler", []string{`"mine"`, "remove spec.autoscaling"}},
		"another autoscaler, where there is to be none": {Facts{Model: model(false), Source: own, Rival: "mine"}, false, "OtherAutoscaler", []string{`"mine"`, `GptOssModel "chat"`}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Judge(tc.facts)
			if got.Active != tc.active || got.Reason != tc.reason || got.Message == "" {
				t.Errorf("got %+v, want %v %s", got, tc.active, tc.reason)
			}
			for _, words := range tc.words {
				if !strings.Contains(got.Message, words) {
					t.Errorf("message %q lacks %q", got.Message, words)
				}
			}
		})
	}
}

func TestChanges(t *testing.T) {
	for name, tc := range map[string]struct {
		old    string
		active int64
		want   string // empty for no write
	}{
		"an idle pod needs no mark":         {"", 0, ""},
		"a busy pod is marked":              {"", 3, "4"},
		"one that became idle is unmarked":  {"4", 0, "0"},
		"a step up is not worth a write":    {"4", 8, ""},
		"a step down is not worth a write":  {"4", 2, ""},
		"two steps up are":                  {"4", 9, "16"},
		"two steps down are":                {"4", 1, "1"},
		"what somebody wrote is replaced":   {"high", 1, "1"},
		"idle and marked as such":           {"0", 0, ""},
		"powers of two are what they are":   {"", 16, "16"},
		"a mark of before goes by its size": {"-5", 2, "2"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := corev1.Pod{}
			if tc.old != "" {
				pod.Annotations = map[string]string{CostAnnotation: tc.old}
			}
			got := ""
			for _, c := range Changes([]corev1.Pod{pod}, []metricsapi.Reading{{Active: tc.active}}) {
				got = c.Value
			}
			if got != tc.want {
				t.Errorf("wrote %q, want %q", got, tc.want)
			}
		})
	}
	t.Run("a silent pod keeps what it has", func(t *testing.T) {
		if got := Changes([]corev1.Pod{{}}, []metricsapi.Reading{{Err: errors.New("silent")}}); got != nil {
			t.Errorf("wrote %v", got)
		}
	})
}

func TestPodsAreLookedAtOnceAMinute(t *testing.T) {
	pod := func(uid types.UID) corev1.Pod { return corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid}} }
	names := func(pods []corev1.Pod) (out []types.UID) {
		for _, p := range pods {
			out = append(out, p.UID)
		}
		return out
	}
	var costs Costs
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	gone := pod("gone")
	gone.DeletionTimestamp = &metav1.Time{Time: start}
	for _, step := range []struct {
		after time.Duration
		pods  []corev1.Pod
		want  []types.UID
	}{
		{0, []corev1.Pod{pod("a"), gone}, []types.UID{"a"}},
		{30 * time.Second, []corev1.Pod{pod("a"), pod("b")}, []types.UID{"b"}},
		{59 * time.Second, []corev1.Pod{pod("a"), pod("b")}, nil},
		{60 * time.Second, []corev1.Pod{pod("a"), pod("b")}, []types.UID{"a"}},
	} {
		if diff := cmp.Diff(step.want, names(costs.Due(step.pods, start.Add(step.after)))); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", step.after, diff)
		}
	}
	costs.Due(nil, start.Add(time.Hour))
	if len(costs.looked) != 0 {
		t.Errorf("%d pods that are long gone are remembered", len(costs.looked))
	}
}

func TestShrinking(t *testing.T) {
	if Shrinking(nil) || Shrinking(saying(autoscalingv2.AbleToScale, corev1.ConditionTrue, "ReadyForNewScale", "")) {
		t.Error("a steady autoscaler is taken for a shrinking one")
	}
	if !Shrinking(saying(autoscalingv2.AbleToScale, corev1.ConditionTrue, "ScaleDownStabilized", "")) {
		t.Error("a shrinking autoscaler is not seen")
	}
}
