package weights

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
	"github.com/gptoss/gptoss-operator/server/options"
)

// retryAfter is when a download that has failed for good, the tries of its Job included, is begun anew.
const retryAfter = 10 * time.Minute

// download is what there is of one.
type download struct {
	model     *v1alpha1.GptOssModel
	situation resources.Situation
	live      *batchv1.Job // nil when there is none
	pods      []corev1.Pod // of the Job, the newest last
}

// find reads the Job and its pods.
func (k *Keeper) find(ctx context.Context, d *download) error {
	named, err := resources.Download(d.model, k.Image, d.situation)
	if err != nil {
		return err
	}
	if d.live, err = k.FindJob(ctx, d.model, named); err != nil || d.live == nil {
		return err
	}
	var pods corev1.PodList
	if err := k.Client.List(ctx, &pods, client.InNamespace(d.model.Namespace), client.MatchingLabels(resources.JobLabels(d.model))); err != nil {
		return fmt.Errorf("weights: list pods: %w", err)
	}
	d.pods = slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool { return !metav1.IsControlledBy(&pod, d.live) })
	slices.SortFunc(d.pods, func(a, b corev1.Pod) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return nil
}

// follow makes the Job, puts it right or gives it up, and says how it is.
func (k *Keeper) follow(ctx context.Context, d *download) (*State, error) {
	version, state, err := k.tokenVersion(ctx, d.model)
	if state != nil || err != nil {
		return state, err
	}
	d.situation.TokenVersion = version
	desired, err := resources.Download(d.model, k.Image, d.situation)
	switch {
	case err != nil:
		return nil, err
	case d.live == nil:
		return waiting("the download is being started"), k.CreateJob(ctx, d.model, desired)
	case d.live.DeletionTimestamp != nil:
		return waiting("an earlier download is being stopped"), nil
	case d.live.Annotations[resources.AnnotationRecipe] != desired.Annotations[resources.AnnotationRecipe]:
		// Another token, volume or setting: the Job cannot be changed, and what has come already is kept.
		return waiting("the download is begun anew"), k.remove(ctx, d.live)
	}
	if failure := jobCondition(d.live, batchv1.JobFailed); failure.Status == corev1.ConditionTrue {
		state := d.failed(failure)
		if state.Retry == 0 {
			return state, nil
		}
		if state.Retry -= k.now().Sub(failure.LastTransitionTime.Time); state.Retry <= 0 {
			return waiting("the download is tried again"), k.remove(ctx, d.live)
		}
		return state, nil
	}
	if err := k.repair(ctx, d.live, desired); err != nil {
		return nil, err
	}
	return k.watch(ctx, d), nil
}

