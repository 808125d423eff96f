package weights

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// jobs lists the Jobs of the model, downloads and clean-ups.
func (k *Keeper) jobs(ctx context.Context, m *v1alpha1.GptOssModel) ([]batchv1.Job, error) {
	var list batchv1.JobList
	if err := k.Client.List(ctx, &list, client.InNamespace(m.Namespace), client.MatchingLabels(resources.JobLabels(m))); err != nil {
		return nil, fmt.Errorf("weights: list Jobs: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(job batchv1.Job) bool { return !metav1.IsControlledBy(&job, m) }), nil
}

// clean removes from the volume what no pod runs on any more. Downloads of other folders tell that there is something; they
// go first, since they would be wrong from the moment in which the clean-up begins.
func (k *Keeper) clean(ctx context.Context, m *v1alpha1.GptOssModel, jobs []batchv1.Job, used []string) error {
	folder := resources.WeightsFolder(m)
	other := func(job *batchv1.Job) bool {
		return resources.IsDownload(job) && job.Labels[resources.LabelWeights] != folder
	}
	if !slices.Equal(used, []string{folder}) || !slices.ContainsFunc(jobs, func(job batchv1.Job) bool { return other(&job) }) {
		return nil
	}
	desired := resources.Clean(m, k.Image)
	before, err := k.FindJob(ctx, m, desired)
	if err != nil {
		return err
	}
	if before != nil && finished(before) { // of an earlier change: the name is taken until it is gone
		return k.remove(ctx, before)
	}
	if err := k.drop(ctx, jobs, other); err != nil || before != nil {
		return err
	}
	return k.CreateJob(ctx, m, desired)
}

// drop deletes some of the Jobs.
func (k *Keeper) drop(ctx context.Context, jobs []batchv1.Job, which func(*batchv1.Job) bool) error {
	for i := range jobs {
		if which(&jobs[i]) {
			if err := k.remove(ctx, &jobs[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove deletes a Job together with its pods.
func (k *Keeper) remove(ctx context.Context, job *batchv1.Job) error {
	if job.DeletionTimestamp != nil {
		return nil
	}
	err := k.Client.Delete(ctx, job, client.Preconditions{UID: new(job.UID)}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("weights: delete Job %q: %w", job.Name, err)
	}
	return nil
}
