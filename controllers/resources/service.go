package resources

import (
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// ServerPort is the port that the server listens on in its pod.
const ServerPort = serverPort

// Service is the stable address of the model's pods.
func Service(m *v1alpha1.GptOssModel) *corev1.Service {
	spec := m.Exposed().Service
	if spec == nil {
		spec = &v1alpha1.ServiceSpec{}
	}
	s := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: ObjectMeta(m, m.Name, nil, spec.Annotations),
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeClusterIP,
			Selector: SelectorLabels(m),
			Ports: []corev1.ServicePort{{
				Name: PortName, Port: m.ServicePort(), TargetPort: intstr.FromString(PortName), Protocol: corev1.ProtocolTCP,
			}},
		},
	}
	if spec.Type != "" {
		s.Spec.Type = corev1.ServiceType(spec.Type)
	}
	for _, r := range spec.LoadBalancerSourceRanges {
		s.Spec.LoadBalancerSourceRanges = append(s.Spec.LoadBalancerSourceRanges, string(r))
	}
	return s
}

// ExternalURL is the base URL for clients outside the cluster: by the Ingress' host, or by the address that a load
// balancer gave the Service; empty without either.
func ExternalURL(m *v1alpha1.GptOssModel, live *corev1.Service) string {
	if i := m.Exposed().Ingress; i != nil && i.Host != "" && i.Host[0] != '*' {
		scheme := "http"
		if i.TLS != nil {
			scheme = "https"
		}
		return scheme + "://" + string(i.Host) + "/v1"
	}
	if live == nil || live.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return ""
	}
	for _, address := range live.Status.LoadBalancer.Ingress {
		host := address.Hostname
		if host == "" {
			host = address.IP
		}
		if host != "" {
			return "http://" + net.JoinHostPort(host, strconv.Itoa(int(m.ServicePort()))) + "/v1"
		}
	}
	return ""
}
