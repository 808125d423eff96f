//go:build e2e

package e2e

import (
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// calledModel has two pods, so that one can go while the other answers.
const calledModel = `
apiVersion: v1
kind: Namespace
metadata:
  name: streams
  labels: {pod-security.kubernetes.io/enforce: restricted}
---
apiVersion: gptoss.dev/v1alpha1
kind: GptOssModel
metadata: {name: called, namespace: streams}
spec:
  model:
    source: {demo: {}}
  replicas: 2
`

// The clients try nothing twice: what fails is seen.
var _ = Describe("twenty streams at a time run on", Ordered, func() {
	const ns, name = "streams", "called"
	var leave func() answer

	pods := func() []string {
		selector := mustKubectl("", "-n", ns, "get", "gom", name, "-o", "jsonpath={.status.selector}")
		return strings.Fields(mustKubectl("", "-n", ns, "get", "pods", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}"))
	}
	patch := func(text string) { mustKubectl("", "-n", ns, "patch", "gom", name, "--type=merge", "-p", text) }

	BeforeAll(func() {
		mustKubectl(calledModel, "apply", "-f", "-")
		Eventually(ready(ns, name)).Should(HavePrefix("True "))
	})

	BeforeEach(func() { leave = crowd(ns, name, 20, 0) })

	// Each change is over when no pod of before is left.
	AfterEach(func() {
		a := leave()
		Expect(a.Failed).To(BeZero(), strings.Join(a.Errors, "; "))
		Expect(a.OK).To(BeNumerically(">=", 20))
	})

	AfterAll(func() {
		if os.Getenv("KEEP") == "" {
			mustKubectl("", "-n", ns, "delete", "gom", name)
			mustKubectl("", "delete", "namespace", ns, "--wait=false")
		}
	})

	It("through a change of the spec", func() {
		before := pods()
		patch(`{"spec":{"engine":{"maxSequences":16}}}`)
		Eventually(pods).ShouldNot(ContainElement(BeElementOf(before)))
		Eventually(ready(ns, name)).Should(HavePrefix("True "))
	})

	It("through a smaller number of pods, and a greater one", func() {
		patch(`{"spec":{"replicas":1}}`)
		Eventually(pods).Should(HaveLen(1))
		patch(`{"spec":{"replicas":2}}`)
		Eventually(ready(ns, name)).Should(HavePrefix("True "))
		Expect(pods()).To(HaveLen(2))
	})

	It("through a node's drain", func() {
		before := pods()
		node := mustKubectl("", "get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
		drain := inCluster("kubectl", "drain", node, "--pod-selector=app.kubernetes.io/instance="+name, "--timeout=110s", "--delete-emptydir-data")
		drain.Stdout, drain.Stderr = GinkgoWriter, GinkgoWriter
		Expect(drain.Start()).To(Succeed())
		DeferCleanup(func() { mustKubectl("", "uncordon", node) })
		// Where there is one node only, the pods can come back only there.
		Eventually(pods).Should(ContainElement(Not(BeElementOf(before))))
		mustKubectl("", "uncordon", node)
		Expect(drain.Wait()).To(Succeed())
		Eventually(pods).ShouldNot(ContainElement(BeElementOf(before)))
		Eventually(ready(ns, name)).Should(HavePrefix("True "))
	})

	It("through another version of the operator, which leaves the pods alone", func() {
		before := pods()
		const operator = "deploy/gptoss-operator"
		args := mustKubectl("", "-n", "gptoss-system", "get", operator, "-o", "jsonpath={.spec.template.spec.containers[0].args}")
		change := func(args string) {
			mustKubectl("", "-n", "gptoss-system", "patch", operator, "--type=json", "-p",
				`[{"op":"replace","path":"/spec/template/spec/containers/0/args","value":`+args+`}]`)
			mustKubectl("", "-n", "gptoss-system", "rollout", "status", operator, "--timeout=120s")
		}
		DeferCleanup(func() { change(args) })
		change(strings.TrimSuffix(args, "]") + `,"--server-image=gptoss.dev/gptoss-server:next"]`)
		patch(`{"metadata":{"labels":{"seen":"yes"}}}`)
		Eventually(func() string {
			return mustKubectl("", "-n", ns, "get", "gom", name, "-o", "jsonpath={.status.updateAvailable}")
		}).Should(Equal("true"))
		Expect(pods()).To(ConsistOf(before))
	})
})
