package diagnosis

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// The reasons that no condition of the object has.
const (
	reasonUnexplained = "Unexplained"
	reasonOperator    = "OperatorNotRunning"
)

// Diagnose says why the model is not ready. What comes first in the order of checks is what the rest follows from.
func Diagnose(s *Snapshot) Diagnosis {
	d := Diagnosis{}
	for _, check := range []func(*Snapshot) *Diagnosis{
		deleted, ready, operator, secrets, foreign, claims, paused, downloads, refused, rejected, pods, unfinished,
	} {
		if found := check(s); found != nil {
			d = *found
			break
		}
	}
	if d.Reason == "" {
		d = fromCondition(s)
	}
	d.Evidence = append(d.Evidence, general(s, d.Evidence)...)
	return d
}

func deleted(s *Snapshot) *Diagnosis {
	m := s.Model
	if m.DeletionTimestamp.IsZero() {
		return nil
	}
	sentence := fmt.Sprintf("%s is being deleted since %s.", m.Name, m.DeletionTimestamp.UTC().Format(time.RFC3339))
	if len(m.Finalizers) > 0 {
		sentence = fmt.Sprintf("%s is being deleted since %s and waits for the finalizers %s.",
			m.Name, m.DeletionTimestamp.UTC().Format(time.RFC3339), strings.Join(m.Finalizers, ", "))
	}
	return &Diagnosis{Reason: "Deleting", Sentence: sentence}
}

// current returns the Ready condition if it speaks of the present generation.
func current(m *v1alpha1.GptOssModel) *metav1.Condition {
	c := meta.FindStatusCondition(m.Status.Conditions, v1alpha1.ConditionReady)
	if c == nil || c.ObservedGeneration < m.Generation || m.Status.ObservedGeneration < m.Generation {
		return nil
	}
	return c
}

// ready believes the condition as long as the pods do not contradict it: an operator that died cannot take it back.
func ready(s *Snapshot) *Diagnosis {
	c := current(s.Model)
	if c == nil || c.Status != metav1.ConditionTrue {
		return nil
	}
	want, have := wanted(s), len(readyPods(s.Pods))
	if s.saw(KindPods) && have < want {
		return nil
	}
	if want == 0 {
		return paused(s)
	}
	name := s.Model.Name
	if found := autoscaler(s); found != nil {
		found.Sentence = fmt.Sprintf("%s is ready with %d of %d pods, but %s.", name, have, want, found.Sentence)
		found.Ready = true
		return found
	}
	return &Diagnosis{Ready: true, Reason: "Ready", Sentence: fmt.Sprintf("%s is ready: %d of %d pods serve.", name, have, want)}
}

func wanted(s *Snapshot) int {
	if s.Deployment != nil && s.Deployment.Spec.Replicas != nil && owned(s.Deployment, s.Model) {
		return int(*s.Deployment.Spec.Replicas)
	}
	if a := s.Model.Spec.Autoscaling; a != nil {
		least, _, _ := a.Bounds()
		return int(least)
	}
	return int(s.Model.FixedReplicas())
}

func readyPods(pods []corev1.Pod) []corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool { return podCondition(&p, corev1.PodReady).Status != corev1.ConditionTrue })
}

func paused(s *Snapshot) *Diagnosis {
	m := s.Model
	switch {
	case m.Spec.Autoscaling == nil && m.FixedReplicas() == 0:
		return &Diagnosis{
			Reason:   "ScaledToZero",
			Sentence: fmt.Sprintf("%s is paused: spec.replicas is 0, so that no pod runs and clients get no answer.", m.Name),
			Advice:   fmt.Sprintf("kubectl -n %s scale gptossmodel/%s --replicas=1", m.Namespace, m.Name),
			Evidence: []Evidence{{object("GptOssModel", m.Name), "spec.replicas is 0"}},
		}
	case s.Deployment != nil && owned(s.Deployment, m) && s.Deployment.Spec.Replicas != nil && *s.Deployment.Spec.Replicas == 0 && current(m) != nil:
		return &Diagnosis{
			Reason:   "ScaledToZero",
			Sentence: fmt.Sprintf("%s has no pod: its Deployment was scaled to 0 replicas by somebody else than spec.replicas.", m.Name),
			Evidence: []Evidence{{object("Deployment", m.Name), "spec.replicas is 0"}},
		}
	}
	return nil
}

