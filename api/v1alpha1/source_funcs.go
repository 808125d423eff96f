package v1alpha1

import (
	"net/url"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	// DefaultTokenEntry is the entry of a Secret that holds the token for a download.
	DefaultTokenEntry = "token"

	// CacheSuffix makes the name of the claim for downloaded weights from the object's.
	CacheSuffix = "-weights"

	// maxDerivedName is how long a name may be, as ModelSpec.Name.
	maxDerivedName = 128
)

// Downloaded reports whether the weights come over the network into a volume of the operator's.
func (s ModelSource) Downloaded() bool { return s.HuggingFace != nil || s.HTTP != nil }

// Token is the Secret that holds the download's token and the entry in it; both empty when none is named.
func (s ModelSource) Token() (name, entry string) {
	var ref *TokenSecretRef
	switch {
	case s.HuggingFace != nil:
		ref = s.HuggingFace.TokenSecretRef
	case s.HTTP != nil:
		ref = s.HTTP.SecretRef
	}
	if ref == nil {
		return "", ""
	}
	if ref.Key == "" {
		return ref.Name, DefaultTokenEntry
	}
	return ref.Name, ref.Key
}

// Name is the model id that follows from the source.
func (s ModelSource) Name() string {
	switch {
	case s.HuggingFace != nil:
		return path.Base(s.HuggingFace.Repo)
	case s.PersistentVolumeClaim != nil && s.PersistentVolumeClaim.Path != "":
		return path.Base(string(s.PersistentVolumeClaim.Path))
	case s.PersistentVolumeClaim != nil:
		return s.PersistentVolumeClaim.ClaimName
	case s.Image != nil:
		name, _, _ := strings.Cut(s.Image.Reference, "@")
		name, _, _ = strings.Cut(path.Base(name), ":")
		return derived(name)
	case s.HTTP != nil:
		return derived(fileName(s.HTTP.URL))
	}
	return DemoModelName
}

// fileName is the name of a URL's file without its extension.
func fileName(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	name := path.Base(u.Path)
	return strings.TrimSuffix(name, path.Ext(name))
}

// derived makes a model id of any text.
func derived(name string) string {
	name = strings.Map(func(r rune) rune {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._:-", r) {
			return '-'
		}
		return r
	}, name)
	name = name[:min(len(name), maxDerivedName)] // ASCII by now
	if name = strings.Trim(name, "._:-"); name == "" {
		return "model"
	}
	return name
}

// CacheClaim is the name of the claim for downloaded weights.
func (m *GptOssModel) CacheClaim() string { return m.Name + CacheSuffix }

// KeepsCache reports whether downloaded weights outlive the GptOssModel.
func (m *GptOssModel) KeepsCache() bool {
	return m.Spec.Model.Cache == nil || m.Spec.Model.Cache.ReclaimPolicy != CacheDelete
}

// CacheAccessModes are the access modes of the claim for downloaded weights.
func (m *GptOssModel) CacheAccessModes() []corev1.PersistentVolumeAccessMode {
	if m.Spec.Model.Cache == nil || len(m.Spec.Model.Cache.AccessModes) == 0 {
		return []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	}
	var modes []corev1.PersistentVolumeAccessMode
	for _, mode := range m.Spec.Model.Cache.AccessModes {
		modes = append(modes, corev1.PersistentVolumeAccessMode(mode))
	}
	return modes
}
