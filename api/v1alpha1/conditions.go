package v1alpha1

// Condition types of a GptOssModel. Ready, Reconciling and Stalled follow kstatus, which kubectl wait, Flux and Argo CD
// read; the others say which part is concerned.
const (
	// ConditionReady is True when every pod that serves runs the present generation and as many are ready as shall be.
	ConditionReady = "Ready"

	// ConditionReconciling is True, and otherwise absent, while the operator or the cluster still works towards the spec.
	ConditionReconciling = "Reconciling"

	// ConditionStalled is True, and otherwise absent, when nothing gets better until a person changes something.
	ConditionStalled = "Stalled"

	// ConditionModelAvailable is True when a pod of the present generation has loaded the model.
	ConditionModelAvailable = "ModelAvailable"

	// ConditionWorkloadAvailable is True when at least one pod, of whatever generation, answers clients.
	ConditionWorkloadAvailable = "WorkloadAvailable"

	// ConditionAutoscalingActive is True when the HorizontalPodAutoscaler reads its metric.
	ConditionAutoscalingActive = "AutoscalingActive"
)

// Reasons of Ready=True.
const (
	// ReasonReady: every pod serves the present generation.
	ReasonReady = "Ready"

	// ReasonScaledToZero: spec.replicas is 0, and no pod is left.
	ReasonScaledToZero = "ScaledToZero"
)

// Reasons of Reconciling: it will pass by itself. Ready=False carries the same reason.
const (
	// ReasonProgressing: pods are being created, or replaced by those of a new generation.
	ReasonProgressing = "Progressing"

	// ReasonPodsStarting: pods are placed on a node, and their image or volumes are being prepared.
	ReasonPodsStarting = "PodsStarting"

	// ReasonVolumeMountFailed: a pod waits for its volumes, and the kubelet says why.
	ReasonVolumeMountFailed = "VolumeMountFailed"

	// ReasonPullingImage: a pod's node and volumes are ready, and the kubelet pulls the image.
	ReasonPullingImage = "PullingImage"

	// ReasonLoadingWeights: the server runs and reads the weights.
	ReasonLoadingWeights = "LoadingWeights"

	// ReasonEvictedPods: a node ran short of something and its kubelet ended pods; they are replaced.
	ReasonEvictedPods = "EvictedPods"

	// ReasonPodsFailed: a kubelet did not take pods, or ended them; they are replaced.
	ReasonPodsFailed = "PodsFailed"

	// ReasonOldPodsServing: new pods are ready, but pods of an earlier generation still answer clients.
	ReasonOldPodsServing = "OldPodsServing"

	// ReasonWaitingForCapacity: the scheduler finds no node; the message holds its words.
	ReasonWaitingForCapacity = "WaitingForCapacity"

	// ReasonApplyFailed: the API server did not take a write; the operator tries again.
	ReasonApplyFailed = "ApplyFailed"

	// ReasonDownloadingWeights: the weights are on their way into the model's volume; the message says how far they are.
	ReasonDownloadingWeights = "DownloadingWeights"
)

// Reasons of Stalled: a person must change something. Ready=False carries the same reason.
const (
	// ReasonSecretNotFound: a Secret that spec names does not exist. The operator goes on when it appears.
	ReasonSecretNotFound = "SecretNotFound"

	// ReasonSecretKeyNotFound: the Secret exists, but lacks the entry that spec names, or it is empty.
	ReasonSecretKeyNotFound = "SecretKeyNotFound"

	// ReasonNameConflict: an object that the operator would make exists and belongs to somebody else. It is left alone.
	ReasonNameConflict = "NameConflict"

	// ReasonApplyRejected: the API server refuses what the spec leads to as invalid.
	ReasonApplyRejected = "ApplyRejected"

	// ReasonPodsRefused: the cluster refuses to create pods, for example for Pod Security.
	ReasonPodsRefused = "PodsRefused"

	// ReasonModelLoadFailed: the server cannot load the model; the message is its own sentence.
	ReasonModelLoadFailed = "ModelLoadFailed"

	// ReasonOOMKilled: the kernel killed the server for using more memory than its limit.
	ReasonOOMKilled = "OOMKilled"

	// ReasonProbeFailing: the server runs, but does not answer its probes as it should.
	ReasonProbeFailing = "ProbeFailing"

	// ReasonQuotaExceeded: a ResourceQuota of the namespace leaves no room for the pods.
	ReasonQuotaExceeded = "QuotaExceeded"

	// ReasonResourcesTooSmall: spec.resources cannot hold the model.
	ReasonResourcesTooSmall = "ResourcesTooSmall"

	// ReasonPodTemplateInvalid: spec.podTemplate does not fit over the pod template.
	ReasonPodTemplateInvalid = "PodTemplateInvalid"

	// ReasonRuntimeUnsupported: the runtime cannot do what another part of the spec asks for.
	ReasonRuntimeUnsupported = "RuntimeUnsupported"

	// ReasonCrashLooping: the server keeps exiting.
	ReasonCrashLooping = "CrashLooping"

	// ReasonImagePullFailed: the kubelet cannot pull the server's image.
	ReasonImagePullFailed = "ImagePullFailed"

	// ReasonContainerConfigFailed: the kubelet cannot create the container.
	ReasonContainerConfigFailed = "ContainerConfigFailed"

	// ReasonRolloutTimedOut: the pods did not become ready within the time that loading the model may take.
	ReasonRolloutTimedOut = "RolloutTimedOut"
)

