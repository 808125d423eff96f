package diagnosis

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// patience is how long an operator may take to look at an object before its silence means something.
	patience = 15 * time.Second

	// staleLease is how old a leader's last sign of life may be: four times the lease's usual duration.
	staleLease = time.Minute
)

// operator explains a status that nobody keeps. An operator that runs outside of the cluster is not found, but it would
// have written a status: only its absence leads here.
func operator(s *Snapshot) *Diagnosis {
	if current(s.Model) != nil || !s.saw(KindOperators) || s.Now.Sub(changed(s.Model)) < patience {
		return nil
	}
	d := &Diagnosis{Reason: reasonOperator, Evidence: []Evidence{{object("GptOssModel", s.Model.Name), fmt.Sprintf("generation %d, status is of %d", s.Model.Generation, s.Model.Status.ObservedGeneration)}}}
	what := "has looked at " + s.Model.Name
	if s.Model.Status.ObservedGeneration > 0 {
		what = "has seen the last change of " + s.Model.Name
	}
	if len(s.Operators) == 0 {
		d.Sentence = "The operator is not running: this cluster has no Deployment of gptoss-operator, and nobody " + what + "."
		d.Advice = "install it: make deploy, or helm install from charts/gptoss-operator"
		return d
	}
	for i := range s.Operators {
		if o := &s.Operators[i]; o.Status.ReadyReplicas > 0 {
			return leader(s, d, o, what)
		}
	}
	o := &s.Operators[0]
	why := "has no pod that is ready"
	if o.Spec.Replicas != nil && *o.Spec.Replicas == 0 {
		why = "is scaled to 0 replicas"
	}
	d.Sentence = fmt.Sprintf("The operator is not running: Deployment %q in namespace %q %s, and nobody %s.", o.Name, o.Namespace, why, what)
	d.Advice = fmt.Sprintf("kubectl -n %s describe deployment %s", o.Namespace, o.Name)
	return d
}

// changed is when the model was last written by somebody else than its operator, to the second.
func changed(m metav1.Object) time.Time {
	last := m.GetCreationTimestamp().Time
	for _, f := range m.GetManagedFields() {
		if f.Subresource == "" && f.Time != nil && f.Time.After(last) {
			last = f.Time.Time
		}
	}
	return last
}

// leader looks for the one replica of the operator that works.
func leader(s *Snapshot, d *Diagnosis, o *appsv1.Deployment, what string) *Diagnosis {
	for i := range s.Leases {
		renewed := s.Leases[i].Spec.RenewTime
		if renewed == nil || s.Now.Sub(renewed.Time) < staleLease {
			continue
		}
		d.Sentence = fmt.Sprintf("The operator in namespace %q has had no leader since %s, and nobody %s.", o.Namespace, renewed.UTC().Format(time.RFC3339), what)
		d.Advice = fmt.Sprintf("kubectl -n %s logs deployment/%s", o.Namespace, o.Name)
		return d
	}
	d.Reason = "OperatorSilent"
	d.Sentence = fmt.Sprintf("The operator in namespace %q runs, but nobody %s; it may be restricted to other namespaces.", o.Namespace, what)
	d.Advice = fmt.Sprintf("kubectl -n %s logs deployment/%s", o.Namespace, o.Name)
	return d
}

func secrets(s *Snapshot) *Diagnosis {
	if !s.saw(KindSecrets) {
		return nil
	}
	generated := ""
	if s.Model.NamedSecret() == nil {
		generated, _ = s.Model.APIKeySecret()
	}
	for _, n := range needs(s.Model, s.Deployment) {
		i := slices.IndexFunc(s.Secrets, func(x Secret) bool { return x.Name == n.name })
		switch {
		case n.name == generated:
			continue // the operator makes it; if it cannot, what it says counts
		case i < 0:
			return &Diagnosis{
				Reason:   "SecretNotFound",
				Sentence: fmt.Sprintf("Secret %q does not exist in namespace %q, and %s needs it.", n.name, s.Model.Namespace, n.by),
				Advice:   fmt.Sprintf("kubectl -n %s create secret generic %s --from-file=%s=FILE", s.Model.Namespace, n.name, orDefault(n.entry, "api-key")),
			}
		case n.entry != "" && !slices.Contains(s.Secrets[i].Entries, n.entry):
			return &Diagnosis{
				Reason:   "SecretKeyNotFound",
				Sentence: fmt.Sprintf("Secret %q in namespace %q has no entry %q, or an empty one, and %s needs it.", n.name, s.Model.Namespace, n.entry, n.by),
				Evidence: []Evidence{{object("Secret", n.name), "entries that are not empty: " + orDefault(strings.Join(s.Secrets[i].Entries, ", "), "none")}},
			}
		}
	}
	return nil
}

