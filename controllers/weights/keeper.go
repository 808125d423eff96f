package weights

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// State is what a model waits for.
type State struct {
	Reason, Message string
	Stalled         bool          // only a person, or another state of the source, changes it
	Retry           time.Duration // when to look again; 0 where a watch tells
	Download        *v1alpha1.DownloadStatus
}

// Keeper sees to the weights of models. All but Ask and Now must be set.
type Keeper struct {
	// Client reads from the cache and writes; Live reads from the API server; Names has the names of all claims.
	Client client.Client
	Live   client.Reader
	Names  client.Reader
	// Image is that of gptoss-server.
	Image string
	// Interval is the time between two questions how far a download is.
	Interval time.Duration
	// ApplyClaim makes a claim true; adjust completes what is desired with what only the live one knows.
	ApplyClaim func(ctx context.Context, m *v1alpha1.GptOssModel, desired *corev1.PersistentVolumeClaim, adjust func(live *corev1.PersistentVolumeClaim)) (*corev1.PersistentVolumeClaim, error)
	// FindJob reads the Job of desired's name, if there is one, and fails if it belongs to somebody else; CreateJob makes it.
	FindJob   func(ctx context.Context, m *v1alpha1.GptOssModel, desired *batchv1.Job) (live *batchv1.Job, err error)
	CreateJob func(ctx context.Context, m *v1alpha1.GptOssModel, desired *batchv1.Job) error
	// Ask gets the progress from a URL; nil means over HTTP.
	Ask Asker
	// Now is the time; nil means time.Now.
	Now func() time.Time

	answers answers
	images  atomic.Bool // the cluster has shown that it mounts images
}

// Ensure takes the next step towards the weights of the model. A nil State means that pods can be made.
func (k *Keeper) Ensure(ctx context.Context, m *v1alpha1.GptOssModel) (*State, error) {
	source := m.Spec.Model.Source
	if source.PersistentVolumeClaim != nil {
		if s, err := k.checkClaim(ctx, m.Namespace, source.PersistentVolumeClaim.ClaimName); s != nil || err != nil {
			return s, err
		}
	}
	if source.Image != nil {
		if s, err := k.checkImages(ctx, m); s != nil || err != nil {
			return s, err
		}
	}
	jobs, err := k.jobs(ctx, m)
	if err != nil {
		return nil, err
	}
	if !source.Downloaded() {
		return nil, k.drop(ctx, jobs, func(*batchv1.Job) bool { return true })
	}
	return k.ensureDownload(ctx, m, jobs)
}

// Forget drops what is remembered of a model that is gone.
func (k *Keeper) Forget(key client.ObjectKey) { k.answers.forget(key) }

// checkClaim looks for a claim of the user's: by its name alone, among the cached ones first.
func (k *Keeper) checkClaim(ctx context.Context, namespace, name string) (*State, error) {
	var err error
	for _, reader := range []client.Reader{k.Names, k.Live} {
		claim := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"}}
		if err = reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, claim); !apierrors.IsNotFound(err) {
			break
		}
	}
	if apierrors.IsNotFound(err) {
		return &State{
			Reason: v1alpha1.ReasonPersistentVolumeClaimNotFound, Stalled: true,
			Message: fmt.Sprintf("PersistentVolumeClaim %q, named by spec.model.source, does not exist in namespace %q", name, namespace),
		}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("weights: read PersistentVolumeClaim %q: %w", name, err)
	}
	return nil, nil
}

