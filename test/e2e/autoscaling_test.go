//go:build e2e

package e2e

import (
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// scaledModel wants two active requests for each pod, and takes a few seconds for what takes minutes by default.
const scaledModel = `
apiVersion: v1
kind: Namespace
metadata:
  name: scaled
  labels: {pod-security.kubernetes.io/enforce: restricted}
---
apiVersion: gptoss.dev/v1alpha1
kind: GptOssModel
metadata: {name: busy, namespace: scaled}
spec:
  model:
    source: {demo: {}}
  autoscaling:
    maxReplicas: 3
    targetActiveRequests: 2
    behavior:
      scaleUp: {stabilizationWindowSeconds: 0}
      scaleDown: {stabilizationWindowSeconds: 6}
`

// otherAdapter is a registration of somebody else, as prometheus-adapter's chart makes it.
const otherAdapter = `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.custom.metrics.k8s.io}
spec:
  group: custom.metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {namespace: default, name: prometheus-adapter}
`

var _ = Describe("autoscaling with nothing else installed", Ordered, func() {
	const ns, name = "scaled", "busy"

	// pods is the number of pods that the autoscaler wants and that are ready, once these are the same.
	pods := func(g Gomega) string {
		out, err := kubectl("", "-n", ns, "get", "deploy", name, "-o", "jsonpath={.spec.replicas} {.status.replicas} {.status.readyReplicas}")
		g.Expect(err).NotTo(HaveOccurred())
		return out
	}
	active := func(g Gomega) string { return condition(g, ns, name, "AutoscalingActive") }

	BeforeAll(func() {
		mustKubectl(scaledModel, "apply", "-f", "-")
		Eventually(ready(ns, name)).Should(HavePrefix("True "))
		Eventually(active).Should(HavePrefix("True MetricAvailable "))
		Expect(pods(Default)).To(Equal("1 1 1"))
	})

	AfterAll(func() {
		if os.Getenv("KEEP") == "" {
			mustKubectl("", "-n", ns, "delete", "gom", name)
			mustKubectl("", "delete", "namespace", ns, "--wait=false") // which looks again only after the pods' grace period
		}
	})

	It("grows with the load and shrinks without it", func() {
		leave := crowd(ns, name, 12, 2)
		Eventually(pods, "60s").Should(Equal("3 3 3"))
		a := leave()
		Expect(a.Failed).To(BeZero(), strings.Join(a.Errors, "; "))
		Eventually(pods, "90s").Should(Equal("1 1 1"))
	})

	It("does so while the operator's leader dies", func() {
		leave := crowd(ns, name, 12, 2)
		Eventually(func(g Gomega) string { return pods(g)[:1] }, "60s", "100ms").ShouldNot(Equal("1"))
		holder := mustKubectl("", "-n", "gptoss-system", "get", "lease", "gptoss-operator.gptoss.dev", "-o", "jsonpath={.spec.holderIdentity}")
		leader, _, _ := strings.Cut(holder, "_")
		mustKubectl("", "-n", "gptoss-system", "delete", "pod", leader, "--grace-period=0", "--force")
		Eventually(pods, "60s").Should(Equal("3 3 3"))
		leave()
		Eventually(pods, "90s").Should(Equal("1 1 1"))
		Eventually(ready(ns, name)).Should(HavePrefix("True "))
	})

	It("says so when custom metrics belong to somebody else, and takes over when they do no more", func() {
		mustKubectl(otherAdapter, "apply", "-f", "-")
		DeferCleanup(func() { mustKubectl("", "delete", "apiservice", "v1beta1.custom.metrics.k8s.io", "--ignore-not-found") })
		Eventually(active).Should(And(HavePrefix("False MetricsAPITaken "), ContainSubstring("Service default/prometheus-adapter")))
		Expect(mustKubectl("", "get", "apiservice", "v1beta1.custom.metrics.k8s.io", "-o", "jsonpath={.spec.service.name}")).To(Equal("prometheus-adapter"))
		Expect(mustKubectl("", "get", "apiservices", "-o", "name")).NotTo(ContainSubstring("v1beta2.custom.metrics.k8s.io"))
		mustKubectl("", "delete", "apiservice", "v1beta1.custom.metrics.k8s.io")
		Eventually(active).Should(HavePrefix("True MetricAvailable "))
	})
})