func orDefault(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// foreign finds objects of the model's names that the operator leaves alone because somebody else made them.
func foreign(s *Snapshot) *Diagnosis {
	conflict := func(kind string, o metav1.Object) *Diagnosis {
		return &Diagnosis{
			Reason:   "NameConflict",
			Sentence: fmt.Sprintf("%s %q exists already and %s, so that the operator leaves it alone and cannot make its own.", kind, o.GetName(), ownerWords(o)),
			Advice:   "rename or delete the one or the other",
			Evidence: []Evidence{{object(kind, o.GetName()), "made " + o.GetCreationTimestamp().UTC().Format(time.RFC3339) + ", not controlled by this GptOssModel"}},
		}
	}
	if s.Deployment != nil && !owned(s.Deployment, s.Model) {
		return conflict("Deployment", s.Deployment)
	}
	if s.Service != nil && !owned(s.Service, s.Model) {
		return conflict("Service", s.Service)
	}
	if s.Model.Spec.Autoscaling != nil {
		for i := range s.Autoscalers {
			if h := &s.Autoscalers[i]; h.Name == s.Model.Name && !owned(h, s.Model) {
				return conflict("HorizontalPodAutoscaler", h)
			}
		}
	}
	if name, _ := s.Model.APIKeySecret(); name != "" && s.Model.NamedSecret() == nil {
		for _, x := range s.Secrets {
			if x.Name == name && x.Owner != string(s.Model.UID) {
				return conflict("Secret", &metav1.ObjectMeta{Name: name})
			}
		}
	}
	return nil
}

// event is the newest one about the object with one of the reasons, or nil.
func (s *Snapshot) event(kind, name string, reasons ...string) *corev1.Event {
	var newest *corev1.Event
	for i := range s.Events {
		e := &s.Events[i]
		if e.InvolvedObject.Kind == kind && e.InvolvedObject.Name == name && slices.Contains(reasons, e.Reason) &&
			(newest == nil || EventTime(e).After(EventTime(newest))) {
			newest = e
		}
	}
	return newest
}

// EventTime is when an event last happened: its three fields come from two generations of the API.
func EventTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil && !e.Series.LastObservedTime.IsZero():
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

// refused explains pods that the API server does not let be made.
func refused(s *Snapshot) *Diagnosis {
	message, by := refusal(s)
	if message == "" {
		return nil
	}
	d := &Diagnosis{Reason: "PodsRefused", Evidence: []Evidence{{by, words(message)}}}
	d.Sentence = fmt.Sprintf("The API server refuses to create the model's pods: %s.", words(message))
	if _, cause, found := strings.Cut(message, "exceeded quota: "); found {
		d.Reason = "QuotaExceeded"
		d.Sentence = fmt.Sprintf("The ResourceQuota of namespace %q leaves no room for a pod: exceeded quota: %s.", s.Model.Namespace, words(cause))
		for i := range s.Quotas {
			d.Evidence = append(d.Evidence, quotaFact(&s.Quotas[i]))
		}
	}
	if strings.Contains(message, "violates PodSecurity") {
		d.Advice = "the model's pods hold to the restricted profile; what was added to them does not"
	}
	return d
}

func refusal(s *Snapshot) (message, by string) {
	if d := s.Deployment; d != nil && len(readyPods(s.Pods)) < wanted(s) {
		for _, c := range d.Status.Conditions {
			if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
				return c.Message, object("Deployment", d.Name)
			}
		}
	}
	for i := range s.ReplicaSets {
		rs := &s.ReplicaSets[i]
		for _, c := range rs.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
				return c.Message, object("ReplicaSet", rs.Name)
			}
		}
	}
	return "", ""
}

func quotaFact(q *corev1.ResourceQuota) Evidence {
	var parts []string
	for name, hard := range q.Status.Hard {
		used := q.Status.Used[name]
		parts = append(parts, fmt.Sprintf("%s %s of %s", name, used.String(), hard.String()))
	}
	slices.Sort(parts)
	return Evidence{object("ResourceQuota", q.Name), "used: " + strings.Join(parts, ", ")}
}

// autoscaler explains a number of pods that does not move. Its sentence is only the end of one.
func autoscaler(s *Snapshot) *Diagnosis {
	if s.Model.Spec.Autoscaling == nil || !s.saw(KindAutoscalers) {
		return nil
	}
	for i := range s.Autoscalers {
		h := &s.Autoscalers[i]
		if !owned(h, s.Model) {
			continue
		}
		for _, c := range h.Status.Conditions {
			if (c.Type != autoscalingv2.ScalingActive && c.Type != autoscalingv2.AbleToScale) || c.Status != corev1.ConditionFalse {
				continue
			}
			d := &Diagnosis{Reason: "AutoscalerBlind", Evidence: []Evidence{{object("HorizontalPodAutoscaler", h.Name), fmt.Sprintf("%s is False, %s: %s", c.Type, c.Reason, words(c.Message))}}}
			d.Sentence = "does not scale: the autoscaler says " + words(c.Message)
			if strings.Contains(c.Message, "etric") && s.saw(KindMetricsAPI) {
				d.metrics(s)
			}
			return d
		}
	}
	return nil
}

// metrics says more of an autoscaler without metrics: who should serve them.
func (d *Diagnosis) metrics(s *Snapshot) {
	switch api := s.MetricsAPI; {
	case api == nil:
		d.Sentence = "does not scale: nobody serves its metric, since the cluster has no APIService for custom.metrics.k8s.io"
		d.Advice = "let the operator serve it, or install prometheus-adapter"
	case !api.Available:
		d.Sentence = fmt.Sprintf("does not scale: APIService %q, which serves its metric from Service %q, is not available (%s)", api.Name, api.Service, words(orDefault(api.Condition, api.Reason)))
		d.Evidence = append(d.Evidence, Evidence{object("APIService", api.Name), "Available is not True: " + words(api.Reason+" "+api.Condition)})
	}
}
