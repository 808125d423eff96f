package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/server/options"
)

const (
	modelVolume = "model"

	// folderPrefix and ten hex digits make the name of the folder in the cache that holds the weights of a source.
	folderPrefix = "model-"

	// packedSuffix is that of the file that the built-in server maps.
	packedSuffix = ".gptoss"
)

// WeightsFolder is the folder of the downloaded weights in their volume, and empty for other sources. It follows from what
// is downloaded and from nothing else: another repository, revision or file comes into another folder.
func WeightsFolder(m *v1alpha1.GptOssModel) string {
	var what []string
	switch s := m.Spec.Model.Source; {
	case s.HuggingFace != nil:
		what = []string{"huggingFace", strings.TrimRight(s.HuggingFace.Endpoint, "/"), s.HuggingFace.Repo, revisionOf(s.HuggingFace)}
	case s.HTTP != nil:
		what = []string{"http", s.HTTP.URL, s.HTTP.SHA256}
	default:
		return ""
	}
	text, _ := json.Marshal(append(what, packedFile(m))) // strings cannot fail
	sum := sha256.Sum256(text)
	return folderPrefix + hex.EncodeToString(sum[:5])
}

func revisionOf(s *v1alpha1.HuggingFaceSource) string {
	if s.Revision == "" {
		return "main"
	}
	return s.Revision
}

// packedFile is the name of the file that a download is packed into, and empty where the runtime wants it as it came.
func packedFile(m *v1alpha1.GptOssModel) string {
	if !m.Builtin() {
		return ""
	}
	return m.Spec.Model.Source.Name() + packedSuffix
}

// modelPath is where a pod finds the weights; empty for the model inside the server.
func modelPath(m *v1alpha1.GptOssModel) string {
	switch s := m.Spec.Model.Source; {
	case s.PersistentVolumeClaim != nil:
		return path.Join(modelsDir, string(s.PersistentVolumeClaim.Path))
	case s.Image != nil:
		return path.Join(modelsDir, string(s.Image.Path))
	case s.Downloaded() && packedFile(m) != "":
		return path.Join(modelsDir, WeightsFolder(m), packedFile(m))
	case s.Downloaded():
		return path.Join(modelsDir, WeightsFolder(m), options.CacheFiles)
	}
	return ""
}

// servedFolder finds the folder of downloaded weights in an argument, whichever runtime it is for.
var servedFolder = regexp.MustCompile(`(?:^|=)` + modelsDir + `/(` + folderPrefix + `[0-9a-f]{10})(?:/|$)`)

// FolderOf is the folder of downloaded weights that a pod serves, and empty if it serves others.
func FolderOf(pod *corev1.PodSpec) string {
	for i := range pod.Containers {
		for _, arg := range slices.Concat(pod.Containers[i].Command, pod.Containers[i].Args) {
			if found := servedFolder.FindStringSubmatch(arg); found != nil {
				return found[1]
			}
		}
	}
	return ""
}

// mountSource gives a pod the weights of the model, read-only, in its first container.
func mountSource(m *v1alpha1.GptOssModel, pod *corev1.PodSpec) {
	volume := corev1.Volume{Name: modelVolume}
	switch s := m.Spec.Model.Source; {
	case s.PersistentVolumeClaim != nil:
		volume.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: s.PersistentVolumeClaim.ClaimName, ReadOnly: true}
	case s.Image != nil:
		volume.Image = &corev1.ImageVolumeSource{Reference: s.Image.Reference, PullPolicy: s.Image.PullPolicy}
	case s.Downloaded():
		// The mount below is read-only; the volume must not be, or drivers that attach it so would keep the next download,
		// which writes beside these pods, from the node.
		volume.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: m.CacheClaim()}
		pod.Affinity = cacheAffinity(m)
	default:
		return
	}
	pod.Volumes = slices.Insert(pod.Volumes, 0, volume)
	mount := corev1.VolumeMount{Name: modelVolume, MountPath: modelsDir, ReadOnly: true}
	pod.Containers[0].VolumeMounts = slices.Insert(pod.Containers[0].VolumeMounts, 0, mount)
}

// cacheAffinity keeps the pods that use a ReadWriteOnce volume, downloads among them, on one node: elsewhere they would
// wait for it for ever, and the scheduler, which does not look at access modes, would not say why. The first of them
// may go anywhere, since it is what it asks to be with.
func cacheAffinity(m *v1alpha1.GptOssModel) *corev1.Affinity {
	if slices.Contains(m.CacheAccessModes(), corev1.ReadWriteMany) {
		return nil
	}
	return &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{LabelInstance: m.Name, LabelPartOf: PartOf}},
			TopologyKey:   corev1.LabelHostname,
		}},
	}}
}
