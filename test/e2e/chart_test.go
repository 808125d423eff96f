//go:build e2e

package e2e

import (
	"bytes"
	"os/exec"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	chartRelease   = "chart"
	chartNamespace = "gptoss-chart"
	chartModels    = "chart-models"

	// previousChart is the chart of the release before, frozen as the objects that it rendered: a clone without history
	// has no older commit to take it from, and a packaged chart would be a binary in git.
	previousChart = "test/e2e/testdata/chart-0.1.0"
	presentChart  = "charts/gptoss-operator"
)

// kept is a model that must outlive everything that happens to the chart.
const kept = `
apiVersion: v1
kind: Namespace
metadata:
  name: chart-models
  labels: {pod-security.kubernetes.io/enforce: restricted}
---
apiVersion: gptoss.dev/v1alpha1
kind: GptOssModel
metadata:
  name: kept
  namespace: chart-models
spec:
  model:
    source: {demo: {}}
  generation:
    temperature: 0.5
`

// helmProgram is the path of the pinned Helm, which the go command builds.
func helmProgram() string {
	cmd := exec.Command("go", "tool", "-modfile=hack/tools/go.mod", "-n", "helm")
	cmd.Dir = root
	out, err := cmd.Output()
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	return strings.TrimSpace(string(out))
}

// images reads which images the installation of the suite runs, as settings of the chart.
func images() []string {
	deployment := []string{"-n", "gptoss-system", "get", "deployment", "gptoss-operator", "-o"}
	operator := mustKubectl("", append(deployment, "jsonpath={.spec.template.spec.containers[0].image}")...)
	args := mustKubectl("", append(deployment, `jsonpath={range .spec.template.spec.containers[0].args[*]}{@}{"\n"}{end}`)...)
	var server string
	for line := range strings.Lines(args) {
		if image, found := strings.CutPrefix(strings.TrimSpace(line), "--server-image="); found {
			server = image
		}
	}
	var set []string
	for value, image := range map[string]string{"image": operator, "serverImage": server} {
		repository, tag, found := strings.Cut(image, ":")
		ExpectWithOffset(1, found).To(BeTrue(), image)
		set = append(set, "--set", value+".repository="+repository, "--set-string", value+".tag="+tag)
	}
	return set
}

var _ = Describe("the chart", Ordered, Serial, func() {
	var program, uid, pods string
	var set []string

	helm := func(args ...string) {
		GinkgoHelper()
		cmd := inCluster(append([]string{program, "-n", chartNamespace}, args...)...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		Expect(cmd.Run()).To(Succeed(), out.String())
	}
	upgrade := func(settings ...string) {
		GinkgoHelper()
		helm(append(append([]string{"upgrade", chartRelease, presentChart, "--set", "replicas=1"}, set...), settings...)...)
		mustKubectl("", "-n", chartNamespace, "rollout", "status", "deployment/chart-gptoss-operator", "--timeout=60s")
	}
	read := func(kind, path string) string {
		GinkgoHelper()
		return mustKubectl("", "-n", chartModels, "get", kind, "-o", "jsonpath="+path)
	}
	uids := func() string {
		GinkgoHelper()
		return read("pods", "{.items[*].metadata.uid}")
	}
	unchanged := func() {
		GinkgoHelper()
		Expect(read("gom/kept", "{.metadata.uid} {.spec.generation.temperature}")).To(Equal(uid + " 0.5"))
		Expect(uids()).To(Equal(pods), "the model's pods were replaced")
	}

	// The operator of the suite makes room, and its CustomResourceDefinition too: Helm installs one itself.
	BeforeAll(func() {
		program, set = helmProgram(), images()
		DeferCleanup(func() {
			_ = inCluster(program, "-n", chartNamespace, "uninstall", chartRelease, "--ignore-not-found").Run()
			mustKubectl("", "apply", "--server-side", "--force-conflicts", "-k", "config/crd")
			mustKubectl("", "-n", "gptoss-system", "scale", "deployment/gptoss-operator", "--replicas=2")
			mustKubectl("", "-n", "gptoss-system", "rollout", "status", "deployment/gptoss-operator", "--timeout=60s")
			mustKubectl("", "delete", "namespace", chartModels, chartNamespace, "--ignore-not-found", "--wait=false")
		})
		mustKubectl("", "-n", "gptoss-system", "scale", "deployment/gptoss-operator", "--replicas=0")
		mustKubectl("", "-n", "gptoss-system", "wait", "--for=delete", "pods", "-l", "app.kubernetes.io/name=gptoss-operator", "--timeout=60s")
		mustKubectl("", "delete", "gom", "--all", "-A")
		mustKubectl("", "delete", "crd", "gptossmodels.gptoss.dev")
	})

	It("upgrades from the previous one, with its CRD and without loss of a model", func() {
		helm(append([]string{"install", chartRelease, previousChart, "--create-namespace"}, set...)...)
		mustKubectl("", "wait", "--for=condition=Established", "crd/gptossmodels.gptoss.dev", "--timeout=30s")
		Expect(mustKubectl("", "get", "crd", "gptossmodels.gptoss.dev", "-o", "jsonpath={..spec.description}")).To(BeEmpty())
		mustKubectl(kept, "apply", "-f", "-")
		uid = read("gom/kept", "{.metadata.uid}")

		upgrade()
		Expect(mustKubectl("", "explain", "gom.spec.replicas")).To(ContainSubstring("DESCRIPTION"), "the CRD is still the previous one")
		Eventually(ready(chartModels, "kept")).Should(HavePrefix("True "))
		pods = uids()
		Expect(pods).NotTo(BeEmpty())
		unchanged()
	})

	It("restarts the operator and no model when a value changes", func() {
		upgrade("--set", "extraArgs={--log-level=debug}", "--set", "networkPolicy.enabled=true")
		Expect(ready(chartModels, "kept")(Default)).To(HavePrefix("True "))
		unchanged()
	})

	It("leaves the CRD and the models when it is uninstalled, and takes them up again", func() {
		helm("uninstall", chartRelease, "--wait")
		Expect(kubectl("", "-n", chartNamespace, "get", "deployments", "-o", "name")).To(BeEmpty())
		Expect(mustKubectl("", "get", "clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/instance="+chartRelease, "-o", "name")).To(BeEmpty())
		unchanged()
		Expect(ready(chartModels, "kept")(Default)).To(HavePrefix("True "))

		helm(append([]string{"install", chartRelease, presentChart, "--set", "replicas=1"}, set...)...)
		mustKubectl("", "-n", chartModels, "scale", "gom/kept", "--replicas=2")
		Eventually(ready(chartModels, "kept")).Should(HavePrefix("True Ready 2 of 2"))
		Expect(uids()).To(ContainSubstring(pods), "the model's pod was replaced")
		Expect(read("gom/kept", "{.metadata.uid}")).To(Equal(uid))
	})
})
