package resources

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources/template"
)

// Labels that every object of a GptOssModel carries.
const (
	LabelName      = "app.kubernetes.io/name"
	LabelInstance  = "app.kubernetes.io/instance" // the GptOssModel's name
	LabelComponent = "app.kubernetes.io/component"
	LabelPartOf    = "app.kubernetes.io/part-of"
	LabelManagedBy = "app.kubernetes.io/managed-by"

	// LabelRevision, on pods only, is a hash of the template that they were made from.
	LabelRevision = "gptoss.dev/revision"
)

// Values of the labels.
const (
	Name      = "gptoss-server"
	PartOf    = "gptoss"
	ManagedBy = "gptoss-operator"
)

const (
	// PortName is the name of the server's port in pods and Service, so that probes and monitors need no number.
	PortName = "http"

	componentServer = "server"
)

// SelectorLabels is the small set that selects a model's pods. It must never change: selectors are immutable.
func SelectorLabels(m *v1alpha1.GptOssModel) map[string]string {
	return map[string]string{LabelName: Name, LabelInstance: m.Name}
}

// Labels are those of every object of a model. No version is among them: a label that changes with the operator would
// make every upgrade of it a write to every object.
func Labels(m *v1alpha1.GptOssModel) map[string]string {
	return map[string]string{
		LabelName:      Name,
		LabelInstance:  m.Name,
		LabelComponent: componentServer,
		LabelPartOf:    PartOf,
		LabelManagedBy: ManagedBy,
	}
}

// Selector is SelectorLabels in the text form of the scale subresource.
func Selector(m *v1alpha1.GptOssModel) string {
	return metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: SelectorLabels(m)})
}

// URL is the base URL for clients in the cluster. It leaves out the cluster's domain, which only the kubelets know.
func URL(m *v1alpha1.GptOssModel) string {
	return fmt.Sprintf("http://%s.%s.svc:%d/v1", m.Name, m.Namespace, m.ServicePort())
}

// objectMeta is the metadata of an object that belongs to the model.
func objectMeta(m *v1alpha1.GptOssModel, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:            name,
		Namespace:       m.Namespace,
		Labels:          Labels(m),
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(m, v1alpha1.GroupVersion.WithKind("GptOssModel"))},
	}
}

// TemplateRecord keeps a pod template beside the Deployment.
func TemplateRecord(m *v1alpha1.GptOssModel, name string, pod *corev1.PodTemplateSpec) (*appsv1.ControllerRevision, error) {
	return template.Record(objectMeta(m, name), pod)
}
