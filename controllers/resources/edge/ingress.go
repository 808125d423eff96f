package edge

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

var defaultUnavailable = intstr.FromInt32(1)

// nginx are the annotations of ingress-nginx. Its burst is the rate times the multiplier: 5 a second, 10 at once. The
// body is that of the server's own limit (--max-body-bytes), rounded up. Timeouts count between two reads or writes: an
// answer that is not streamed is silent until it is complete.
var nginx = map[string]string{
	"nginx.ingress.kubernetes.io/limit-rps":              "5",
	"nginx.ingress.kubernetes.io/limit-burst-multiplier": "2",
	"nginx.ingress.kubernetes.io/proxy-buffering":        "off",
	"nginx.ingress.kubernetes.io/proxy-read-timeout":     "3600",
	"nginx.ingress.kubernetes.io/proxy-send-timeout":     "3600",
	"nginx.ingress.kubernetes.io/proxy-body-size":        "5m",
}

func ingress(m *v1alpha1.GptOssModel) *networkingv1.Ingress {
	spec := m.Exposed().Ingress
	if spec == nil {
		spec = &v1alpha1.IngressSpec{}
	}
	i := &networkingv1.Ingress{
		TypeMeta:   typed("Ingress"),
		ObjectMeta: resources.ObjectMeta(m, m.Name, nil, annotations(spec)),
		Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{
			Host: string(spec.Host),
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{
					Path:     prefix(spec.Path),
					PathType: new(networkingv1.PathTypePrefix),
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
						Name: m.Name, Port: networkingv1.ServiceBackendPort{Name: resources.PortName},
					}},
				}},
			}},
		}}},
	}
	if spec.ClassName != "" {
		i.Spec.IngressClassName = new(spec.ClassName)
	}
	if spec.TLS != nil {
		i.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{string(spec.Host)}, SecretName: spec.TLS.SecretName}}
	}
	return i
}

// annotations are those of the user over those of ingress-nginx.
func annotations(spec *v1alpha1.IngressSpec) v1alpha1.Annotations {
	out := v1alpha1.Annotations{}
	byName := spec.Nginx != v1alpha1.NginxDisabled && strings.Contains(spec.ClassName, "nginx")
	if byName || spec.Nginx == v1alpha1.NginxEnabled {
		for k, v := range nginx {
			out[k] = v1alpha1.AnnotationValue(v)
		}
	}
	for k, v := range spec.Annotations {
		if _, known := nginx[k]; known && v == "" {
			delete(out, k)
			continue
		}
		out[k] = v
	}
	return out
}

func prefix(p v1alpha1.PathPrefix) string {
	if p == "" {
		return "/"
	}
	return string(p)
}