// ensureDownload sees to the claim, then to the Job.
func (k *Keeper) ensureDownload(ctx context.Context, m *v1alpha1.GptOssModel, jobs []batchv1.Job) (*State, error) {
	desired := resources.CacheClaim(m)
	claim, err := k.ApplyClaim(ctx, m, desired, func(live *corev1.PersistentVolumeClaim) { keepSize(m, desired, live) })
	if err != nil {
		return nil, err
	}
	folder := resources.WeightsFolder(m)
	used, running, err := k.folders(ctx, m)
	if err != nil {
		return nil, err
	}
	// What nobody waits for any more must not go on writing, nor a clean-up that would take the present folder away.
	superseded := func(job *batchv1.Job) bool { return job.Labels[resources.LabelWeights] != folder && !finished(job) }
	cleaning := slices.ContainsFunc(jobs, func(job batchv1.Job) bool { return !resources.IsDownload(&job) && superseded(&job) })
	if err := k.drop(ctx, jobs, superseded); err != nil || cleaning {
		return waiting("an earlier clean-up of the volume is being stopped"), err
	}
	d := &download{model: m, situation: resources.Situation{
		Keep: others(used, folder), Claim: string(claim.UID), Fresh: claim.Status.Phase != corev1.ClaimBound,
	}}
	if err := k.find(ctx, d); err != nil {
		return nil, err
	}
	if complete(d.live) && d.live.Annotations[resources.AnnotationClaim] == d.situation.Claim {
		return nil, k.clean(ctx, m, jobs, used)
	}
	state, err := k.follow(ctx, d)
	if running == folder {
		return nil, err // pods run on it already: whatever becomes of the record, they stay
	}
	return state, err
}

// keepSize leaves a volume as large as it is where the user says nothing, or less: none can shrink.
func keepSize(m *v1alpha1.GptOssModel, desired, live *corev1.PersistentVolumeClaim) {
	has := live.Spec.Resources.Requests[corev1.ResourceStorage]
	want := desired.Spec.Resources.Requests[corev1.ResourceStorage]
	if c := m.Spec.Model.Cache; c == nil || c.Size == nil || has.Cmp(want) > 0 {
		desired.Spec.Resources.Requests[corev1.ResourceStorage] = has
	}
}

// tokenVersion tells the states of the Secret with the token apart, or says what is wrong with it.
func (k *Keeper) tokenVersion(ctx context.Context, m *v1alpha1.GptOssModel) (string, *State, error) {
	name, entry := m.Spec.Model.Source.Token()
	if name == "" {
		return "", nil, nil
	}
	secret := &corev1.Secret{}
	err := k.Live.Get(ctx, client.ObjectKey{Namespace: m.Namespace, Name: name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return "", &State{
			Reason: v1alpha1.ReasonSecretNotFound, Stalled: true,
			Message: fmt.Sprintf("Secret %q, named by spec.model.source, does not exist in namespace %q", name, m.Namespace),
		}, nil
	case err != nil:
		return "", nil, fmt.Errorf("weights: read Secret %q: %w", name, err)
	case len(bytes.TrimSpace(secret.Data[entry])) == 0:
		return "", &State{
			Reason: v1alpha1.ReasonSecretKeyNotFound, Stalled: true,
			Message: fmt.Sprintf("Secret %q has no entry %q, or an empty one; spec.model.source names it", name, entry),
		}, nil
	}
	return secret.ResourceVersion, nil, nil
}

// folders returns those that pods run on, or will by the Deployment, and that of the Deployment.
func (k *Keeper) folders(ctx context.Context, m *v1alpha1.GptOssModel) (used []string, running string, err error) {
	d := &appsv1.Deployment{}
	if err := k.Client.Get(ctx, client.ObjectKeyFromObject(m), d); client.IgnoreNotFound(err) != nil {
		return nil, "", fmt.Errorf("weights: read Deployment: %w", err)
	}
	if metav1.IsControlledBy(d, m) {
		running = resources.FolderOf(&d.Spec.Template.Spec)
		used = append(used, running)
	}
	var pods corev1.PodList
	if err := k.Client.List(ctx, &pods, client.InNamespace(m.Namespace), client.MatchingLabels(resources.SelectorLabels(m))); err != nil {
		return nil, "", fmt.Errorf("weights: list pods: %w", err)
	}
	for i := range pods.Items {
		used = append(used, resources.FolderOf(&pods.Items[i].Spec))
	}
	slices.Sort(used)
	return slices.DeleteFunc(slices.Compact(used), func(f string) bool { return f == "" }), running, nil
}

// others returns the folders but one.
func others(folders []string, folder string) []string {
	return slices.DeleteFunc(slices.Clone(folders), func(f string) bool { return f == folder })
}

func waiting(message string) *State {
	return &State{Reason: v1alpha1.ReasonDownloadingWeights, Message: message}
}
