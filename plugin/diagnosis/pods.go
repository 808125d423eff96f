package diagnosis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Severities order what is wrong with pods: what needs a person, what may pass, what only takes time.
const (
	severityPerson = iota
	severityCluster
	severityTime
)

// evictionMemory is for how long an eviction explains that a pod is missing.
const evictionMemory = 30 * time.Minute

// manyRestarts is how many restarts make a loop.
const manyRestarts = 2

type finding struct {
	Diagnosis
	severity int
}

func found(severity int, reason, fact string, pod *corev1.Pod, format string, args ...any) *finding {
	return &finding{severity: severity, Diagnosis: Diagnosis{
		Reason: reason, Sentence: fmt.Sprintf(format, args...) + ".", Evidence: []Evidence{{object("Pod", pod.Name), fact}},
	}}
}

func (f *finding) advise(text string) *finding {
	f.Advice = text
	return f
}

// pods explains the pod in the worst state, of the newest generation if one of it is not ready.
func pods(s *Snapshot) *Diagnosis {
	newest, old := s.split()
	for _, list := range [][]corev1.Pod{newest, old} {
		if worst := worstOf(s, list); worst != nil && (len(readyPods(newest)) < wanted(s) || worst.severity < severityTime) {
			return &worst.Diagnosis
		}
	}
	return nil
}