// Reasons of Stalled that sources have. Where a download can get better without a change of the spec it is tried again,
// the more seldom the longer it fails.
const (
	// ReasonPersistentVolumeClaimNotFound: the claim that the source names does not exist. The operator goes on when it appears.
	ReasonPersistentVolumeClaimNotFound = "PersistentVolumeClaimNotFound"

	// ReasonImageVolumeUnsupported: the cluster cannot mount images as volumes.
	ReasonImageVolumeUnsupported = "ImageVolumeUnsupported"

	// ReasonDownloadFailed: the source cannot be reached, or the download breaks off; the message is its own sentence. It is
	// also a reason of Reconciling, while the next try is near.
	ReasonDownloadFailed = "DownloadFailed"

	// ReasonDownloadRefused: the source wants a token, or another one, or a licence to be accepted.
	ReasonDownloadRefused = "DownloadRefused"

	// ReasonModelNotFound: the source has no such repository, revision or file, or nothing in it is a model.
	ReasonModelNotFound = "ModelNotFound"

	// ReasonDigestMismatch: what came is not what was announced. It was removed, and is not downloaded again by itself.
	ReasonDigestMismatch = "DigestMismatch"

	// ReasonCacheFull: the volume has no room for the weights.
	ReasonCacheFull = "CacheFull"
)

// Reasons of ModelAvailable and WorkloadAvailable, beside those above.
const (
	// ReasonModelLoaded: a pod of the present generation has loaded the model.
	ReasonModelLoaded = "ModelLoaded"

	// ReasonPodsServing: at least one pod answers clients.
	ReasonPodsServing = "PodsServing"

	// ReasonNoPodReady: no pod answers clients.
	ReasonNoPodReady = "NoPodReady"
)

// Reasons of AutoscalingActive.
const (
	// ReasonAutoscalingOff: spec.autoscaling is not set.
	ReasonAutoscalingOff = "AutoscalingOff"

	// ReasonMetricAvailable: the HorizontalPodAutoscaler reads its metric.
	ReasonMetricAvailable = "MetricAvailable"

	// ReasonMetricUnavailable: it does not; the message holds its words. The number of pods stays as it is.
	ReasonMetricUnavailable = "MetricUnavailable"

	// ReasonAutoscalerPending: the HorizontalPodAutoscaler has not reported yet.
	ReasonAutoscalerPending = "AutoscalerPending"

	// ReasonMetricFromOthers: it reads its metric from somebody else's custom metrics API, such as prometheus-adapter.
	ReasonMetricFromOthers = "MetricFromOthers"

	// ReasonMetricsAPITaken: somebody else owns custom.metrics.k8s.io and does not serve the metric. The operator never
	// takes it over; the message names the owner and says what to do.
	ReasonMetricsAPITaken = "MetricsAPITaken"

	// ReasonMetricsAPIOff: the operator is told not to serve the metric, and nobody else does.
	ReasonMetricsAPIOff = "MetricsAPIOff"

	// ReasonMetricsAPIRefused: the API server does not let the operator register its metrics API.
	ReasonMetricsAPIRefused = "MetricsAPIRefused"

	// ReasonOtherAutoscaler: a HorizontalPodAutoscaler that somebody else made scales the same pods. It is left alone.
	ReasonOtherAutoscaler = "OtherAutoscaler"
)

// ConditionOptionalAPIsAvailable is True when the cluster serves every API that a field of the spec asks for, False when
// it lacks one, and absent when none is asked for. Ready does not depend on it.
const ConditionOptionalAPIsAvailable = "OptionalAPIsAvailable"

// Reasons of OptionalAPIsAvailable.
const (
	// ReasonAPIsFound: the cluster serves them all.
	ReasonAPIsFound = "APIsFound"

	// ReasonAPINotFound: the message names the field and the API. The operator goes on when the API appears.
	ReasonAPINotFound = "APINotFound"
)
