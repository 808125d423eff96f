package edge

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// specs are the objects that the golden files are made from. Every field of expose, disruption and networkPolicy is in
// one of them.
var specs = map[string]string{
	"nothing": `{model: {source: {demo: {}}}}`,
	"service": `{model: {source: {demo: {}}}, expose: {service: {type: LoadBalancer, port: 80,
		loadBalancerSourceRanges: [10.0.0.0/8, "2001:db8::/64"], annotations: {example.com/internal: "true"}}}}`,
	"ingress": `{model: {source: {demo: {}}}, expose: {ingress: {className: nginx, host: chat.example.com, path: /v1,
		tls: {secretName: chat-tls}, annotations: {cert-manager.io/cluster-issuer: letsencrypt,
		nginx.ingress.kubernetes.io/limit-rps: "50", nginx.ingress.kubernetes.io/proxy-body-size: ""}}}}`,
	"ingress-of-another-class": `{model: {source: {demo: {}}}, expose: {ingress: {className: traefik, host: chat.example.com}}}`,
	"ingress-nginx-by-hand":    `{model: {source: {demo: {}}}, expose: {ingress: {className: public, nginx: Enabled}}}`,
	"ingress-nginx-off":        `{model: {source: {demo: {}}}, expose: {ingress: {className: nginx, nginx: Disabled}}}`,
	"route": `{model: {source: {demo: {}}}, expose: {service: {port: 80}, httpRoute: {parentRefs: [{name: web, namespace: gateways, sectionName: https, port: 443}, {name: inside}],
		hostnames: [chat.example.com, "*.llm.example.com"], path: /v1, timeouts: {request: 1h, backendRequest: 10m}, annotations: {a: b}}}}`,
	"pool": `{model: {source: {demo: {}}}, expose: {httpRoute: {parentRefs: [{name: web}]}, inferencePool: {endpointPicker: {name: picker}}}}`,
	"pool-closed": `{model: {source: {demo: {}}}, expose: {httpRoute: {parentRefs: [{name: web}], timeouts: {request: 5m}},
		inferencePool: {endpointPicker: {name: picker, port: 9003, failureMode: FailClose}}}}`,
	"two-pods":        `{model: {source: {demo: {}}}, replicas: 2}`,
	"autoscaled":      `{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 2}}`,
	"budget":          `{model: {source: {demo: {}}}, disruption: {maxUnavailable: 25%}}`,
	"budget-minimum":  `{model: {source: {demo: {}}}, replicas: 3, disruption: {minAvailable: 2}}`,
	"budget-enabled":  `{model: {source: {demo: {}}}, disruption: {mode: Enabled}}`,
	"budget-disabled": `{model: {source: {demo: {}}}, replicas: 3, disruption: {mode: Disabled}}`,
	"policy":          `{model: {source: {demo: {}}}, networkPolicy: {}}`,
	"policy-closed":   `{model: {source: {demo: {}}}, networkPolicy: {from: [], scrapers: [], egress: []}}`,
	"policy-full": `{model: {source: {demo: {}}}, networkPolicy: {
		from: [{namespaceSelector: {kubernetes.io/metadata.name: ingress-nginx}, podSelector: {app: controller}}, {namespaceSelector: {}}, {podSelector: {app: web}}, {ipBlock: 192.0.2.0/24}],
		scrapers: [{namespaceSelector: {kubernetes.io/metadata.name: monitoring}}],
		egress: [{podSelector: {app: redis}, ports: [6379]}, {ipBlock: 198.51.100.0/24}, {ports: [443, 4318]}]}}`,
}

func newModel(t *testing.T, spec string) *v1alpha1.GptOssModel {
	t.Helper()
	m := &v1alpha1.GptOssModel{}
	m.Name, m.Namespace, m.UID = "chat", "team", "0000-1111"
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(spec, "\t", " ")), &m.Spec); err != nil {
		t.Fatal(err)
	}
	return m
}

// build returns what is on, in the order in which the operator writes it; the Service, which is always on, where the spec tunes it.
func build(t *testing.T, m *v1alpha1.GptOssModel, pools bool) []resources.Object {
	t.Helper()
	children, err := Children(m, pools)
	if err != nil {
		t.Fatal(err)
	}
	var out []resources.Object
	if m.Exposed().Service != nil {
		out = append(out, resources.Service(m))
	}
	for _, c := range append([]resources.Child{Guard(m, "gptoss-system")}, children...) {
		if !c.Off {
			out = append(out, c.Object)
		}
	}
	return out
}

func TestGolden(t *testing.T) {
	for name, spec := range specs {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			for _, obj := range build(t, newModel(t, spec), true) {
				u, err := resources.Configuration(obj)
				if err != nil {
					t.Fatal(err)
				}
				text, err := yaml.Marshal(u.Object)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n")
				got.Write(text)
			}
			file := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("built objects differ from %s (-want +got):\n%s", file, diff)
			}
		})
	}
}

func TestRouteLeadsToTheServiceWhereThereAreNoPools(t *testing.T) {
	r, err := route(newModel(t, specs["pool"]), false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(r.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "kind: Service") || strings.Contains(string(text), "InferencePool") {
		t.Errorf("the route does not lead to the Service:\n%s", text)
	}
}

func TestPolicyWithoutOperatorInTheCluster(t *testing.T) {
	m := newModel(t, specs["policy-closed"])
	if rules := networkPolicy(m, "").Spec.Ingress; len(rules) != 0 {
		t.Errorf("nobody may call, but there are rules: %v", rules)
	}
	if rules := networkPolicy(m, "gptoss-system").Spec.Ingress; len(rules) != 1 || len(rules[0].From) != 1 {
		t.Errorf("only the operator may call, but the rules are: %v", rules)
	}
}
