//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// weightsVolume is a folder of this machine as a volume of the namespace.
const weightsVolume = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: gpu-weights}
spec:
  capacity: {storage: 1Mi}
  accessModes: [ReadOnlyMany]
  storageClassName: ""
  hostPath: {path: %q}
  claimRef: {namespace: team, name: gpu-weights}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: gpu-weights, namespace: team}
spec:
  accessModes: [ReadOnlyMany]
  storageClassName: ""
  volumeName: gpu-weights
  resources: {requests: {storage: 1Mi}}
`

// gpuModel is a model of another runtime. What it requests is small, since the stand-in computes nothing.
const gpuModel = `
apiVersion: gptoss.dev/v1alpha1
kind: GptOssModel
metadata: {name: %s, namespace: team}
spec:
  model: {source: {persistentVolumeClaim: {claimName: gpu-weights, path: gpt-oss-20b}}}
  runtime: {type: %s, image: %q}
  resources: {requests: {cpu: 10m, memory: 32Mi}}
`

// standin builds the program that plays a runtime under its name, and gives the cluster its image.
func standin(name string) string {
	ref := "gptoss.dev/standin-" + name + ":e2e"
	for _, args := range [][]string{
		{"go", "build", "-trimpath", "-o", "bin/standin/" + name, "./test/e2e/standin"},
		{"bin/cluster", "image", "--out", "bin/standin/" + name + ".tar", "--ref", ref, "--binary", "bin/standin/" + name},
		{"bin/cluster", "load", "bin/standin/" + name + ".tar"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		ExpectWithOffset(1, err).NotTo(HaveOccurred(), "%v: %s", args, out)
	}
	return ref
}

// setGPUs has the node say that it has so many GPUs.
func setGPUs(n int) {
	node := mustKubectl("", "get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
	patch := fmt.Sprintf(`{"status":{"capacity":{"nvidia.com/gpu":"%d"},"allocatable":{"nvidia.com/gpu":"%d"}}}`, n, n)
	mustKubectl("", "patch", "node", node, "--subresource=status", "--type=merge", "-p", patch)
}

var _ = Describe("a runtime of somebody else", Ordered, func() {
	const ns = "team"

	BeforeAll(func() {
		mustKubectl(restricted, "apply", "-f", "-")
		dir, err := os.MkdirTemp("", "gptoss-e2e-")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(os.RemoveAll, dir)
		Expect(os.MkdirAll(filepath.Join(dir, "gpt-oss-20b"), 0o755)).To(Succeed())
		Expect(os.Chmod(dir, 0o755)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, "gpt-oss-20b", "config.json"), []byte("{}"), 0o644)).To(Succeed())
		mustKubectl(fmt.Sprintf(weightsVolume, dir), "apply", "-f", "-")
		setGPUs(1)
		DeferCleanup(func() {
			setGPUs(0)
			mustKubectl("", "-n", ns, "delete", "gom,pvc", "--ignore-not-found", "vllm", "tgi", "gpu-weights")
			mustKubectl("", "delete", "pv", "gpu-weights")
		})
	})

	It("is vLLM, with its own command, key and GPU", func() {
		mustKubectl(fmt.Sprintf(gpuModel, "vllm", "vllm", standin("vllm")), "apply", "-f", "-")
		Eventually(ready(ns, "vllm")).Should(HavePrefix("True "))
		key := apiKey(ns, "vllm")
		Expect(result(client(ns, "vllm", key, "models")).Models).To(Equal([]string{"gpt-oss-20b"}))
		Expect(result(client(ns, "vllm", "sk-wrong", "models")).Status).To(Equal(401))
		startup := mustKubectl("", "-n", ns, "get", "gom", "vllm", "-o", "jsonpath={.status.startup}")
		Expect(startup).To(And(ContainSubstring(`"pod":"vllm-`), ContainSubstring("loadedSeconds")))
	})

	It("waits with a change while the only GPU is taken, and says so", func() {
		before := mustKubectl("", "-n", ns, "get", "pods", "-l", "app.kubernetes.io/instance=vllm", "-o", "name")
		mustKubectl("", "-n", ns, "patch", "gom", "vllm", "--type=merge", "-p", `{"spec":{"engine":{"maxSequences":4}}}`)
		Eventually(ready(ns, "vllm")).Should(And(HavePrefix("False WaitingForCapacity "), ContainSubstring("Insufficient nvidia.com/gpu"),
			ContainSubstring("rollout.onNoCapacity: Recreate")))
		Expect(strings.Fields(mustKubectl("", "-n", ns, "get", "pods", "-l", "app.kubernetes.io/instance=vllm", "-o", "name"))).To(ContainElement(before))
		Expect(result(client(ns, "vllm", apiKey(ns, "vllm"), "models")).Models).To(HaveLen(1), "the earlier pod goes on serving")
	})

	It("gives the GPU to the new pod when it is allowed to", func() {
		mustKubectl("", "-n", ns, "patch", "gom", "vllm", "--type=merge", "-p", `{"spec":{"rollout":{"onNoCapacity":"Recreate"}}}`)
		Eventually(ready(ns, "vllm")).Should(HavePrefix("True "))
		args := mustKubectl("", "-n", ns, "get", "pods", "-l", "app.kubernetes.io/instance=vllm", "-o", "jsonpath={.items[?(@.status.phase=='Running')].spec.containers[0].args}")
		Expect(args).To(ContainSubstring(`"--max-num-seqs","4"`))
		Expect(mustKubectl("", "-n", ns, "get", "deploy", "vllm", "-o", "jsonpath={.spec.strategy.rollingUpdate.maxSurge}")).To(Equal("1"))
		mustKubectl("", "-n", ns, "delete", "gom", "vllm")
	})

	It("is Text Generation Inference, with its own command, key and GPU", func() {
		mustKubectl(fmt.Sprintf(gpuModel, "tgi", "tgi", standin("text-generation-launcher")), "apply", "-f", "-")
		Eventually(ready(ns, "tgi")).Should(HavePrefix("True "))
		Expect(result(client(ns, "tgi", apiKey(ns, "tgi"), "models")).Models).To(Equal([]string{"/models/gpt-oss-20b"}))
		mustKubectl("", "-n", ns, "delete", "gom", "tgi")
		Eventually(func() string { return mustKubectl("", "-n", ns, "get", "pods", "-o", "name") }).Should(BeEmpty())
	})

	It("is what the node's own words are about when it does not start", func() {
		mustKubectl(fmt.Sprintf(gpuModel, "tgi", "tgi", "gptoss.dev/nowhere:1"), "apply", "-f", "-")
		Eventually(ready(ns, "tgi")).Should(And(HavePrefix("False ImagePullFailed "), ContainSubstring("gptoss.dev/nowhere:1")))
		mustKubectl("", "-n", ns, "delete", "gom", "tgi")
	})
})
