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
	"github.com/gptoss/gptoss-operator/controllers/resources/gpu"
	"github.com/gptoss/gptoss-operator/controllers/resources/template"
	"github.com/gptoss/gptoss-operator/server/options"
)

// ContainerName is the name of the server's container.
const ContainerName = "server"

const (
	healthPath = "/v1/health"
	livePath   = "/livez"

	keysVolume = "api-keys"
	swapVolume = "swap"

	// startPeriod is short, so that a pod serves soon after its model is loaded.
	startPeriod = 2

	// keysMode lets the server read the keys whatever its user id; nobody else is in its container.
	keysMode = 0o444
)

// HealthPath is what the startup and the readiness probe of the model's server ask for.
func HealthPath(m *v1alpha1.GptOssModel) string {
	if m.Builtin() {
		return healthPath
	}
	return gpu.HealthPath
}

// MetricsPath is where the model's server shows its metrics.
func MetricsPath(m *v1alpha1.GptOssModel) string {
	if m.Builtin() {
		return "/v1/metrics"
	}
	return gpu.MetricsPath
}

// AnnotationInputs is on the Deployment and holds a hash of what the user said about pods when its template was made.
const AnnotationInputs = "gptoss.dev/inputs"

// Deployment runs the model's pods, made as this version of the operator makes them. Package template says when others
// are wanted.
func Deployment(m *v1alpha1.GptOssModel, image string) (*appsv1.Deployment, error) {
	if err := checkResources(m); err != nil {
		return nil, err
	}
	o, err := ServerOptions(m)
	if err != nil {
		return nil, err
	}
	pod, err := podTemplate(m, o, image)
	if err != nil {
		return nil, err
	}
	return Around(m, pod)
}

// Around is the Deployment around a pod template. Its replicas are the fixed number, or nil while an autoscaler chooses
// them.
func Around(m *v1alpha1.GptOssModel, pod corev1.PodTemplateSpec) (*appsv1.Deployment, error) {
	inputs, err := template.Inputs(m)
	if err != nil {
		return nil, err
	}
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: objectMeta(m, m.Name),
		Spec: appsv1.DeploymentSpec{
			Selector:                &metav1.LabelSelector{MatchLabels: SelectorLabels(m)},
			Template:                pod,
			RevisionHistoryLimit:    ptr.To[int32](3),
			ProgressDeadlineSeconds: new(int32(seconds(StartTime(m) + pullMargin))),
			Strategy:                strategy(m.Rollout()),
		},
	}
	d.Annotations = map[string]string{AnnotationInputs: inputs}
	if m.Spec.Autoscaling == nil {
		d.Spec.Replicas = new(m.FixedReplicas())
	}
	return d, nil
}

// strategy adds a pod before it takes one away, unless the user says otherwise.
func strategy(r v1alpha1.RolloutSpec) appsv1.DeploymentStrategy {
	surge, missing := intstr.FromInt32(1), intstr.FromInt32(0)
	if r.MaxSurge != nil {
		surge = *r.MaxSurge
	}
	if none := surge.String(); none == "0" || none == "0%" {
		missing = intstr.FromInt32(1)
	}
	if r.MaxUnavailable != nil {
		missing = *r.MaxUnavailable
	}
	return appsv1.DeploymentStrategy{
		Type:          appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &missing, MaxSurge: &surge},
	}
}

// InPlace is the strategy that stops a pod before it adds one: for a cluster without room for both.
func InPlace() appsv1.DeploymentStrategy {
	return strategy(v1alpha1.RolloutSpec{MaxSurge: new(intstr.FromInt32(0)), MaxUnavailable: new(intstr.FromInt32(1))})
}

// Revision is the hash that marks the pods made from the Deployment's present template.
func Revision(d *appsv1.Deployment) string {
	return d.Spec.Template.Labels[LabelRevision]
}

