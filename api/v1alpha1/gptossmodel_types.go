package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// The name bound of 40 leaves room for every name derived from it: a Deployment's pods append 17 characters, the key
// Secret 8, and all of them as well as the instance label must stay within 63.

// GptOssModel is one gpt-oss model served with an OpenAI-compatible API: apply it, and the operator rolls out the pods,
// the Service, the API key and, where asked for, the autoscaler and the monitor.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:resource:path=gptossmodels,singular=gptossmodel,shortName=gom,categories=gptoss
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.replicas`
// +kubebuilder:printcolumn:name="Model",type=string,JSONPath=`.status.model`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.url`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 40",message="metadata.name must have at most 40 characters: the names of pods and Secrets are built from it"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must start with a letter and hold only lower-case letters, digits and '-': it is the name of the Service"
type GptOssModel struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the object's name, labels and the like.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what shall run.
	// +required
	Spec GptOssModelSpec `json:"spec"`

	// status says what runs. Only the operator writes it.
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status GptOssModelStatus `json:"status,omitempty"`
}

// GptOssModelList is a list of GptOssModel.
//
// +kubebuilder:object:root=true
type GptOssModelList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the objects.
	Items []GptOssModel `json:"items"`
}

// GptOssModelSpec says what shall run. Everything but the model's source has a default, and no default is ever written
// into the stored object, so that what GitOps tools compare stays what the user wrote.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.replicas) && has(self.autoscaling))",message="replicas and autoscaling exclude each other: remove replicas to let the autoscaler choose, or remove autoscaling to fix the number"
// +kubebuilder:validation:XValidation:rule="!(has(self.runtime) && has(self.runtime.type) && self.runtime.type != 'builtin' && has(self.model.source.demo))",message="model.source.demo is part of the built-in server: vllm and tgi need weights of their own"
// +kubebuilder:validation:XValidation:rule="(has(self.runtime) && has(self.runtime.type) && self.runtime.type != 'builtin') || !has(self.engine) || !(has(self.engine.gpuMemoryUtilization) || has(self.engine.enforceEager))",message="runtime builtin has no engine.gpuMemoryUtilization and no engine.enforceEager: it computes on CPUs"
// +kubebuilder:validation:XValidation:rule="!(has(self.runtime) && has(self.runtime.type) && self.runtime.type == 'vllm' && has(self.engine) && (has(self.engine.batchSize) || has(self.engine.batchTimeout) || has(self.engine.threads)))",message="runtime vllm has no engine.batchSize, engine.batchTimeout and engine.threads"
// +kubebuilder:validation:XValidation:rule="!(has(self.runtime) && has(self.runtime.type) && self.runtime.type == 'tgi' && has(self.engine) && (has(self.engine.batchTimeout) || has(self.engine.swapSpace) || has(self.engine.threads)))",message="runtime tgi has no engine.batchTimeout, engine.swapSpace and engine.threads"
// +kubebuilder:validation:XValidation:rule="!(has(self.runtime) && has(self.runtime.type) && self.runtime.type == 'vllm' && has(self.generation) && has(self.generation.reasoningLevel))",message="runtime vllm has no generation.reasoningLevel: clients say it with each request"
// +kubebuilder:validation:XValidation:rule="!(has(self.runtime) && has(self.runtime.type) && self.runtime.type == 'tgi' && has(self.generation) && (has(self.generation.reasoningLevel) || has(self.generation.temperature) || has(self.generation.topP)))",message="runtime tgi has no generation.reasoningLevel, generation.temperature and generation.topP: clients say them with each request"
type GptOssModelSpec struct {
	// model says which weights are served and under which name.
	// +required
	Model ModelSpec `json:"model"`

	// replicas is the fixed number of pods; 1 when neither replicas nor autoscaling is given. 0 pauses the model.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Replicas *int32 `json:"replicas,omitempty"`

	// autoscaling lets a HorizontalPodAutoscaler choose the number of pods by their active requests.
	// +optional
	Autoscaling *AutoscalingSpec `json:"autoscaling,omitempty"`

	// runtime says which program serves the model: the built-in server, vLLM or TGI.
	// +optional
	Runtime *RuntimeSpec `json:"runtime,omitempty"`

	// engine tunes the inference engine.
	// +optional
	Engine *EngineSpec `json:"engine,omitempty"`

	// generation holds the defaults for requests that do not say otherwise.
	// +optional
	Generation *GenerationSpec `json:"generation,omitempty"`

	// auth says who may call the model. Without it the operator generates one API key.
	// +optional
	Auth *AuthSpec `json:"auth,omitempty"`

	// monitoring says how the model's metrics are collected, watched and shown.
	// +optional
	Monitoring *MonitoringSpec `json:"monitoring,omitempty"`

	// expose says by which ways clients reach the model.
	// +optional
	Expose *ExposeSpec `json:"expose,omitempty"`

	// disruption says how many pods may be evicted at once.
	// +optional
	Disruption *DisruptionSpec `json:"disruption,omitempty"`

	// networkPolicy restricts who may call the model; {} lets in its own namespace.
	// +optional
	NetworkPolicy *NetworkPolicySpec `json:"networkPolicy,omitempty"`

	// resources overrides, resource by resource, what the operator computes from the model's memory plan.
	// +optional
	Resources *ResourcesSpec `json:"resources,omitempty"`

	// rollout says how pods are replaced when the spec changes.
	// +optional
	Rollout *RolloutSpec `json:"rollout,omitempty"`

	// podTemplate is a strategic merge patch over the pod template that the operator makes, such as
	// {spec: {nodeSelector: {gpu: a100}, containers: [{name: server, volumeMounts: […]}]}}. The server's container and the
	// operator's labels stay. A patch that does not fit is reported as PodTemplateInvalid.
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	PodTemplate *runtime.RawExtension `json:"podTemplate,omitempty"`
}

