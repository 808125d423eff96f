package resources

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestURLs(t *testing.T) {
	balanced := func(ingress ...corev1.LoadBalancerIngress) *corev1.Service {
		return &corev1.Service{
			Spec:   corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
			Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: ingress}},
		}
	}
	for name, tc := range map[string]struct {
		expose         string
		live           *corev1.Service
		inside, beyond string
	}{
		"only inside":                      {`{}`, &corev1.Service{}, "http://chat.team.svc:8000/v1", ""},
		"another port":                     {`{service: {port: 80}}`, nil, "http://chat.team.svc:80/v1", ""},
		"an Ingress with a host":           {`{ingress: {host: a.example.com}}`, nil, "http://chat.team.svc:8000/v1", "http://a.example.com/v1"},
		"an Ingress with TLS":              {`{ingress: {host: a.example.com, tls: {secretName: s}}}`, nil, "http://chat.team.svc:8000/v1", "https://a.example.com/v1"},
		"an Ingress for every name":        {`{ingress: {}}`, nil, "http://chat.team.svc:8000/v1", ""},
		"an Ingress for many names":        {`{ingress: {host: "*.example.com"}}`, nil, "http://chat.team.svc:8000/v1", ""},
		"a load balancer without address":  {`{service: {type: LoadBalancer}}`, balanced(), "http://chat.team.svc:8000/v1", ""},
		"a load balancer with an address":  {`{service: {type: LoadBalancer, port: 80}}`, balanced(corev1.LoadBalancerIngress{IP: "192.0.2.7"}), "http://chat.team.svc:80/v1", "http://192.0.2.7:80/v1"},
		"a load balancer with IPv6":        {`{service: {type: LoadBalancer}}`, balanced(corev1.LoadBalancerIngress{IP: "2001:db8::7"}), "http://chat.team.svc:8000/v1", "http://[2001:db8::7]:8000/v1"},
		"a load balancer with a name":      {`{service: {type: LoadBalancer}}`, balanced(corev1.LoadBalancerIngress{Hostname: "lb.example.com"}), "http://chat.team.svc:8000/v1", "http://lb.example.com:8000/v1"},
		"an Ingress wins over a balancer":  {`{service: {type: LoadBalancer}, ingress: {host: a.example.com}}`, balanced(corev1.LoadBalancerIngress{IP: "192.0.2.7"}), "http://chat.team.svc:8000/v1", "http://a.example.com/v1"},
		"an address of an earlier type":    {`{service: {type: ClusterIP}}`, &corev1.Service{Status: balanced(corev1.LoadBalancerIngress{IP: "192.0.2.7"}).Status}, "http://chat.team.svc:8000/v1", ""},
		"a load balancer that is not read": {`{service: {type: LoadBalancer}}`, nil, "http://chat.team.svc:8000/v1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, `{model: {source: {demo: {}}}, expose: `+tc.expose+`}`)
			if got := URL(m); got != tc.inside {
				t.Errorf("URL %q, want %q", got, tc.inside)
			}
			if got := ExternalURL(m, tc.live); got != tc.beyond {
				t.Errorf("external URL %q, want %q", got, tc.beyond)
			}
		})
	}
}
