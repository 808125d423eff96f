package controllers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// repeated makes a map of so many entries, in YAML.
func repeated(n int) string {
	entries := make([]string, 0, n)
	for i := range n {
		entries = append(entries, fmt.Sprintf("k%d: v", i))
	}
	return "{" + strings.Join(entries, ", ") + "}"
}

var _ = Describe("the API server, of what stands around the pods,", func() {
	spec := func(rest string) string { return `{model: {source: {demo: {}}}, ` + rest + `}` }

	DescribeTable("refuses", func(ctx SpecContext, rest, message string) {
		err := k8s.Create(ctx, fromYAML("default", "bad", spec(rest)), client.DryRunAll)
		Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
		Expect(err.Error()).To(ContainSubstring(message))
	},
		Entry("an unknown type of Service", `expose: {service: {type: ExternalName}}`, `supported values: "ClusterIP", "NodePort", "LoadBalancer"`),
		Entry("a port of 0", `expose: {service: {port: 0}}`, "spec.expose.service.port"),
		Entry("source ranges without a load balancer", `expose: {service: {loadBalancerSourceRanges: [10.0.0.0/8]}}`, "loadBalancerSourceRanges needs type: LoadBalancer"),
		Entry("a source range that is none", `expose: {service: {type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.256/8]}}`, "must be like 10.0.0.0/8"),
		Entry("no source range", `expose: {service: {type: LoadBalancer, loadBalancerSourceRanges: []}}`, "at least 1 items"),
		Entry("too many annotations", `expose: {service: {annotations: `+repeated(33)+`}}`, "at most 32 items"),
		Entry("an annotation that is too long", `expose: {ingress: {annotations: {a: `+strings.Repeat("x", 4097)+`}}}`, "4096"),
		Entry("TLS without a host", `expose: {ingress: {tls: {secretName: s}}}`, "tls needs host"),
		Entry("TLS without a Secret", `expose: {ingress: {host: a.example.com, tls: {}}}`, "secretName: Required value"),
		Entry("a host with a port", `expose: {ingress: {host: "a.example.com:80"}}`, "spec.expose.ingress.host"),
		Entry("a class with spaces", `expose: {ingress: {className: "my class"}}`, "className"),
		Entry("an unknown mode of nginx", `expose: {ingress: {nginx: Yes}}`, `supported values: "Auto", "Enabled", "Disabled"`),
		Entry("a relative path", `expose: {ingress: {path: v1}}`, "spec.expose.ingress.path"),
		Entry("a path that climbs", `expose: {httpRoute: {parentRefs: [{name: a}], path: /v1/../x}}`, "spec.expose.httpRoute.path"),
		Entry("a route without a Gateway", `expose: {httpRoute: {}}`, "parentRefs: Required value"),
		Entry("a route with an empty list of Gateways", `expose: {httpRoute: {parentRefs: []}}`, "at least 1 items"),
		Entry("a Gateway in no namespace", `expose: {httpRoute: {parentRefs: [{name: a, namespace: A}]}}`, "namespace"),
		Entry("a hostname in capitals", `expose: {httpRoute: {parentRefs: [{name: a}], hostnames: [A.example.com]}}`, "hostnames[0]"),
		Entry("a timeout without unit", `expose: {httpRoute: {parentRefs: [{name: a}], timeouts: {request: "30"}}}`, "spec.expose.httpRoute.timeouts.request"),
		Entry("a timeout that outlasts the request's", `expose: {httpRoute: {parentRefs: [{name: a}], timeouts: {request: 1m, backendRequest: 2m}}}`, "backendRequest must not be longer than request"),
		Entry("a pool without picker", `expose: {inferencePool: {}}`, "endpointPicker: Required value"),
		Entry("an unknown failure mode", `expose: {inferencePool: {endpointPicker: {name: a, failureMode: Open}}}`, `supported values: "FailOpen", "FailClose"`),
		Entry("two budgets", `disruption: {maxUnavailable: 1, minAvailable: 1}`, "maxUnavailable and minAvailable exclude each other"),
		Entry("a budget that is switched off", `disruption: {mode: Disabled, maxUnavailable: 1}`, "mode: Disabled excludes"),
		Entry("an unknown mode of the budget", `disruption: {mode: On}`, `supported values: "Auto", "Enabled", "Disabled"`),
		Entry("a negative budget", `disruption: {maxUnavailable: -1}`, "must be a number from 0 to 1000, or a share such as 25%"),
		Entry("a budget of more than all", `disruption: {minAvailable: 101%}`, "must be a number from 0 to 1000, or a share such as 25%"),
		Entry("a budget in words", `disruption: {minAvailable: most}`, "must be a number from 0 to 1000, or a share such as 25%"),
		Entry("a peer that is two things", `networkPolicy: {from: [{ipBlock: 10.0.0.0/8, podSelector: {a: b}}]}`, "either ipBlock, or podSelector, namespaceSelector or both"),
		Entry("a peer that is nothing", `networkPolicy: {scrapers: [{}]}`, "either ipBlock, or podSelector, namespaceSelector or both"),
		Entry("a destination that is two things", `networkPolicy: {egress: [{ipBlock: 10.0.0.0/8, namespaceSelector: {}}]}`, "either ipBlock, or podSelector, namespaceSelector or both"),
		Entry("a destination that is nothing", `networkPolicy: {egress: [{}]}`, "at least 1 properties"),
		Entry("a block that is none", `networkPolicy: {from: [{ipBlock: 10.0.0.0}]}`, "must be like 10.0.0.0/8"),
		Entry("a port beyond the last", `networkPolicy: {egress: [{ports: [65536]}]}`, "ports[0]"),
		Entry("a label of the selector that is none", `networkPolicy: {from: [{podSelector: {a: "b c"}}]}`, "podSelector"),
		Entry("a label of ours on the rule", `monitoring: {prometheusRule: {labels: {app.kubernetes.io/name: x}}}`, "belong to the operator"),
		Entry("an alert's label that is none", `monitoring: {prometheusRule: {alertLabels: {a-b: x}}}`, "holds letters, digits and '_'"),
		Entry("an alert's label of ours", `monitoring: {prometheusRule: {alertLabels: {severity: page}}}`, "belong to the operator"),
		Entry("a template as an alert's label", `monitoring: {prometheusRule: {alertLabels: {a: "{{ $value }}"}}}`, "templates are not evaluated here"),
		Entry("an alert that is none", `monitoring: {prometheusRule: {disabled: [Nothing]}}`, "spec.monitoring.prometheusRule.disabled[0]"),
		Entry("an alert twice", `monitoring: {prometheusRule: {disabled: [GptOssPanics, GptOssPanics]}}`, "Duplicate value"),
		Entry("runbooks that are no address", `monitoring: {prometheusRule: {runbookURL: "file:///x"}}`, "runbookURL"),
		Entry("a share of errors of 0", `monitoring: {prometheusRule: {thresholds: {errorPercent: 0}}}`, "errorPercent"),
		Entry("a time to first token of 0", `monitoring: {prometheusRule: {thresholds: {timeToFirstTokenSeconds: 0}}}`, "timeToFirstTokenSeconds"),
		Entry("a queue of 0", `monitoring: {prometheusRule: {thresholds: {queuedRequests: 0}}}`, "queuedRequests"),
		Entry("a cache that is more than full", `monitoring: {prometheusRule: {thresholds: {kvCachePercent: 101}}}`, "kvCachePercent"),
		Entry("a label of ours on the dashboard", `monitoring: {dashboard: {labels: {app.kubernetes.io/name: x}}}`, "belong to the operator"),
	)

	DescribeTable("accepts", func(ctx SpecContext, rest string) {
		Expect(k8s.Create(ctx, fromYAML("default", "good", spec(rest)), client.DryRunAll)).To(Succeed())
	},
		Entry("a budget of nothing, which blocks drains on purpose", `disruption: {maxUnavailable: 0}`),
		Entry("shares from 0 to 100", `disruption: {minAvailable: 100%}`),
		Entry("a host of many names with TLS", `expose: {ingress: {host: "*.example.com", tls: {secretName: s}}}`),
		Entry("a timeout for attempts alone", `expose: {httpRoute: {parentRefs: [{name: a}], timeouts: {backendRequest: 1h30m}}}`),
		Entry("no bound for requests, but one for attempts", `expose: {httpRoute: {parentRefs: [{name: a}], timeouts: {request: 0s, backendRequest: 10m}}}`),
		Entry("a peer in every namespace", `networkPolicy: {from: [{namespaceSelector: {}}]}`),
		Entry("IPv6", `networkPolicy: {from: [{ipBlock: "2001:db8::/64"}], egress: [{ports: [443]}]}`),
		Entry("everything empty", `expose: {service: {}, ingress: {}}, disruption: {}, networkPolicy: {}, monitoring: {prometheusRule: {}, dashboard: {}}`),
	)

	It("accepts every sample", func(ctx SpecContext) {
		files, err := filepath.Glob(filepath.Join("..", "config", "samples", "*.yaml"))
		Expect(err).NotTo(HaveOccurred())
		found := 0
		for _, file := range files {
			text, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			for part := range strings.SplitSeq(string(text), "\n---\n") {
				u := &unstructured.Unstructured{}
				Expect(yaml.Unmarshal([]byte(part), &u.Object)).To(Succeed())
				if u.GetKind() != "GptOssModel" {
					continue
				}
				found++
				u.SetNamespace("default")
				strict := client.WithFieldValidation(k8s, metav1.FieldValidationStrict)
				Expect(strict.Create(ctx, u, client.DryRunAll)).To(Succeed(), file)
			}
		}
		Expect(found).To(BeNumerically(">=", 9))
	})
})