// podTemplate is the pod of restricted Pod Security that runs the server, with the user's patch over it. Nothing in it
// depends on the content of the key Secret: the built-in server reads changed keys from the mounted file.
func podTemplate(m *v1alpha1.GptOssModel, o options.Options, image string) (corev1.PodTemplateSpec, error) {
	server, volumes, err := server(m, o, image)
	if err != nil {
		return corev1.PodTemplateSpec{}, err
	}
	pod := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: Labels(m)},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			TerminationGracePeriodSeconds: new(seconds(o.ShutdownGrace + exitMargin)),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   new(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{server},
			Volumes:    volumes,
		},
	}
	mountSource(m, &pod.Spec)
	if m.Spec.PodTemplate != nil {
		if pod, err = template.Patch(pod, m.Spec.PodTemplate.Raw, ContainerName); err != nil {
			return corev1.PodTemplateSpec{}, err
		}
	}
	if _, taken := pod.Labels[LabelRevision]; taken {
		return corev1.PodTemplateSpec{}, fmt.Errorf("%w must not set the label %s: it is the operator's", template.ErrInvalid, LabelRevision)
	}
	hash, err := revision(&pod)
	if err != nil {
		return corev1.PodTemplateSpec{}, err
	}
	pod.Labels[LabelRevision] = hash
	return pod, nil
}

// server is the container that serves the model, and the volumes that it mounts.
func server(m *v1alpha1.GptOssModel, o options.Options, image string) (corev1.Container, []corev1.Volume, error) {
	if m.Builtin() {
		c, err := container(m, o, image)
		return c, volumes(m), err
	}
	secret, entry := m.APIKeySecret()
	g := gpu.Server{
		Model: m, Name: ContainerName, PortName: PortName, Port: int32(o.Port), Weights: o.Model, Resources: containerResources(m),
		Start: StartTime(m), Delay: o.ShutdownDelay, Drain: o.ShutdownGrace - o.ShutdownDelay,
		ContextLength: o.ContextLength, AnswerTokens: o.MaxTokens, Secret: secret, Entry: entry, TerminationPath: o.TerminationLog,
	}
	c, err := g.Container()
	return c, g.Volumes(), err
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

// container is that of the built-in server.
func container(m *v1alpha1.GptOssModel, o options.Options, image string) (corev1.Container, error) {
	args := o.Args()
	if r := m.Spec.Runtime; r != nil {
		args = append(args, r.ExtraArgs...)
		// An image that the user names may know flags that this version does not.
		if _, err := options.Parse(args); r.Image == "" && err != nil {
			return corev1.Container{}, fmt.Errorf("resources: runtime.extraArgs: %w", err)
		}
		if r.Image != "" {
			image = r.Image
		}
	}
	var env []corev1.EnvVar
	if o.SwapSpace > 0 {
		env = append(env, corev1.EnvVar{Name: "TMPDIR", Value: swapDir})
	}
	return corev1.Container{
		Name:  ContainerName,
		Image: image,
		Args:  args,
		Env:   gpu.Merged(env, m),
		Ports: []corev1.ContainerPort{{Name: PortName, ContainerPort: int32(o.Port), Protocol: corev1.ProtocolTCP}},
		// Start-up waits for the weights, and readiness reacts within seconds: both ask for health, which is 503 while the
		// model is loaded and from the first moment of the end. Liveness asks only whether the process is worth keeping, so
		// that neither load nor a long farewell ever restarts a pod.
		StartupProbe:             probe(healthPath, startPeriod, 3, int32(seconds(StartTime(m))/startPeriod)),
		ReadinessProbe:           probe(healthPath, 5, 3, 2),
		LivenessProbe:            probe(livePath, 10, 5, 6),
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
	}, nil
}

func probe(path string, period, timeout, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString(PortName)}},
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
	if swap := m.Engine().SwapSpace; m.Builtin() && swap != nil && !swap.IsZero() {
		all = append(all, corev1.Volume{Name: swapVolume, VolumeSource: corev1.VolumeSource{
			EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: new(swapRoom(*swap))},
		}})
	}
	return all
}

// volumeMounts mounts whole folders: a single file mounted by subPath would never see the Secret change.
func volumeMounts(m *v1alpha1.GptOssModel) []corev1.VolumeMount {
	var all []corev1.VolumeMount
	for _, v := range volumes(m) {
		switch v.Name {
		case keysVolume:
			all = append(all, corev1.VolumeMount{Name: v.Name, MountPath: keysDir, ReadOnly: true})
		case swapVolume:
			all = append(all, corev1.VolumeMount{Name: v.Name, MountPath: swapDir})
		}
	}
	return all
}
