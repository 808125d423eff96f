package diagnosis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// maxEvents bounds the events that are shown beside a sentence.
const maxEvents = 10

// general are the facts that help whatever is wrong: conditions, the state of pods, the last warnings, what was not read.
func general(s *Snapshot, known []Evidence) []Evidence {
	var all []Evidence
	add := func(e Evidence) {
		if !slices.Contains(known, e) && !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	for i := range s.Model.Status.Conditions {
		add(conditionFact(&s.Model.Status.Conditions[i]))
	}
	for i := range s.Pods {
		add(podFact(&s.Pods[i]))
	}
	for i := range s.JobPods {
		add(podFact(&s.JobPods[i]))
	}
	for _, e := range warnings(s.Events) {
		add(Evidence{
			"event on " + object(e.InvolvedObject.Kind, e.InvolvedObject.Name),
			fmt.Sprintf("%s ago, %s: %s", s.Now.Sub(EventTime(&e)).Round(time.Second), e.Reason, words(e.Message)),
		})
	}
	kinds := make([]string, 0, len(s.Unread))
	for kind := range s.Unread {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		add(Evidence{"not read", kind + ": " + words(s.Unread[kind])})
	}
	return all
}

func podFact(p *corev1.Pod) Evidence {
	var text strings.Builder
	text.WriteString("phase " + string(p.Status.Phase))
	if podCondition(p, corev1.PodReady).Status == corev1.ConditionTrue {
		text.WriteString(", ready")
	}
	if p.Spec.NodeName != "" {
		text.WriteString(", on node " + p.Spec.NodeName)
	}
	for _, c := range p.Status.ContainerStatuses {
		if c.RestartCount > 0 {
			fmt.Fprintf(&text, ", container %s: %s", c.Name, plural(int(c.RestartCount), "restart", "restarts"))
		}
	}
	return Evidence{object("Pod", p.Name), text.String()}
}

func warnings(events []corev1.Event) []corev1.Event {
	list := slices.DeleteFunc(slices.Clone(events), func(e corev1.Event) bool { return e.Type != corev1.EventTypeWarning })
	slices.SortStableFunc(list, func(a, b corev1.Event) int {
		return cmp.Or(EventTime(&b).Compare(EventTime(&a)), cmp.Compare(a.Name, b.Name))
	})
	return list[:min(len(list), maxEvents)]
}
