//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// restricted is a namespace in which the API server refuses pods that ask for more than Pod Security "restricted" gives.
const restricted = `
apiVersion: v1
kind: Namespace
metadata:
  name: team
  labels: {pod-security.kubernetes.io/enforce: restricted}
`

var _ = Describe("a seven-line GptOssModel", Ordered, func() {
	const ns, name = "team", "demo"
	var key string

	BeforeAll(func() {
		sample, err := os.ReadFile(filepath.Join(root, "config/samples/demo.yaml"))
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.Split(strings.TrimSpace(string(sample)), "\n")).To(HaveLen(7))
		mustKubectl(restricted, "apply", "-f", "-")
		mustKubectl(string(sample), "-n", ns, "apply", "-f", "-")
		Eventually(ready(ns, name)).Should(HavePrefix("True "))
		key = apiKey(ns, name)
	})

	It("shows its state in kubectl get", func() {
		lines := strings.Split(mustKubectl("", "-n", ns, "get", "gom"), "\n")
		Expect(strings.Fields(lines[0])).To(Equal([]string{"NAME", "READY", "REASON", "REPLICAS", "MODEL", "URL", "AGE"}))
		Expect(strings.Fields(lines[1])[:2]).To(Equal([]string{"demo", "True"}))
	})

	It("answers the OpenAI client", func() {
		a := result(client(ns, name, key, "chat"))
		Expect(a.Error).To(BeEmpty())
		Expect(a.ID).To(HavePrefix("chatcmpl-"))
		Expect(a.Object).To(Equal("chat.completion"))
		Expect(a.Role).To(Equal("assistant"))
		Expect(a.Content).NotTo(BeEmpty())
		Expect(a.Content).NotTo(ContainSubstring("<|"))
		Expect(a.FinishReason).To(Equal("stop"))
		Expect(a.Usage.Total).To(Equal(a.Usage.Prompt + a.Usage.Completion))
		Expect(a.Usage.Completion).To(BeNumerically(">", 0))
	})

	It("streams to the OpenAI client", func() {
		a := result(client(ns, name, key, "stream"))
		Expect(a.Error).To(BeEmpty())
		Expect(a.IDs).To(HaveLen(1))
		Expect(a.Chunks).To(BeNumerically(">", 1))
		Expect(a.Content).NotTo(BeEmpty())
		Expect(a.FinishReason).To(Equal("stop"))
		Expect(a.Usage.Total).To(Equal(a.Usage.Prompt + a.Usage.Completion))
	})

	It("lists its model", func() {
		Expect(result(client(ns, name, key, "models")).Models).To(Equal([]string{"gpt-oss-demo"}))
	})

	It("refuses a bad key", func() {
		a := result(client(ns, name, "sk-wrong", "chat"))
		Expect(a.Status).To(Equal(401))
		Expect(a.Error).NotTo(ContainSubstring("sk-wrong"))
	})

	It("recovers from a killed pod", func() {
		selector := mustKubectl("", "-n", ns, "get", "gom", name, "-o", "jsonpath={.status.selector}")
		before := mustKubectl("", "-n", ns, "get", "pods", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}")
		streaming := client(ns, name, key, "load", "500")
		Expect(streaming.Start()).To(Succeed())
		mustKubectl("", "-n", ns, "delete", "pod", before, "--grace-period=0", "--force")
		Eventually(ready(ns, name)).Should(HavePrefix("False "))
		Eventually(ready(ns, name)).Should(HavePrefix("True "))
		// It may have run through its requests by now, most of them refused.
		_ = streaming.Process.Signal(syscall.SIGTERM)
		_ = streaming.Wait()
		after := mustKubectl("", "-n", ns, "get", "pods", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}")
		Expect(after).NotTo(Equal(before))
		Eventually(func() string { return result(client(ns, name, key, "chat")).Content }).ShouldNot(BeEmpty())
	})

	It("rolls a change without a failed request", func() {
		load := client(ns, name, key, "load", "60")
		var out strings.Builder
		load.Stdout, load.Stderr = &out, GinkgoWriter
		Expect(load.Start()).To(Succeed())
		mustKubectl("", "-n", ns, "patch", "gom", name, "--type=merge", "-p", `{"spec":{"engine":{"contextLength":1024}}}`)
		Eventually(ready(ns, name)).Should(HavePrefix("True "))
		args := mustKubectl("", "-n", ns, "get", "pods", "-o", "jsonpath={.items[?(@.status.phase=='Running')].spec.containers[0].args}")
		Expect(args).To(ContainSubstring("--context-length=1024"))
		Expect(load.Wait()).To(Succeed())
		Expect(out.String()).To(ContainSubstring(`"ok":60,"failed":0`))
	})

	It("writes nothing while nothing changes", func() {
		Eventually(ready(ns, name)).Should(HavePrefix("True "))
		before := operatorWrites()
		Expect(before).NotTo(BeZero())
		Consistently(operatorWrites, "20s", "2s").Should(Equal(before))
	})

	It("removes all it made when it is deleted", func() {
		mustKubectl("", "-n", ns, "delete", "gom", name)
		Eventually(func() string {
			return mustKubectl("", "-n", ns, "get", "deploy,rs,pods,svc,hpa,secrets", "-o", "name")
		}).Should(BeEmpty())
	})
})

// brokenModel is a volume whose weights break off in the middle.
const brokenModel = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: broken}
spec:
  capacity: {storage: 1Mi}
  accessModes: [ReadOnlyMany]
  storageClassName: ""
  hostPath: {path: %q}
  claimRef: {namespace: team, name: broken}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: broken, namespace: team}
spec:
  accessModes: [ReadOnlyMany]
  storageClassName: ""
  volumeName: broken
  resources: {requests: {storage: 1Mi}}
---
apiVersion: gptoss.dev/v1alpha1
kind: GptOssModel
metadata: {name: broken, namespace: team}
spec:
  model:
    source: {persistentVolumeClaim: {claimName: broken}}
`

var _ = Describe("a GptOssModel that cannot work", Ordered, func() {
	BeforeAll(func() { mustKubectl(restricted, "apply", "-f", "-") })

	It("repeats the server's sentence about broken weights", func() {
		dir, err := os.MkdirTemp("", "gptoss-e2e-")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(os.RemoveAll, dir)
		Expect(os.Chmod(dir, 0o755)).To(Succeed())
		for _, name := range []string{"config.json", "tokenizer.json", "generation_config.json", "model.safetensors"} {
			content, err := os.ReadFile(filepath.Join(root, "engine/demo/files", name))
			Expect(err).NotTo(HaveOccurred())
			if name == "model.safetensors" {
				content = content[:len(content)/2]
			}
			Expect(os.WriteFile(filepath.Join(dir, name), content, 0o644)).To(Succeed())
		}
		mustKubectl(fmt.Sprintf(brokenModel, dir), "apply", "-f", "-")
		Eventually(ready("team", "broken")).Should(And(HavePrefix("False ModelLoadFailed "), ContainSubstring("model.safetensors")))
		mustKubectl("", "-n", "team", "delete", "gom,pvc", "broken")
		mustKubectl("", "delete", "pv", "broken")
	})

	It("is refused with a sentence when it names no source", func() {
		_, err := kubectl(`{"apiVersion":"gptoss.dev/v1alpha1","kind":"GptOssModel","metadata":{"name":"none"},"spec":{"model":{"source":{}}}}`, "apply", "-f", "-")
		Expect(err).To(MatchError(ContainSubstring("model.source must hold exactly one of")))
	})
})
