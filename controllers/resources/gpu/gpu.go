package gpu

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// HealthPath and MetricsPath are where both runtimes show their health and their metrics.
const (
	HealthPath  = "/health"
	MetricsPath = "/metrics"
)

// DefaultGPU is the resource that a pod gets one of where the user names no other.
const DefaultGPU corev1.ResourceName = "nvidia.com/gpu"

const (
	gibibyte = 1 << 30

	cacheVolume, cacheDir = "cache", "/cache"
	shmVolume, shmDir     = "shm", "/dev/shm"

	// shmBytes is what processes that share a model's tensors exchange through /dev/shm; containers get 64 MiB of it.
	shmBytes = 2 * gibibyte

	// hostBytes is what a server takes of the node's memory: Python, CUDA and the buffers through which weights are read.
	hostBytes = 8 * gibibyte

	// userID is any but root's, as restricted Pod Security wants it. It is that of the user that newer images of vLLM hold.
	userID = 2000

	// LoadMargin is what these servers need to start beside reading the weights: importing PyTorch takes minutes on a
	// busy node, and so does compiling kernels for a GPU that they meet for the first time.
	LoadMargin = 15 * time.Minute
)

// Server is what a container is built from.
type Server struct {
	Model *v1alpha1.GptOssModel

	Name, PortName string
	Port           int32

	Weights         string                      // the folder that holds the model
	Resources       corev1.ResourceRequirements // of the container, DefaultGPU among them
	Start           time.Duration               // that the server may take to load its model
	Delay, Drain    time.Duration               // until endpoints are gone, and then until answers are finished
	ContextLength   int                         // tokens of a sequence; 0 leaves it to the model
	AnswerTokens    int                         // of them, what an answer has room for
	Secret, Entry   string                      // of the API key; empty for none
	TerminationPath string
}

// Container is the server's container. The runtime is vLLM or TGI.
func (s Server) Container() (corev1.Container, error) {
	c := corev1.Container{
		Name:           s.Name,
		Ports:          []corev1.ContainerPort{{Name: s.PortName, ContainerPort: s.Port, Protocol: corev1.ProtocolTCP}},
		StartupProbe:   s.probe(5, 5, int32(s.Start/(5*time.Second))),
		ReadinessProbe: s.probe(5, 5, 2),
		// Both answer /health from the process that computes: a long prompt must not look like the end of it.
		LivenessProbe:            s.probe(10, 10, 12),
		Resources:                s.Resources,
		TerminationMessagePath:   s.TerminationPath,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			RunAsNonRoot:             new(true),
			RunAsUser:                new(int64(userID)),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: cacheVolume, MountPath: cacheDir}, {Name: shmVolume, MountPath: shmDir}},
	}
	var err error
	switch s.Model.RuntimeType() {
	case v1alpha1.RuntimeVLLM:
		err = s.vllm(&c)
	case v1alpha1.RuntimeTGI:
		err = s.tgi(&c)
	default:
		err = fmt.Errorf("gpu: runtime %q is not one of vllm, tgi", s.Model.RuntimeType())
	}
	if r := s.Model.Spec.Runtime; err == nil && r.Image != "" {
		c.Image = r.Image
	}
	return c, err
}

// Volumes are what the container mounts beside the weights: caches, which a user other than root could not write
// elsewhere, and memory that its processes share.
func (s Server) Volumes() []corev1.Volume {
	return []corev1.Volume{
		{Name: cacheVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: shmVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
			Medium: corev1.StorageMediumMemory, SizeLimit: resource.NewQuantity(shmBytes, resource.BinarySI),
		}}},
	}
}

// Requests are what a pod needs of its node beside GPUs.
func Requests(m *v1alpha1.GptOssModel) corev1.ResourceList {
	bytes := int64(hostBytes + shmBytes)
	if swap := m.Engine().SwapSpace; swap != nil {
		bytes += swap.Value()
	}
	return corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("2"),
		corev1.ResourceMemory: *resource.NewQuantity(bytes, resource.BinarySI),
	}
}

// WithGPU gives GPUs their limit, without which no pod gets any: as many as are requested, or one DefaultGPU where the
// user names none.
func WithGPU(r corev1.ResourceRequirements) corev1.ResourceRequirements {
	limits, named := maps.Clone(r.Limits), false
	if limits == nil {
		limits = corev1.ResourceList{}
	}
	for name, request := range r.Requests {
		if _, limited := limits[name]; isGPU(name) && !limited {
			limits[name] = request
		}
	}
	for name := range limits {
		named = named || isGPU(name)
	}
	if !named {
		limits[DefaultGPU] = resource.MustParse("1")
	}
	r.Limits = limits
	return r
}

// count is how many GPUs the container gets: the model is divided among them.
func (s Server) count() int64 {
	n := int64(0)
	for name, quantity := range s.Resources.Limits {
		if isGPU(name) {
			n += quantity.Value()
		}
	}
	return n
}

// isGPU knows nvidia.com/gpu, amd.com/gpu, nvidia.com/mig-1g.10gb, gpu.intel.com/xe and the like.
func isGPU(name corev1.ResourceName) bool {
	vendor, device, found := strings.Cut(string(name), "/")
	return found && (strings.HasPrefix(device, "gpu") || strings.HasPrefix(device, "mig-") || strings.HasPrefix(vendor, "gpu."))
}

func (s Server) probe(period, timeout, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: HealthPath, Port: intstr.FromString(s.PortName)}},
		PeriodSeconds:    period,
		TimeoutSeconds:   timeout,
		FailureThreshold: failures,
	}
}

// env is what both need to run as a user whom their images may not know, offline: getpass reads USER before it looks the
// user up, and the weights are there already.
func env(more ...corev1.EnvVar) []corev1.EnvVar {
	return append([]corev1.EnvVar{
		{Name: "HOME", Value: cacheDir},
		{Name: "USER", Value: "gptoss"},
		{Name: "HF_HOME", Value: cacheDir + "/huggingface"},
		{Name: "HF_HUB_OFFLINE", Value: "1"},
	}, more...)
}

// key is the API key, which both take from an argument, in an environment variable.
func (s Server) key(name string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: s.Secret}, Key: s.Entry,
	}}}
}

// Merged adds the user's variables to ours; theirs win.
func Merged(ours []corev1.EnvVar, m *v1alpha1.GptOssModel) []corev1.EnvVar {
	if m.Spec.Runtime == nil {
		return ours
	}
	for _, v := range m.Spec.Runtime.Env {
		ours = slices.DeleteFunc(ours, func(o corev1.EnvVar) bool { return o.Name == v.Name })
		out := corev1.EnvVar{Name: v.Name, Value: v.Value}
		if from := v.ValueFrom; from != nil {
			out.ValueFrom = &corev1.EnvVarSource{}
			if ref := from.SecretKeyRef; ref != nil {
				out.ValueFrom.SecretKeyRef = &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: ref.Name}, Key: ref.Key}
			}
			if ref := from.ConfigMapKeyRef; ref != nil {
				out.ValueFrom.ConfigMapKeyRef = &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: ref.Name}, Key: ref.Key}
			}
		}
		ours = append(ours, out)
	}
	return ours
}