// rejected repeats what the API server refused, which only the operator has heard.
func rejected(s *Snapshot) *Diagnosis {
	c := current(s.Model)
	if c == nil || c.Status == metav1.ConditionTrue || (c.Reason != v1alpha1.ReasonApplyRejected && c.Reason != v1alpha1.ReasonApplyFailed) {
		return nil
	}
	sentence := "The API server refuses what the operator writes for " + s.Model.Name
	if c.Reason == v1alpha1.ReasonApplyFailed {
		sentence = "The operator's last write for " + s.Model.Name + " failed and is being tried again"
	}
	return &Diagnosis{Reason: c.Reason, Sentence: sentence + ": " + words(c.Message) + ".", Evidence: []Evidence{conditionFact(c)}}
}

// unfinished explains a rollout whose pods all serve.
func unfinished(s *Snapshot) *Diagnosis {
	d := s.Deployment
	if d == nil || !owned(d, s.Model) {
		return nil
	}
	want := wanted(s)
	newest, old := s.split()
	fact := Evidence{object("Deployment", d.Name), fmt.Sprintf("%d wanted, %d of the present generation, %d ready", want, d.Status.UpdatedReplicas, d.Status.ReadyReplicas)}
	switch n := len(readyPods(newest)); {
	case s.saw(KindPods) && n < want && len(newest) < want:
		return &Diagnosis{
			Reason: "Progressing", Evidence: []Evidence{fact},
			Sentence: fmt.Sprintf("The Deployment's controller has made %d of %s of the present generation so far.", len(newest), plural(want, "pod", "pods")),
		}
	case n >= want && len(readyPods(old)) > 0:
		return &Diagnosis{
			Reason: "OldPodsServing", Evidence: []Evidence{fact},
			Sentence: fmt.Sprintf("The new pods serve, but clients are still answered by %s of an earlier generation until the streams there have ended.", plural(len(readyPods(old)), "pod", "pods")),
		}
	}
	return nil
}

// split tells the pods of the newest ReplicaSet from earlier ones; without ReplicaSets all count as new.
func (s *Snapshot) split() (newest, old []corev1.Pod) {
	var last *appsv1.ReplicaSet
	for i := range s.ReplicaSets {
		if rs := &s.ReplicaSets[i]; last == nil || revision(rs) > revision(last) {
			last = rs
		}
	}
	for i := range s.Pods {
		if owner := metav1.GetControllerOf(&s.Pods[i]); last == nil || owner == nil || owner.UID == last.UID {
			newest = append(newest, s.Pods[i])
		} else {
			old = append(old, s.Pods[i])
		}
	}
	return newest, old
}

func revision(rs *appsv1.ReplicaSet) int {
	n := 0
	_, _ = fmt.Sscan(rs.Annotations["deployment.kubernetes.io/revision"], &n) // 0 for what is not a number
	return n
}

// fromCondition is for what no object explains: the operator's own words, or the admission that nothing is known.
func fromCondition(s *Snapshot) Diagnosis {
	if c := current(s.Model); c != nil && c.Status != metav1.ConditionTrue && c.Message != "" {
		return Diagnosis{Reason: c.Reason, Sentence: fmt.Sprintf("%s is not ready: %s.", s.Model.Name, words(c.Message)), Evidence: []Evidence{conditionFact(c)}}
	}
	if len(s.Unread) > 0 {
		return Diagnosis{Reason: reasonUnexplained, Sentence: s.Model.Name + " is not ready, and you may not read the objects that would tell why.", Advice: "-v lists them"}
	}
	return Diagnosis{Reason: reasonUnexplained, Sentence: s.Model.Name + " is not ready, and no object in the cluster tells why; the operator's log may.", Advice: "kubectl gptoss support-bundle " + s.Model.Name}
}

func conditionFact(c *metav1.Condition) Evidence {
	return Evidence{"condition " + c.Type, fmt.Sprintf("%s, %s: %s", c.Status, c.Reason, words(c.Message))}
}

func object(kind, name string) string { return kind + " " + name }
