//go:build e2e

package e2e

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// volume is made by hand for the claim of a model's cache: the local Kubernetes has no storage provisioner.
const volume = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: %[1]s}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  hostPath: {path: %[2]q}
  claimRef: {namespace: team, name: %[1]s-weights}
`

const hubModel = `
apiVersion: gptoss.dev/v1alpha1
kind: GptOssModel
metadata: {name: hub, namespace: team}
spec:
  model:
    source: {huggingFace: {repo: acme/gpt-oss-demo, endpoint: %q}}
    cache: {storageClassName: "", size: 1Gi}
  replicas: 2
  resources: {requests: {cpu: 50m}}
`

const fileModel = `
apiVersion: gptoss.dev/v1alpha1
kind: GptOssModel
metadata: {name: file, namespace: team}
spec:
  model:
    source: {http: {url: %q, sha256: "%064d"}}
    cache: {storageClassName: "", reclaimPolicy: Delete}
  resources: {requests: {cpu: 50m}}
`

// startHub serves the demo model's files, and one packed file, inside the node's network. It returns the base URL and the
// packed file's checksum.
func startHub() (url, sum string) {
	GinkgoHelper()
	dir := scratch()
	packed := filepath.Join(dir, "gpt-oss-demo.gptoss")
	pack := exec.Command("bin/gptoss-server", "pack", "--quiet", "demo", packed)
	pack.Dir, pack.Stderr = root, GinkgoWriter
	Expect(pack.Run()).To(Succeed())
	data, err := os.ReadFile(packed)
	Expect(err).NotTo(HaveOccurred())
	digest := sha256.Sum256(data)

	hub := inCluster("node", "test/e2e/hub/hub.mjs", "engine/demo/files", dir)
	hub.Stderr = GinkgoWriter
	in, err := hub.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	out, err := hub.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(hub.Start()).To(Succeed())
	DeferCleanup(func() {
		_ = in.Close()
		_ = hub.Wait()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	Expect(err).NotTo(HaveOccurred())
	node := mustKubectl("", "get", "nodes", "-o", `jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}`)
	return fmt.Sprintf("http://%s:%s", node, strings.TrimSpace(port)), hex.EncodeToString(digest[:])
}

// scratch is a folder that everybody may write to, as a volume's root is after its driver has seen fsGroup.
func scratch() string {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "gptoss-e2e-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	Expect(os.Chmod(dir, 0o777)).To(Succeed())
	return dir
}

// asked reads from the hub how often a file was asked for.
func asked(url, file string) int {
	GinkgoHelper()
	out, err := inCluster("node", "-e", fmt.Sprintf(`fetch(%q).then(r => r.text()).then(t => console.log(t))`, url+"/count")).Output()
	Expect(err).NotTo(HaveOccurred())
	var count map[string]int
	Expect(json.Unmarshal(out, &count)).To(Succeed())
	return count[file]
}

// weightsIn lists the files of a volume.
func weightsIn(dir string) []string {
	GinkgoHelper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	Expect(err).NotTo(HaveOccurred())
	for i, name := range found {
		found[i], err = filepath.Rel(dir, name)
		Expect(err).NotTo(HaveOccurred())
	}
	return found
}

var _ = Describe("a GptOssModel whose weights are downloaded", Ordered, func() {
	const ns = "team"
	var url, sum string

	BeforeAll(func() {
		mustKubectl(restricted, "apply", "-f", "-")
		url, sum = startHub()
	})

	It("fetches a repository once for all its pods, and another revision beside them", func() {
		dir := scratch()
		mustKubectl(fmt.Sprintf(volume, "hub", dir), "apply", "-f", "-")
		mustKubectl(fmt.Sprintf(hubModel, url), "apply", "-f", "-")
		Eventually(ready(ns, "hub")).Should(HavePrefix("False DownloadingWeights "))
		Eventually(func() string {
			return mustKubectl("", "-n", ns, "get", "gom", "hub", "-o", "jsonpath={.status.download.phase} {.status.download.totalBytes}")
		}).Should(MatchRegexp("^Downloading [1-9]"), "the operator reads it from the download's pod")
		Eventually(ready(ns, "hub")).Should(HavePrefix("True "))
		Expect(asked(url, "model.safetensors")).To(Equal(1))
		files := weightsIn(dir)
		Expect(files).To(HaveExactElements(HaveSuffix("/gpt-oss-demo.gptoss")))
		Expect(result(client(ns, "hub", apiKey(ns, "hub"), "chat")).Content).NotTo(BeEmpty())

		mustKubectl("", "-n", ns, "patch", "gom", "hub", "--type=merge", "-p", `{"spec":{"model":{"source":{"huggingFace":{"revision":"v2"}}}}}`)
		Eventually(ready(ns, "hub")).Should(HavePrefix("True "))
		Eventually(func() []string { return weightsIn(dir) }).Should(And(HaveLen(1), Not(Equal(files))), "the old weights go")
		Expect(result(client(ns, "hub", apiKey(ns, "hub"), "chat")).Content).NotTo(BeEmpty())

		mustKubectl("", "-n", ns, "delete", "gom", "hub")
		Eventually(func() string { return mustKubectl("", "-n", ns, "get", "jobs,pods", "-o", "name") }).Should(BeEmpty())
		Expect(mustKubectl("", "-n", ns, "get", "pvc", "hub-weights", "-o", "jsonpath={.status.phase}")).To(Equal("Bound"), "weights are kept")
		mustKubectl("", "-n", ns, "delete", "pvc", "hub-weights")
		mustKubectl("", "delete", "pv", "hub")
	})

	It("refuses a file with another checksum, and serves the right one", func() {
		mustKubectl(fmt.Sprintf(volume, "file", scratch()), "apply", "-f", "-")
		mustKubectl(fmt.Sprintf(fileModel, url+"/files/gpt-oss-demo.gptoss", 0), "apply", "-f", "-")
		Eventually(ready(ns, "file")).Should(And(HavePrefix("False DigestMismatch "), ContainSubstring("found "+sum)))
		mustKubectl("", "-n", ns, "patch", "gom", "file", "--type=merge", "-p", `{"spec":{"model":{"source":{"http":{"sha256":"`+sum+`"}}}}}`)
		Eventually(ready(ns, "file")).Should(HavePrefix("True "))
		Expect(result(client(ns, "file", apiKey(ns, "file"), "chat")).Content).NotTo(BeEmpty())
		mustKubectl("", "-n", ns, "delete", "gom", "file")
		Eventually(func() string { return mustKubectl("", "-n", ns, "get", "pvc,jobs,pods", "-o", "name") }).Should(BeEmpty(), "with its weights")
		mustKubectl("", "delete", "pv", "file")
	})
})
