package weights

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// probeSuffix makes a name that no Deployment of a model has.
const probeSuffix = "-image-probe"

// checkImages finds out, once, whether the cluster mounts images as volumes. One that has the feature switched off takes a
// Deployment without a word, and leaves the volume and its mount out: pods would find no weights, and the Deployment
// would never be what was applied. So one is created that nobody will see, by a dry run.
func (k *Keeper) checkImages(ctx context.Context, m *v1alpha1.GptOssModel) (*State, error) {
	if k.images.Load() {
		return nil, nil
	}
	probe, err := resources.Deployment(m, k.Image)
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	probe.Name += probeSuffix
	probe.OwnerReferences = nil
	if err := k.Client.Create(ctx, probe, client.DryRunAll); err != nil {
		log.FromContext(ctx).V(1).Info("not known whether images are mounted", "error", err.Error())
		return nil, nil // a quota or a policy, perhaps: what is wrong shows when the Deployment itself is written
	}
	if slices.ContainsFunc(probe.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.Image != nil }) {
		k.images.Store(true)
		return nil, nil
	}
	return &State{
		Reason: v1alpha1.ReasonImageVolumeUnsupported, Stalled: true, Retry: retryAfter,
		Message: "this cluster does not mount images as volumes: model.source.image takes Kubernetes 1.35, or 1.31 with the feature gate " +
			"ImageVolume on; put the weights into a volume (persistentVolumeClaim), or let them be downloaded (huggingFace, http)",
	}, nil
}