// repair undoes changes of what can be changed in a Job.
func (k *Keeper) repair(ctx context.Context, live, desired *batchv1.Job) error {
	right := live.DeepCopy()
	if right.Labels == nil {
		right.Labels = map[string]string{}
	}
	maps.Copy(right.Labels, desired.Labels)
	right.Spec.Suspend, right.Spec.Parallelism, right.Spec.BackoffLimit = desired.Spec.Suspend, desired.Spec.Parallelism, desired.Spec.BackoffLimit
	right.Spec.ActiveDeadlineSeconds, right.Spec.TTLSecondsAfterFinished = desired.Spec.ActiveDeadlineSeconds, desired.Spec.TTLSecondsAfterFinished
	if equality.Semantic.DeepEqual(live, right) {
		return nil
	}
	if err := k.Client.Patch(ctx, right, client.MergeFromWithOptions(live, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("weights: repair Job %q: %w", live.Name, err)
	}
	return nil
}

// reasons are what the exit statuses of a download mean. What is seldom right again without a change of the spec, and costs
// a whole download to find out, is not tried again.
var reasons = map[int32]struct {
	reason string
	retry  time.Duration
}{
	options.CacheFailed:   {v1alpha1.ReasonDownloadFailed, retryAfter},
	options.CacheUsage:    {v1alpha1.ReasonDownloadFailed, 0},
	options.CacheRefused:  {v1alpha1.ReasonDownloadRefused, retryAfter},
	options.CacheNotFound: {v1alpha1.ReasonModelNotFound, retryAfter},
	options.CacheMismatch: {v1alpha1.ReasonDigestMismatch, 0},
	options.CacheFull:     {v1alpha1.ReasonCacheFull, retryAfter},
	options.CacheUnusable: {v1alpha1.ReasonModelLoadFailed, 0},
}

// failed explains a Job that has given up, in the words of the last pod that ended.
func (d *download) failed(c batchv1.JobCondition) *State {
	s := &State{Reason: v1alpha1.ReasonDownloadFailed, Message: shorten("the download failed: " + c.Message), Stalled: true, Retry: retryAfter}
	if ended := d.ended(); ended != nil {
		s.Message = sentence(ended)
		if r, known := reasons[ended.ExitCode]; known {
			s.Reason, s.Retry = r.reason, r.retry
		}
	}
	if s.Retry == 0 {
		s.Message += fmt.Sprintf("; it is not tried again before model.source changes, or Job %q is deleted", d.live.Name)
	}
	return s
}

// ended is how the newest pod that has ended did so, or nil.
func (d *download) ended() *corev1.ContainerStateTerminated {
	for _, pod := range slices.Backward(d.pods) {
		for _, status := range pod.Status.ContainerStatuses {
			if status.Name == resources.DownloadContainer && status.State.Terminated != nil {
				return status.State.Terminated
			}
		}
	}
	return nil
}

func sentence(ended *corev1.ContainerStateTerminated) string {
	if message := strings.TrimSpace(ended.Message); message != "" {
		return shorten(message)
	}
	return shorten(fmt.Sprintf("the download exited with status %d (%s)", ended.ExitCode, ended.Reason))
}

// watch says how a Job that runs is.
func (k *Keeper) watch(ctx context.Context, d *download) *State {
	var last *corev1.Pod
	if len(d.pods) > 0 {
		last = &d.pods[len(d.pods)-1]
	}
	switch {
	case last != nil && last.Status.Phase == corev1.PodRunning:
		at := k.progress(ctx, client.ObjectKeyFromObject(d.model), last)
		return &State{Reason: v1alpha1.ReasonDownloadingWeights, Message: describe(d.model, at), Retry: patience(at, k.Interval), Download: status(at)}
	case last != nil && last.Status.Phase == corev1.PodPending:
		if s := podTrouble(last); s != nil {
			return s
		}
	}
	if ended := d.ended(); ended != nil && ended.ExitCode != 0 {
		return &State{Reason: v1alpha1.ReasonDownloadFailed, Message: sentence(ended) + "; it is tried again"}
	}
	return waiting("the download's pod waits for its node, image and volume")
}

// podTrouble says what keeps a pod from starting; nil when it only takes time.
func podTrouble(pod *corev1.Pod) *State {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return &State{Reason: v1alpha1.ReasonWaitingForCapacity, Message: shorten("the download's pod: " + c.Message)}
		}
	}
	for _, status := range pod.Status.ContainerStatuses {
		w := status.State.Waiting
		if w == nil {
			continue
		}
		switch w.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull":
			// The rest of the message comes and goes with the kubelet's back-off.
			return &State{Reason: v1alpha1.ReasonImagePullFailed, Message: fmt.Sprintf("the download's image %q cannot be pulled", status.Image), Stalled: true}
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			return &State{Reason: v1alpha1.ReasonContainerConfigFailed, Message: shorten("the download's pod: " + w.Message), Stalled: true}
		}
	}
	return nil
}

func jobCondition(job *batchv1.Job, kind batchv1.JobConditionType) batchv1.JobCondition {
	for _, c := range job.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return batchv1.JobCondition{}
}

func complete(job *batchv1.Job) bool {
	return job != nil && jobCondition(job, batchv1.JobComplete).Status == corev1.ConditionTrue
}

func finished(job *batchv1.Job) bool {
	return complete(job) || jobCondition(job, batchv1.JobFailed).Status == corev1.ConditionTrue
}
