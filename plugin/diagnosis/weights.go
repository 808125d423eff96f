package diagnosis

import (
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func claims(s *Snapshot) *Diagnosis {
	if !s.saw(KindClaims) {
		return nil
	}
	for _, name := range ClaimNames(s.Model, s.Deployment, s.Jobs) {
		i := slices.IndexFunc(s.Claims, func(c corev1.PersistentVolumeClaim) bool { return c.Name == name })
		if i < 0 {
			by := "the model's pods need it"
			if pvc := s.Model.Spec.Model.Source.PersistentVolumeClaim; pvc != nil && pvc.ClaimName == name {
				by = "spec.model.source.persistentVolumeClaim names it"
			}
			return &Diagnosis{
				Reason:   "ClaimNotFound",
				Sentence: fmt.Sprintf("PersistentVolumeClaim %q does not exist in namespace %q, and %s.", name, s.Model.Namespace, by),
			}
		}
		if d := unbound(s, &s.Claims[i]); d != nil {
			return d
		}
	}
	return nil
}

// unbound explains a claim without a volume. One that waits for its first pod is as it should be: then the pod is the matter.
func unbound(s *Snapshot, c *corev1.PersistentVolumeClaim) *Diagnosis {
	class := "the default StorageClass"
	if c.Spec.StorageClassName != nil {
		class = fmt.Sprintf("StorageClass %q", *c.Spec.StorageClassName)
	}
	d := &Diagnosis{Reason: "ClaimNotBound", Evidence: []Evidence{{object("PersistentVolumeClaim", c.Name), fmt.Sprintf("phase %s, %s", c.Status.Phase, class)}}}
	if c.Status.Phase == corev1.ClaimLost {
		d.Sentence = fmt.Sprintf("PersistentVolumeClaim %q has lost its volume %q.", c.Name, c.Spec.VolumeName)
		return d
	}
	if c.Status.Phase == corev1.ClaimBound {
		return nil
	}
	if e := s.event("PersistentVolumeClaim", c.Name, "ProvisioningFailed", "FailedBinding"); e != nil {
		d.Sentence = fmt.Sprintf("PersistentVolumeClaim %q is not bound to a volume (%s): %s.", c.Name, class, words(e.Message))
		return d
	}
	if s.event("PersistentVolumeClaim", c.Name, "WaitForFirstConsumer", "WaitForPodScheduled") != nil {
		return nil
	}
	if s.Now.Sub(c.CreationTimestamp.Time) < patience {
		return nil
	}
	d.Sentence = fmt.Sprintf("PersistentVolumeClaim %q is not bound to a volume, and nobody has said why (%s).", c.Name, class)
	return d
}

// downloads explains weights that are not there yet.
func downloads(s *Snapshot) *Diagnosis {
	for i := range s.Jobs {
		job := &s.Jobs[i]
		if job.Labels["app.kubernetes.io/component"] == "clean" || jobCondition(job, batchv1.JobComplete) != nil || job.Status.Succeeded > 0 {
			continue
		}
		of := slices.DeleteFunc(slices.Clone(s.JobPods), func(p corev1.Pod) bool { return !metav1.IsControlledBy(&p, job) })
		fact := Evidence{object("Job", job.Name), fmt.Sprintf("%d active, %d failed", job.Status.Active, job.Status.Failed)}
		last := failure(of)
		if c := jobCondition(job, batchv1.JobFailed); c != nil {
			return &Diagnosis{Reason: "DownloadFailed", Sentence: fmt.Sprintf("The download of the weights has failed: %s.", orDefault(last, words(c.Message))), Evidence: []Evidence{fact}}
		}
		if worst := worstOf(s, of); worst != nil && worst.severity < severityTime {
			worst.Sentence = "The download of the weights cannot go on: " + worst.Sentence
			return &worst.Diagnosis
		}
		if e := s.event("Job", job.Name, "FailedCreate"); e != nil && len(of) == 0 {
			return &Diagnosis{Reason: "PodsRefused", Sentence: fmt.Sprintf("The API server refuses to create the pod that downloads the weights: %s.", words(e.Message)), Evidence: []Evidence{fact}}
		}
		if job.Status.Failed > 0 && last != "" {
			return &Diagnosis{
				Reason: "DownloadFailing", Evidence: []Evidence{fact},
				Sentence: fmt.Sprintf("The download of the weights fails and is being tried again, after %s: %s.", plural(int(job.Status.Failed), "failure", "failures"), last),
			}
		}
		return &Diagnosis{Reason: "DownloadingWeights", Sentence: "The weights are being downloaded" + progress(s) + ".", Evidence: []Evidence{fact}}
	}
	return nil
}

// progress is what the operator says about a download under way.
func progress(s *Snapshot) string {
	if c := current(s.Model); c != nil && strings.Contains(c.Reason, "Download") && c.Message != "" {
		return ": " + words(c.Message)
	}
	return ""
}

func jobCondition(job *batchv1.Job, kind batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range job.Status.Conditions {
		if c := &job.Status.Conditions[i]; c.Type == kind && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// failure is the last sentence of the pod that failed last.
func failure(pods []corev1.Pod) string {
	var at time.Time
	text := ""
	for i := range pods {
		for _, c := range pods[i].Status.ContainerStatuses {
			for _, end := range []*corev1.ContainerStateTerminated{c.State.Terminated, c.LastTerminationState.Terminated} {
				if end != nil && end.ExitCode != 0 && !end.FinishedAt.Time.Before(at) {
					at, text = end.FinishedAt.Time, orDefault(lastLine(end.Message), fmt.Sprintf("exit status %d", end.ExitCode))
				}
			}
		}
	}
	return text
}