// ModelSpec says which weights are served and under which name.
//
// +kubebuilder:validation:XValidation:rule="!has(self.cache) || has(self.source.huggingFace) || has(self.source.http)",message="model.cache goes with a source that is downloaded: huggingFace or http"
type ModelSpec struct {
	// name is the model id that clients send. Default: "gpt-oss-demo" for the demo source, the last element of the name
	// of the repository, file or image, and for a volume the last element of its path, or the claim's name when the path
	// is empty. A known name (gpt-oss-20b, gpt-oss-120b) also selects the memory plan.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([A-Za-z0-9._/:-]*[A-Za-z0-9])?$`
	Name string `json:"name,omitempty"`

	// source says where the weights come from.
	// +required
	Source ModelSource `json:"source"`

	// cache is the volume that downloaded weights are kept in.
	// +optional
	Cache *CacheSpec `json:"cache,omitempty"`
}

// GenerationSpec holds the defaults for requests that do not say otherwise.
type GenerationSpec struct {
	// reasoningLevel is how long the model thinks before it answers. Default: medium.
	// +optional
	ReasoningLevel ReasoningLevel `json:"reasoningLevel,omitempty"`

	// maxTokens bounds the generated tokens. Default: 2048.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=131072
	MaxTokens *int32 `json:"maxTokens,omitempty"`

	// temperature is the randomness of sampling, from 0 (always the likeliest token) to 2. Default: 0.7.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2
	Temperature *Decimal `json:"temperature,omitempty"`

	// topP keeps the likeliest tokens whose probabilities sum to it, from 0 to 1. Default: 0.9.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	TopP *Decimal `json:"topP,omitempty"`
}

// ReasoningLevel is how long the model thinks before it answers.
//
// +kubebuilder:validation:Enum=low;medium;high
type ReasoningLevel string

// The reasoning levels of gpt-oss.
const (
	ReasoningLow    ReasoningLevel = "low"
	ReasoningMedium ReasoningLevel = "medium"
	ReasoningHigh   ReasoningLevel = "high"
)

// Decimal is a JSON number that keeps its text: users write temperature: 0.7, the schema bounds it as a number, and no
// binary float between reading and writing can turn it into 0.69999999.
//
// +kubebuilder:validation:Type=number
type Decimal string

// AutoscalingSpec lets a HorizontalPodAutoscaler choose the number of pods by their active requests.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",message="minReplicas must not be greater than maxReplicas"
type AutoscalingSpec struct {
	// minReplicas is the fewest pods. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the most pods.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxReplicas int32 `json:"maxReplicas"`

	// targetActiveRequests is the average number of active requests per pod (metric gpt_oss_active_requests) that the
	// autoscaler aims at. Default: 8.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	TargetActiveRequests *int32 `json:"targetActiveRequests,omitempty"`

	// behavior bounds how fast the number changes. Default: that of the HorizontalPodAutoscaler.
	// +optional
	Behavior *AutoscalingBehavior `json:"behavior,omitempty"`
}

// AutoscalingBehavior bounds how fast the number of pods changes, by direction.
type AutoscalingBehavior struct {
	// scaleUp bounds growing.
	// +optional
	ScaleUp *ScalingRules `json:"scaleUp,omitempty"`

	// scaleDown bounds shrinking.
	// +optional
	ScaleDown *ScalingRules `json:"scaleDown,omitempty"`
}

