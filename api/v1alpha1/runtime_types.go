package v1alpha1

import (
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// RuntimeType says which program serves the model.
//
// +kubebuilder:validation:Enum=builtin;vllm;tgi
type RuntimeType string

// The runtimes.
const (
	// RuntimeBuiltin is gptoss-server, on CPUs.
	RuntimeBuiltin RuntimeType = "builtin"

	// RuntimeVLLM is vLLM, on GPUs.
	RuntimeVLLM RuntimeType = "vllm"

	// RuntimeTGI is Hugging Face's Text Generation Inference, on GPUs.
	RuntimeTGI RuntimeType = "tgi"
)

// RuntimeSpec says which program serves the model, and adds what the other fields do not cover.
type RuntimeSpec struct {
	// type is the program: builtin (gptoss-server), vllm or tgi (Text Generation Inference). Default: builtin.
	// +optional
	Type RuntimeType `json:"type,omitempty"`

	// image is the container image. Default: that of the operator's release. A server that is named here is not replaced
	// when the operator is upgraded.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._/:@-]*$`
	Image string `json:"image,omitempty"`

	// extraArgs are added after the arguments that the operator writes, as they are; "$(NAME)" stands for a variable of env.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="self.all(a, !a.matches('^--?(host|hostname|port|model|model-id|served-model-name|api-key|api-key-file)(=|$)'))",message="runtime.extraArgs must not set --host, --hostname, --port, --model, --model-id, --served-model-name, --api-key or --api-key-file: model, auth and the operator do"
	ExtraArgs []string `json:"extraArgs,omitempty"`

	// env adds environment variables, and replaces those of the operator that have the same name.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Env []EnvVar `json:"env,omitempty"`
}

// EnvVar is one environment variable.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.value) && has(self.valueFrom))",message="an environment variable has value or valueFrom, not both"
type EnvVar struct {
	// name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*$`
	Name string `json:"name"`

	// value is the text. Default: empty.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value,omitempty"`

	// valueFrom takes the text from elsewhere.
	// +optional
	ValueFrom *EnvVarSource `json:"valueFrom,omitempty"`
}

// EnvVarSource is exactly one of its fields.
//
// +kubebuilder:validation:XValidation:rule="has(self.secretKeyRef) != has(self.configMapKeyRef)",message="valueFrom must hold exactly one of: secretKeyRef, configMapKeyRef"
type EnvVarSource struct {
	// secretKeyRef is an entry of a Secret in the namespace of the GptOssModel.
	// +optional
	SecretKeyRef *EntryRef `json:"secretKeyRef,omitempty"`

	// configMapKeyRef is an entry of a ConfigMap in the namespace of the GptOssModel.
	// +optional
	ConfigMapKeyRef *EntryRef `json:"configMapKeyRef,omitempty"`
}

// EntryRef names an object and an entry of it.
type EntryRef struct {
	// name is the name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name"`

	// key is the entry.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_][-._A-Za-z0-9]*$`
	Key string `json:"key"`
}

// Period is a length of time, such as 100ms, 30s or 5m.
//
// +kubebuilder:validation:MaxLength=16
// +kubebuilder:validation:Pattern=`^([0-9]{1,5}(ms|s|m|h))+$`
type Period string

// Duration is the period's length; 0 for what the pattern would have refused.
func (p Period) Duration() time.Duration {
	d, err := time.ParseDuration(string(p))
	if err != nil {
		return 0
	}
	return d
}

// EngineSpec tunes the inference engine. Which of its fields a runtime has, the rules of the spec say.
//
// +kubebuilder:validation:XValidation:rule="!has(self.batchSize) || !has(self.maxBatchTokens) || self.batchSize <= self.maxBatchTokens",message="engine.batchSize must not be greater than engine.maxBatchTokens: every request of a batch has a token"
type EngineSpec struct {
	// contextLength is the largest number of tokens, prompt and answer together, that a request may hold; it bounds the
	// memory of a sequence. Default: the smaller of 8192 and what the model allows; of vLLM, what the model allows.
	// +optional
	// +kubebuilder:validation:Minimum=16
	// +kubebuilder:validation:Maximum=131072
	ContextLength *int32 `json:"contextLength,omitempty"`

	// maxSequences is how many requests run at the same time. Memory is planned for so many. Default: 8 of the built-in
	// engine, their own of the others.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	MaxSequences *int32 `json:"maxSequences,omitempty"`

	// batchSize is how many of them are computed together. Default: all.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	BatchSize *int32 `json:"batchSize,omitempty"`

	// maxBatchTokens is how many tokens are computed together; a longer prompt takes several steps. Default: 512 of the
	// built-in engine, their own of the others.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65536
	MaxBatchTokens *int32 `json:"maxBatchTokens,omitempty"`

	// batchTimeout is how long the first request of an idle server waits for others to be computed together with, such
	// as 100ms. Default: not at all.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('10s')",message="engine.batchTimeout must be at most 10s"
	BatchTimeout *Period `json:"batchTimeout,omitempty"`

	// prefixCaching: a prompt goes on from what an earlier one with the same beginning has left in memory. Default: true.
	// +optional
	PrefixCaching *bool `json:"prefixCaching,omitempty"`

	// swapSpace is room for requests that have to make way when memory runs out: on the node's disk with the built-in
	// engine, in the node's memory with vLLM. Default: none.
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('0')) >= 0 && quantity(string(self)).compareTo(quantity('16Ti')) <= 0",message="engine.swapSpace must be from 0 to 16Ti"
	SwapSpace *resource.Quantity `json:"swapSpace,omitempty"`

	// gpuMemoryUtilization is the share of a GPU's memory that the runtime takes, over 0 to 1. Default: 0.9 of vLLM, its
	// own of TGI.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:ExclusiveMinimum=true
	// +kubebuilder:validation:Maximum=1
	GPUMemoryUtilization *Decimal `json:"gpuMemoryUtilization,omitempty"`

	// enforceEager runs the model without CUDA graphs: it starts sooner and takes less memory, but decodes slower.
	// Default: true of vLLM, false of TGI.
	// +optional
	EnforceEager *bool `json:"enforceEager,omitempty"`

	// threads is how many cores compute. Default: all that the pod may use.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	Threads *int32 `json:"threads,omitempty"`
}

// RuntimeType is the program that serves the model.
func (m *GptOssModel) RuntimeType() RuntimeType {
	if m.Spec.Runtime == nil || m.Spec.Runtime.Type == "" {
		return RuntimeBuiltin
	}
	return m.Spec.Runtime.Type
}

// Builtin reports whether gptoss-server serves the model.
func (m *GptOssModel) Builtin() bool { return m.RuntimeType() == RuntimeBuiltin }

// Engine is the engine's settings, of which nothing is set where the user says nothing.
func (m *GptOssModel) Engine() EngineSpec {
	if m.Spec.Engine == nil {
		return EngineSpec{}
	}
	return *m.Spec.Engine
}
