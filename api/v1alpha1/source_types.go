package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// ModelSource is exactly one of its fields.
//
// +kubebuilder:validation:XValidation:rule="(has(self.demo) ? 1 : 0) + (has(self.huggingFace) ? 1 : 0) + (has(self.persistentVolumeClaim) ? 1 : 0) + (has(self.image) ? 1 : 0) + (has(self.http) ? 1 : 0) == 1",message="model.source must hold exactly one of: demo, huggingFace, persistentVolumeClaim, image, http"
type ModelSource struct {
	// demo serves the small model that is part of the server's binary: nothing is downloaded.
	// +optional
	Demo *DemoSource `json:"demo,omitempty"`

	// huggingFace downloads the weights, once for all pods, from a repository of Hugging Face or of a mirror of it.
	// +optional
	HuggingFace *HuggingFaceSource `json:"huggingFace,omitempty"`

	// persistentVolumeClaim serves weights that lie in a volume, mounted read-only.
	// +optional
	PersistentVolumeClaim *PersistentVolumeClaimSource `json:"persistentVolumeClaim,omitempty"`

	// image serves weights that lie in an OCI image, which the kubelet pulls and mounts read-only. It takes Kubernetes 1.35,
	// or 1.31 with the feature ImageVolume switched on, and a container runtime that knows it.
	// +optional
	Image *ImageSource `json:"image,omitempty"`

	// http downloads one file, once for all pods: GGUF, or what gptoss-server pack wrote.
	// +optional
	HTTP *HTTPSource `json:"http,omitempty"`
}

// DemoSource has no settings.
type DemoSource struct{}

