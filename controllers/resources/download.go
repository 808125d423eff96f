package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/server/options"
)

const (
	// DownloadContainer is the name of the container of a download.
	DownloadContainer = "download"

	// ProgressPort is the name of the port where it answers how far it is.
	ProgressPort = "progress"

	// LabelWeights on Jobs and their pods is the folder that they fill, or keep.
	LabelWeights = "gptoss.dev/weights"

	// AnnotationRecipe on Jobs is a hash of what they download, and with which token.
	AnnotationRecipe = "gptoss.dev/recipe"

	// AnnotationClaim on Jobs is the unique id of the claim whose volume they filled: one of the same name is another.
	AnnotationClaim = "gptoss.dev/claim"

	downloadName      = "gptoss-download" // no pod of the server's, and none of its Service's
	componentDownload = "download"
	componentClean    = "clean"
	componentWeights  = "weights"

	progressPort = 8080

	// serverGroup is the group of the image's user. Volumes are made writable for it where their driver can do that.
	serverGroup = 65532

	// downloadTries is how often the Job itself tries again, waiting from 10 seconds up to 6 minutes between.
	downloadTries = 6
	cleanTries    = 3
	// cleanTTL is how long the log of a clean-up can be read.
	cleanTTL = 600

	// cacheMargin, in percent, is for file systems and for what else lies beside weights.
	cacheMargin = 10
	gibibyte    = 1 << 30
)

// Requests of a download that runs beside pods of the model.
var (
	downloadCPU    = resource.MustParse("250m")
	downloadMemory = resource.MustParse("512Mi")
)

// CacheClaim is the volume for downloaded weights. With an owner it goes when the model goes.
func CacheClaim(m *v1alpha1.GptOssModel) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: objectMeta(m, m.CacheClaim()),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: m.CacheAccessModes(),
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: cacheSize(m)}},
		},
	}
	c.Labels[LabelComponent] = componentWeights
	if m.KeepsCache() {
		c.OwnerReferences = nil
	}
	if m.Spec.Model.Cache != nil {
		c.Spec.StorageClassName = m.Spec.Model.Cache.StorageClassName
	}
	return c
}

// IsCacheClaim reports whether a claim without an owner was made for this model, or for one of its name that is gone.
func IsCacheClaim(m *v1alpha1.GptOssModel, labels map[string]string) bool {
	return labels[LabelManagedBy] == ManagedBy && labels[LabelInstance] == m.Name && labels[LabelComponent] == componentWeights
}

// cacheSize is what the user says, or room for what pods run on, and beside it for a download and what it is packed into.
func cacheSize(m *v1alpha1.GptOssModel) resource.Quantity {
	if c := m.Spec.Model.Cache; c != nil && c.Size != nil {
		return *c.Size
	}
	c := modelConfig(m)
	bytes := c.CheckpointBytes() + 2*c.Memory(model.Serving{}).Weights
	bytes += bytes / 100 * cacheMargin
	return *resource.NewQuantity((bytes+gibibyte-1)/gibibyte*gibibyte, resource.BinarySI)
}

// Situation is what a download depends on beside the model.
type Situation struct {
	// TokenVersion is that of the Secret with the token, Claim the unique id of the volume's claim.
	TokenVersion, Claim string
	// Keep are the folders that pods run on.
	Keep []string
	// Fresh: the volume is bound to no node or zone yet.
	Fresh bool
}

// Download is the Job that makes the volume hold the weights. It is written once: what depends on the situation does not
// change while it runs.
func Download(m *v1alpha1.GptOssModel, image string, s Situation) (*batchv1.Job, error) {
	o := options.Cache{
		Root: modelsDir, Folder: WeightsFolder(m), File: packedFile(m),
		ProgressAddress: fmt.Sprintf(":%d", progressPort), TerminationLog: terminationLog,
	}
	if hub := m.Spec.Model.Source.HuggingFace; hub != nil {
		o.Source, o.Revision, o.Endpoint = hub.Repo, hub.Revision, hub.Endpoint
	}
	if http := m.Spec.Model.Source.HTTP; http != nil {
		o.Source, o.SHA256 = http.URL, http.SHA256
	}
	name, entry := m.Spec.Model.Source.Token()
	size := cacheSize(m)
	recipe, err := recipe(o, name, entry, s.TokenVersion, s.Claim, size.String())
	if err != nil {
		return nil, err
	}
	o.Keep = s.Keep
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("resources: options of the download: %w", err)
	}
	job := cacheJob(m, image, o.Folder, componentDownload, o)
	job.Annotations = map[string]string{AnnotationRecipe: recipe, AnnotationClaim: s.Claim}
	job.Spec.BackoffLimit = new(int32(downloadTries))
	job.Spec.PodFailurePolicy = downloadFailures()
	c := &job.Spec.Template.Spec.Containers[0]
	c.Ports = []corev1.ContainerPort{{Name: ProgressPort, ContainerPort: progressPort, Protocol: corev1.ProtocolTCP}}
	if s.Fresh {
		// Many volumes live where their first pod was placed: that must be where the model has room.
		plan := containerResources(m).Requests
		for _, kind := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if q, ok := plan[kind]; ok && q.Cmp(c.Resources.Requests[kind]) > 0 {
				c.Resources.Requests[kind] = q
			}
		}
	}
	if name != "" {
		c.Env = []corev1.EnvVar{{Name: options.CacheTokenVariable, ValueFrom: &corev1.EnvVarSource{
			SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: entry},
		}}}
	}
	return job, nil
}