// worstOf is the first by name among equals, so that the answer does not flicker.
func worstOf(s *Snapshot, list []corev1.Pod) *finding {
	sorted := slices.SortedFunc(slices.Values(list), func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	var all []*finding
	for i := range sorted {
		p := &sorted[i]
		if podCondition(p, corev1.PodReady).Status == corev1.ConditionTrue || p.Status.Phase == corev1.PodSucceeded {
			continue
		}
		if f := s.pod(p); f != nil {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return slices.MinFunc(all, func(a, b *finding) int { return cmp.Compare(a.severity, b.severity) })
}

func podCondition(p *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range p.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

// pod says why one pod does not serve, or nil when that says nothing about the model.
func (s *Snapshot) pod(p *corev1.Pod) *finding {
	if p.Status.Phase == corev1.PodFailed {
		return s.failed(p)
	}
	if !p.DeletionTimestamp.IsZero() {
		return found(severityTime, "Terminating", "is being deleted", p, "Pod %q is on its way out and lets its last streams end", p.Name)
	}
	if c := podCondition(p, corev1.PodScheduled); c.Status == corev1.ConditionFalse {
		return s.unscheduled(p, c)
	}
	if f := s.node(p); f != nil {
		return f
	}
	for _, status := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if f := s.container(p, &status); f != nil {
			return f
		}
	}
	return s.preparing(p)
}

// failed pods stay only as a record: another one has taken their place, unless nothing could.
func (s *Snapshot) failed(p *corev1.Pod) *finding {
	reason := p.Status.Reason
	at := podCondition(p, corev1.DisruptionTarget).LastTransitionTime.Time
	if !at.IsZero() && s.Now.Sub(at) > evictionMemory {
		return nil
	}
	fact := "failed, " + words(reason+" "+p.Status.Message)
	if reason == "Evicted" {
		return found(severityCluster, "Evicted", fact, p, "Pod %q was evicted from node %q and its replacement is not ready yet: %s", p.Name, p.Spec.NodeName, words(p.Status.Message))
	}
	if reason == "" {
		return nil // its containers' ends are told by the pods that follow
	}
	return found(severityCluster, "PodFailed", fact, p, "Pod %q was ended by its node (%s) and its replacement is not ready yet: %s", p.Name, words(reason), words(p.Status.Message))
}

func (s *Snapshot) unscheduled(p *corev1.Pod, c corev1.PodCondition) *finding {
	if c.Reason == corev1.PodReasonSchedulingGated {
		return found(severityPerson, "SchedulingGated", "has scheduling gates", p, "Pod %q is held back by its scheduling gates", p.Name)
	}
	said := words(c.Message)
	if said == "" {
		return found(severityTime, "Scheduling", "not scheduled", p, "Pod %q waits for the scheduler", p.Name)
	}
	f := found(severityCluster, "WaitingForCapacity", "PodScheduled is False, "+c.Reason, p, "No node fits pod %q, and the scheduler says: %s", p.Name, said)
	f.Evidence = append(f.Evidence, Evidence{object("Pod", p.Name), "requests " + requests(p)})
	for i := range s.Nodes {
		f.Evidence = append(f.Evidence, nodeFact(&s.Nodes[i]))
	}
	return f
}

func requests(p *corev1.Pod) string {
	var parts []string
	for _, c := range p.Spec.Containers {
		for name, q := range c.Resources.Requests {
			parts = append(parts, fmt.Sprintf("%s %s", name, q.String()))
		}
	}
	slices.Sort(parts)
	return orDefault(strings.Join(parts, ", "), "nothing")
}

func nodeFact(n *corev1.Node) Evidence {
	cpu, memory := n.Status.Allocatable[corev1.ResourceCPU], n.Status.Allocatable[corev1.ResourceMemory]
	var text strings.Builder
	fmt.Fprintf(&text, "allocatable cpu %s, memory %s", cpu.String(), memory.String())
	if gpus, ok := n.Status.Allocatable["nvidia.com/gpu"]; ok {
		text.WriteString(", nvidia.com/gpu " + gpus.String())
	}
	if n.Spec.Unschedulable {
		text.WriteString(", cordoned")
	}
	for _, t := range n.Spec.Taints {
		fmt.Fprintf(&text, ", taint %s:%s", t.Key, t.Effect)
	}
	return Evidence{object("Node", n.Name), text.String()}
}

// node explains pods whose node does not answer: nothing that it reported of them is news.
func (s *Snapshot) node(p *corev1.Pod) *finding {
	i := slices.IndexFunc(s.Nodes, func(n corev1.Node) bool { return n.Name == p.Spec.NodeName })
	if i < 0 {
		return nil
	}
	for _, c := range s.Nodes[i].Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
			return found(severityCluster, "NodeNotReady", "runs on node "+p.Spec.NodeName, p, "Node %q, where pod %q runs, is not ready: %s", p.Spec.NodeName, p.Name, words(orDefault(c.Message, c.Reason)))
		}
	}
	return nil
}

// container says what is wrong with one container, or nil.
func (s *Snapshot) container(p *corev1.Pod, c *corev1.ContainerStatus) *finding {
	if c.Ready {
		return nil
	}
	if w := c.State.Waiting; w != nil {
		if f := s.waiting(p, c, w); f != nil {
			return f
		}
	}
	// A container that has ended is worth more than the state it is in now, which changes with every attempt.
	end := c.State.Terminated
	if end == nil {
		end = c.LastTerminationState.Terminated
	}
	if end != nil {
		return s.ended(p, c, end)
	}
	if c.State.Running == nil {
		return nil
	}
	if f := s.probes(p, c); f != nil {
		return f
	}
	return found(severityTime, "LoadingModel", "runs since "+c.State.Running.StartedAt.UTC().Format(time.RFC3339), p,
		"The server in pod %q loads the model, for %s so far", p.Name, s.Now.Sub(c.State.Running.StartedAt.Time).Round(time.Second))
}

// waiting says why the kubelet cannot start a container.
func (s *Snapshot) waiting(p *corev1.Pod, c *corev1.ContainerStatus, w *corev1.ContainerStateWaiting) *finding {
	fact := fmt.Sprintf("container %s waits, %s: %s", c.Name, w.Reason, words(w.Message))
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed":
		said := w.Message
		if w.Reason == "ImagePullBackOff" { // it only says when it tries again; the event says why it failed
			if _, cause, ok := strings.Cut(w.Message, "ErrImagePull: "); ok {
				said = cause
			} else if e := s.event("Pod", p.Name, "Failed"); e != nil && strings.Contains(e.Message, "pull") {
				said = e.Message
			}
		}
		return found(severityPerson, "ImagePullFailed", fact, p, "Image %q of pod %q cannot be pulled: %s", c.Image, p.Name, words(orDefault(said, w.Reason)))
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return found(severityPerson, "ContainerConfigFailed", fact, p, "The kubelet cannot create the container of pod %q: %s", p.Name, words(orDefault(w.Message, w.Reason)))
	}
	return nil
}