// HuggingFaceSource names a repository and a version of it.
type HuggingFaceSource struct {
	// repo is OWNER/NAME, such as openai/gpt-oss-20b. Its safetensors are taken, or its GGUF file where it has no others.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=193
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?/[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?$`
	// +kubebuilder:validation:XValidation:rule="!self.contains('--') && !self.contains('..')",message="repo must not hold '--' or '..'"
	Repo string `json:"repo"`

	// revision is a branch, a tag or a commit. What a branch points at is looked up once, when the download begins; another
	// revision here is another download. Default: main.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._/-]*$`
	Revision string `json:"revision,omitempty"`

	// tokenSecretRef names a Secret with an access token, for repositories that are private or gated. Only the download
	// sees it, and only the endpoint gets it.
	// +optional
	TokenSecretRef *TokenSecretRef `json:"tokenSecretRef,omitempty"`

	// endpoint is the base URL of a mirror. Default: https://huggingface.co.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$`
	Endpoint string `json:"endpoint,omitempty"`
}

// TokenSecretRef names a Secret and the entry of it that holds a token.
type TokenSecretRef struct {
	// name is the name of a Secret in the namespace of the GptOssModel.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name"`

	// key is the entry that holds the token. Default: "token".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_][-._A-Za-z0-9]*$`
	Key string `json:"key,omitempty"`
}

// PersistentVolumeClaimSource names a volume and a folder in it.
type PersistentVolumeClaimSource struct {
	// claimName is the name of a PersistentVolumeClaim in the namespace of the GptOssModel.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	ClaimName string `json:"claimName"`

	// path is the folder inside the volume that holds config.json and the *.safetensors files, or a .gguf or packed file,
	// relative to the volume's root. Default: the root.
	// +optional
	Path SourcePath `json:"path,omitempty"`
}

// ImageSource names an OCI image and a folder in it.
type ImageSource struct {
	// reference is the image, such as registry.example.com/models/gpt-oss-20b:1.0. A digest (…@sha256:…) makes sure that all
	// pods get the same weights.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?$`
	Reference string `json:"reference"`

	// pullPolicy says when the kubelet pulls. Default: Always for the tag latest or none, otherwise IfNotPresent.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	PullPolicy corev1.PullPolicy `json:"pullPolicy,omitempty"`

	// path is the folder, or the .gguf or packed file, inside the image, relative to its root. Default: the root.
	// +optional
	Path SourcePath `json:"path,omitempty"`
}

// SourcePath is a relative path in a volume.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_][A-Za-z0-9._/-]*$`
// +kubebuilder:validation:XValidation:rule="!self.split('/').exists(e, e == '..' || e == '.' || size(e) == 0)",message="path must be relative and clean: no leading or trailing '/', no '//', no '.' or '..'"
type SourcePath string

// HTTPSource names one file on a web server.
//
// +kubebuilder:validation:XValidation:rule="self.url.startsWith('https://') || has(self.sha256)",message="a URL of http:// takes sha256: without it nobody vouches for what comes"
type HTTPSource struct {
	// url is the address of one file, https or http, with its name at the end: GGUF, or what gptoss-server pack wrote. It is
	// not a place for secrets; see secretRef.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/([A-Za-z0-9._~%!&'()*+,;=:@/-]*/)?[A-Za-z0-9._~%+-]+(\?[A-Za-z0-9._~%!&'()*+,;=:@/?-]*)?$`
	URL string `json:"url"`

	// sha256 is the checksum of the file. Whatever has another one is not served.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	SHA256 string `json:"sha256,omitempty"`

	// secretRef names a Secret with a token, which is sent as Bearer to the server of the URL and to no other.
	// +optional
	SecretRef *TokenSecretRef `json:"secretRef,omitempty"`
}

// CacheSpec is the volume that downloaded weights are kept in. Its claim is named after the GptOssModel, with "-weights".
type CacheSpec struct {
	// size is the size of the volume. It can grow where the storage class lets it. Default: room for the model as it is
	// downloaded, as it is packed, and for an earlier revision that serves meanwhile.
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`

	// storageClassName is the storage class; "" takes a volume that was made by hand. Default: the cluster's own.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$`
	StorageClassName *string `json:"storageClassName,omitempty"`

	// accessModes are those of the claim. With ReadWriteOnce all pods of the model are placed on one node; pods on several
	// nodes take ReadWriteMany. Default: ReadWriteOnce.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	AccessModes []CacheAccessMode `json:"accessModes,omitempty"`

	// reclaimPolicy says what becomes of the claim, and with it the weights, when the GptOssModel is deleted: it stays for
	// the next of the name (Retain), or goes as well (Delete). Default: Retain.
	// +optional
	// +kubebuilder:validation:Enum=Retain;Delete
	ReclaimPolicy CacheReclaimPolicy `json:"reclaimPolicy,omitempty"`
}

// CacheAccessMode is an access mode of a claim that one pod writes and many read.
//
// +kubebuilder:validation:Enum=ReadWriteOnce;ReadWriteMany
type CacheAccessMode string

// The access modes of the cache.
const (
	CacheReadWriteOnce CacheAccessMode = "ReadWriteOnce"
	CacheReadWriteMany CacheAccessMode = "ReadWriteMany"
)

// CacheReclaimPolicy says what becomes of downloaded weights when their GptOssModel is deleted.
type CacheReclaimPolicy string

// The reclaim policies of the cache.
const (
	CacheRetain CacheReclaimPolicy = "Retain"
	CacheDelete CacheReclaimPolicy = "Delete"
)

// DownloadStatus is how far a download has come. It is looked at every few seconds, and not at all when none runs.
type DownloadStatus struct {
	// phase is Downloading, or Packing when the weights are rewritten into the form that pods map into memory.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Phase string `json:"phase,omitempty"`

	// bytes is what is done of the phase.
	// +optional
	Bytes int64 `json:"bytes,omitempty"`

	// totalBytes is what there is to do in the phase; absent while nobody knows.
	// +optional
	TotalBytes int64 `json:"totalBytes,omitempty"`

	// remainingSeconds is how long the phase will take at its present speed, roughly; absent while nobody knows.
	// +optional
	RemainingSeconds *int64 `json:"remainingSeconds,omitempty"`
}