// recipe tells downloads apart that must not go on as they were begun.
func recipe(o options.Cache, more ...string) (string, error) {
	text, err := json.Marshal([]any{o, more})
	if err != nil {
		return "", fmt.Errorf("resources: hash of download: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:5]), nil
}

// Clean is the Job that removes all weights from the volume but those that the model is served from.
func Clean(m *v1alpha1.GptOssModel, image string) *batchv1.Job {
	folder := WeightsFolder(m)
	job := cacheJob(m, image, folder, componentClean, options.Cache{Root: modelsDir, Keep: []string{folder}, TerminationLog: terminationLog})
	job.Spec.BackoffLimit = new(int32(cleanTries))
	job.Spec.TTLSecondsAfterFinished = new(int32(cleanTTL))
	return job
}

// IsDownload tells a download from a clean-up.
func IsDownload(job *batchv1.Job) bool { return job.Labels[LabelComponent] == componentDownload }

// JobLabels select the Jobs of a model.
func JobLabels(m *v1alpha1.GptOssModel) map[string]string {
	return map[string]string{LabelName: downloadName, LabelInstance: m.Name}
}

// cacheJob runs gptoss-server cache on the volume, within Pod Security "restricted".
func cacheJob(m *v1alpha1.GptOssModel, image, folder, component string, o options.Cache) *batchv1.Job {
	labels := Labels(m)
	maps.Copy(labels, JobLabels(m))
	labels[LabelComponent], labels[LabelWeights] = component, folder
	meta := objectMeta(m, m.Name+"-"+component+"-"+strings.TrimPrefix(folder, folderPrefix))
	meta.Labels = labels
	cpu, memory := downloadCPU, downloadMemory
	return &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: meta,
		Spec: batchv1.JobSpec{
			Completions:          new(int32(1)),
			Parallelism:          new(int32(1)),
			Suspend:              new(false),
			PodReplacementPolicy: new(batchv1.Failed), // never two that write
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(labels)},
				Spec: corev1.PodSpec{
					RestartPolicy:                corev1.RestartPolicyNever,
					AutomountServiceAccountToken: new(false),
					EnableServiceLinks:           new(false),
					Affinity:                     cacheAffinity(m),
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot:        new(true),
						FSGroup:             new(int64(serverGroup)),
						FSGroupChangePolicy: new(corev1.FSGroupChangeOnRootMismatch),
						SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Containers: []corev1.Container{{
						Name:                     DownloadContainer,
						Image:                    image,
						Args:                     append([]string{"cache"}, o.Args()...),
						Resources:                corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory}},
						TerminationMessagePath:   terminationLog,
						TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
						SecurityContext: &corev1.SecurityContext{
							AllowPrivilegeEscalation: new(false),
							ReadOnlyRootFilesystem:   new(true),
							RunAsNonRoot:             new(true),
							Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
							SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
						},
						VolumeMounts: []corev1.VolumeMount{{Name: modelVolume, MountPath: modelsDir}},
					}},
					Volumes: []corev1.Volume{{Name: modelVolume, VolumeSource: corev1.VolumeSource{
						PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: m.CacheClaim()},
					}}},
				},
			},
		},
	}
}

// downloadFailures ends a Job at once where another try would end in the same way, and does not count what was no failure.
func downloadFailures() *batchv1.PodFailurePolicy {
	return &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
		{
			Action: batchv1.PodFailurePolicyActionFailJob,
			OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
				ContainerName: new(DownloadContainer), Operator: batchv1.PodFailurePolicyOnExitCodesOpIn,
				Values: []int32{
					options.CacheUsage, options.CacheRefused, options.CacheNotFound, options.CacheMismatch, options.CacheFull, options.CacheUnusable,
				},
			},
		},
		{
			Action:          batchv1.PodFailurePolicyActionIgnore,
			OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
		},
	}}
}