// ended explains the server's end. It ends with status 1 and one sentence when it cannot serve its model.
func (s *Snapshot) ended(p *corev1.Pod, c *corev1.ContainerStatus, end *corev1.ContainerStateTerminated) *finding {
	last := lastLine(orDefault(end.Message, s.LastLines[p.Name]))
	fact := fmt.Sprintf("container %s ended with status %d (%s), %s", c.Name, end.ExitCode, orDefault(end.Reason, "no reason"), plural(int(c.RestartCount), "restart", "restarts"))
	severity := severityCluster
	if c.RestartCount >= manyRestarts || (c.State.Waiting != nil && c.State.Waiting.Reason == "CrashLoopBackOff") {
		severity = severityPerson
	}
	if e := s.event("Pod", p.Name, "Killing"); e != nil && strings.Contains(e.Message, "probe") && !end.FinishedAt.Time.Before(EventTime(e).Add(-2*time.Second)) {
		why := ""
		if u := s.event("Pod", p.Name, "Unhealthy"); u != nil {
			why = ": " + words(u.Message)
		}
		return found(severity, "ProbeFailing", fact, p, "The kubelet restarts the server of pod %q because its probe fails%s", p.Name, why)
	}
	switch {
	case end.Reason == "OOMKilled":
		limit := "the memory that its node had left"
		if i := slices.IndexFunc(p.Spec.Containers, func(x corev1.Container) bool { return x.Name == c.Name }); i >= 0 {
			if q, ok := p.Spec.Containers[i].Resources.Limits[corev1.ResourceMemory]; ok {
				limit = "its limit of " + q.String()
			}
		}
		return found(severity, "OutOfMemory", fact, p, "The server in pod %q used more memory than %s and was killed, %s so far", p.Name, limit, plural(int(c.RestartCount), "restart", "restarts")).
			advise("raise spec.resources.limits.memory, or lower spec.engine.contextLength")
	case end.ExitCode == 1 && strings.TrimSpace(end.Message) != "":
		return found(severityPerson, "ModelLoadFailed", fact, p, "The server in pod %q cannot load the model: %s", p.Name, last)
	case end.ExitCode == 0 && severity != severityPerson:
		return found(severityTime, "Restarting", fact, p, "The server in pod %q ended and is being started again", p.Name)
	}
	text := fmt.Sprintf("The server in pod %q keeps ending with status %d, %s so far", p.Name, end.ExitCode, plural(int(c.RestartCount), "restart", "restarts"))
	if severity != severityPerson {
		text = fmt.Sprintf("The server in pod %q ended with status %d and is being started again", p.Name, end.ExitCode)
	}
	if last != "" {
		text += ", and its last words are: " + last
	}
	return found(severity, "CrashLooping", fact, p, "%s", text)
}

// probes tells a server that fails its probes from one that has not finished loading.
func (s *Snapshot) probes(p *corev1.Pod, c *corev1.ContainerStatus) *finding {
	e := s.event("Pod", p.Name, "Unhealthy")
	if e == nil || c.Started == nil || !*c.Started || EventTime(e).Before(c.State.Running.StartedAt.Time) {
		return nil
	}
	return found(severityCluster, "ProbeFailing", fmt.Sprintf("%s: %s", e.Reason, words(e.Message)), p, "The server in pod %q runs but fails its probe: %s", p.Name, words(e.Message))
}

// preparing explains a pod that has its node but no running container yet.
func (s *Snapshot) preparing(p *corev1.Pod) *finding {
	if e := s.event("Pod", p.Name, "FailedMount", "FailedAttachVolume", "FailedMapVolume"); e != nil {
		return found(severityCluster, "VolumeFailed", e.Reason, p, "A volume of pod %q cannot be mounted: %s", p.Name, words(e.Message))
	}
	if e := s.event("Pod", p.Name, "FailedCreatePodSandBox"); e != nil {
		return found(severityCluster, "SandboxFailed", e.Reason, p, "The node cannot set up pod %q: %s", p.Name, words(e.Message))
	}
	if e := s.event("Pod", p.Name, "Pulling", "Pulled"); e != nil && e.Reason == "Pulling" {
		return found(severityTime, "PullingImage", "Pulling", p, "The image of pod %q is being pulled for %s so far", p.Name, s.Now.Sub(EventTime(e)).Round(time.Second))
	}
	return found(severityTime, "PodsStarting", "phase "+string(p.Status.Phase), p, "Pod %q waits for its image and volumes", p.Name)
}
