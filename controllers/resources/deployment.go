package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/server/options"
)

// ContainerName is the name of the server's container.
const ContainerName = "server"

const (
	healthPath = "/v1/health"

	keysVolume = "api-keys"

	// startPeriod is short, so that a pod serves soon after its model is loaded.
	startPeriod = 2

	// keysMode lets the server read the keys whatever its user id; nobody else is in its container.
	keysMode = 0o444
)

// Deployment runs the model's pods. Its replicas are the fixed number, or nil while an autoscaler chooses them.
func Deployment(m *v1alpha1.GptOssModel, image string) (*appsv1.Deployment, error) {
	o, err := ServerOptions(m)
	if err != nil {
		return nil, err
	}
	template, err := podTemplate(m, o, image)
	if err != nil {
		return nil, err
	}
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: objectMeta(m, m.Name),
		Spec: appsv1.DeploymentSpec{
			Selector:                &metav1.LabelSelector{MatchLabels: SelectorLabels(m)},
			Template:                template,
			RevisionHistoryLimit:    ptr.To[int32](3),
			ProgressDeadlineSeconds: new(int32(seconds(startTime(m) + pullMargin))),
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxUnavailable: new(intstr.FromInt32(0)),
					MaxSurge:       new(intstr.FromInt32(1)),
				},
			},
		},
	}
	if m.Spec.Autoscaling == nil {
		d.Spec.Replicas = new(m.FixedReplicas())
	}
	return d, nil
}

// Revision is the hash that marks the pods made from the Deployment's present template.
func Revision(d *appsv1.Deployment) string {
	return d.Spec.Template.Labels[LabelRevision]
}

// podTemplate is the pod of restricted Pod Security that runs the server. Nothing in it depends on the content of the
// key Secret: the server reads changed keys from the mounted file.
func podTemplate(m *v1alpha1.GptOssModel, o options.Options, image string) (corev1.PodTemplateSpec, error) {
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: Labels(m)},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			TerminationGracePeriodSeconds: new(seconds(o.ShutdownGrace + exitMargin)),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   new(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{container(m, o, image)},
			Volumes:    volumes(m),
		},
	}
	mountSource(m, &template.Spec)
	hash, err := revision(&template)
	if err != nil {
		return corev1.PodTemplateSpec{}, err
	}
	template.Labels[LabelRevision] = hash
	return template, nil
}

// revision hashes what is set in a template, rather than the Go struct: fields that later versions of the Kubernetes
// API add must not make every pod look outdated.
func revision(template *corev1.PodTemplateSpec) (string, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(template)
	if err != nil {
		return "", fmt.Errorf("resources: hash of pod template: %w", err)
	}
	prune(content)
	text, err := json.Marshal(content)
	if err != nil {
		return "", fmt.Errorf("resources: hash of pod template: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:5]), nil
}

func container(m *v1alpha1.GptOssModel, o options.Options, image string) corev1.Container {
	return corev1.Container{
		Name:  ContainerName,
		Image: image,
		Args:  o.Args(),
		Ports: []corev1.ContainerPort{{Name: PortName, ContainerPort: int32(o.Port), Protocol: corev1.ProtocolTCP}},
		// The three probes ask the same question. Start-up waits for the weights; readiness reacts within seconds; liveness
		// gives a busy server a minute, so that load alone never restarts a pod.
		StartupProbe:             probe(startPeriod, 3, int32(seconds(startTime(m))/startPeriod)),
		ReadinessProbe:           probe(5, 3, 2),
		LivenessProbe:            probe(10, 5, 6),
		Resources:                containerResources(m),
		TerminationMessagePath:   o.TerminationLog,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			RunAsNonRoot:             new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		VolumeMounts: volumeMounts(m),
	}
}

func probe(period, timeout, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: healthPath, Port: intstr.FromString(PortName)}},
		PeriodSeconds:    period,
		TimeoutSeconds:   timeout,
		FailureThreshold: failures,
	}
}

func volumes(m *v1alpha1.GptOssModel) []corev1.Volume {
	var all []corev1.Volume
	if secret, entry := m.APIKeySecret(); secret != "" {
		all = append(all, corev1.Volume{Name: keysVolume, VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{
				SecretName:  secret,
				DefaultMode: ptr.To[int32](keysMode),
				Items:       []corev1.KeyToPath{{Key: entry, Path: entry}},
			},
		}})
	}
	return all
}

// volumeMounts mounts whole folders: a single file mounted by subPath would never see the Secret change.
func volumeMounts(m *v1alpha1.GptOssModel) []corev1.VolumeMount {
	var all []corev1.VolumeMount
	for _, v := range volumes(m) {
		if v.Name == keysVolume {
			all = append(all, corev1.VolumeMount{Name: v.Name, MountPath: keysDir, ReadOnly: true})
		}
	}
	return all
}