// ScalingRules are those of a HorizontalPodAutoscaler (autoscaling/v2).
type ScalingRules struct {
	// stabilizationWindowSeconds is how far back recommendations are considered before the number changes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	StabilizationWindowSeconds *int32 `json:"stabilizationWindowSeconds,omitempty"`

	// selectPolicy says which of several policies counts.
	// +optional
	// +kubebuilder:validation:Enum=Max;Min;Disabled
	SelectPolicy string `json:"selectPolicy,omitempty"`

	// policies are the bounds.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Policies []ScalingPolicy `json:"policies,omitempty"`
}

// ScalingPolicy is one bound: so many pods, or so many percent, within a period.
type ScalingPolicy struct {
	// type is the unit of value.
	// +required
	// +kubebuilder:validation:Enum=Pods;Percent
	Type string `json:"type"`

	// value is the bound.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Value int32 `json:"value"`

	// periodSeconds is the period that value counts for.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1800
	PeriodSeconds int32 `json:"periodSeconds"`
}

// AuthSpec says who may call the model.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.apiKeys) && has(self.anonymous))",message="auth.apiKeys and auth.anonymous exclude each other"
type AuthSpec struct {
	// apiKeys takes the keys from a Secret of yours. Without it, and unless anonymous is set, the operator generates one
	// key into the Secret that status.apiKeySecret names.
	// +optional
	APIKeys *APIKeysSpec `json:"apiKeys,omitempty"`

	// anonymous lets everybody who reaches the Service call the model, without a key.
	// +optional
	Anonymous *AnonymousSpec `json:"anonymous,omitempty"`
}

// AnonymousSpec has no settings.
type AnonymousSpec struct{}

// APIKeysSpec takes the keys from a Secret.
type APIKeysSpec struct {
	// secretRef names the Secret, in the namespace of the GptOssModel. Pods see changes of it without a restart.
	// +required
	SecretRef SecretKeyRef `json:"secretRef"`
}

// SecretKeyRef names a Secret and an entry of it.
type SecretKeyRef struct {
	// name is the name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name"`

	// key is the entry that holds the API keys, one a line. Default: "api-key".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_][-._A-Za-z0-9]*$`
	Key string `json:"key,omitempty"`
}

// ResourcesSpec overrides computed resources.
type ResourcesSpec struct {
	// requests are what the scheduler reserves.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Requests map[corev1.ResourceName]resource.Quantity `json:"requests,omitempty"`

	// limits are what a pod may use at most. None are set by default: the weights are mapped files, which the kernel
	// takes back under pressure, and a limit below them would only make the pod slow.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Limits map[corev1.ResourceName]resource.Quantity `json:"limits,omitempty"`
}

// GptOssModelStatus says what runs. It holds nothing that moves without a transition, but for how
// far a download is.
type GptOssModelStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of; -1 before the operator has seen any, so
	// that nobody takes a new object for a finished one.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Ready, Reconciling, Stalled, ModelAvailable, WorkloadAvailable and AutoscalingActive.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// replicas is the number of pods that exist.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`

	// readyReplicas is the number of pods that serve.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas,omitempty"`

	// selector selects the pods, in the form that the scale subresource wants.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Selector string `json:"selector,omitempty"`

	// url is the base URL for OpenAI clients inside the cluster.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	URL string `json:"url,omitempty"`

	// externalURL is the base URL for clients outside the cluster, where an Ingress with a host or a load balancer gives one.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	ExternalURL string `json:"externalURL,omitempty"`

	// model is the model id that clients send.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Model string `json:"model,omitempty"`

	// download is how far a download of weights has come. It is there only while one runs.
	// +optional
	Download *DownloadStatus `json:"download,omitempty"`

	// apiKeySecret is the name of the Secret that holds the API keys; empty when anonymous.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	APIKeySecret string `json:"apiKeySecret,omitempty"`

	// serverImage is the image that pods of the present spec run.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	ServerImage string `json:"serverImage,omitempty"`

	// updateAvailable is true when the operator would make other pods today than those that run: it was upgraded since.
	// They follow when the spec changes, or the annotation gptoss.dev/update.
	// +optional
	UpdateAvailable bool `json:"updateAvailable,omitempty"`

	// startup says how long the newest ready pod took to start, and for what.
	// +optional
	Startup *StartupStatus `json:"startup,omitempty"`
}
