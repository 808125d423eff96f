//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// inCluster prepares a command that runs inside the node's network.
func inCluster(args ...string) *exec.Cmd {
	cmd := exec.Command("bin/cluster", append([]string{"exec", "--"}, args...)...)
	cmd.Dir = root
	return cmd
}

// kubectl runs kubectl with input on its standard input.
func kubectl(input string, args ...string) (string, error) {
	cmd := inCluster(append([]string{"kubectl"}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// mustKubectl is kubectl that fails the test.
func mustKubectl(input string, args ...string) string {
	out, err := kubectl(input, args...)
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	return strings.TrimSpace(out)
}

// condition reads "STATUS REASON MESSAGE" of one condition of a GptOssModel,
// empty while the status speaks of an older generation.
func condition(g Gomega, namespace, name, conditionType string) string {
	out, err := kubectl("", "-n", namespace, "get", "gom", name, "-o", "json")
	g.Expect(err).NotTo(HaveOccurred())
	var object struct {
		Metadata struct{ Generation int64 }
		Status   struct {
			ObservedGeneration int64
			Conditions         []struct{ Type, Status, Reason, Message string }
		}
	}
	g.Expect(json.Unmarshal([]byte(out), &object)).To(Succeed())
	if object.Status.ObservedGeneration != object.Metadata.Generation {
		return ""
	}
	for _, c := range object.Status.Conditions {
		if c.Type == conditionType {
			return c.Status + " " + c.Reason + " " + c.Message
		}
	}
	return ""
}

// ready returns a function for Eventually that reads the Ready condition.
func ready(namespace, name string) func(Gomega) string {
	return func(g Gomega) string { return condition(g, namespace, name, "Ready") }
}

// apiKey reads the key that the operator generated.
func apiKey(namespace, name string) string {
	secret := mustKubectl("", "-n", namespace, "get", "gom", name, "-o", "jsonpath={.status.apiKeySecret}")
	encoded := mustKubectl("", "-n", namespace, "get", "secret", secret, "-o", "jsonpath={.data.api-key}")
	key, err := base64.StdEncoding.DecodeString(encoded)
	Expect(err).NotTo(HaveOccurred())
	return string(key)
}

// operatorWrites counts the operator's writes in the API server's audit log,
// which holds the writing verbs. Renewing the leader's lease is not counted: it
// is how the second replica knows that the first one lives.
func operatorWrites() int {
	log, err := os.ReadFile(filepath.Join(os.Getenv("GPTOSS_CACHE"), "cluster", "audit.log"))
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	n := 0
	for line := range strings.Lines(string(log)) {
		var event struct {
			User      struct{ Username string }
			ObjectRef struct{ Resource string }
		}
		if json.Unmarshal([]byte(line), &event) == nil && event.User.Username == "system:serviceaccount:gptoss-system:gptoss-operator" &&
			event.ObjectRef.Resource != "leases" {
			n++
		}
	}
	return n
}

// answer is the JSON line that the OpenAI client prints.
type answer struct {
	ID           string   `json:"id"`
	IDs          []string `json:"ids"`
	Object       string   `json:"object"`
	Model        string   `json:"model"`
	Role         string   `json:"role"`
	Content      string   `json:"content"`
	FinishReason string   `json:"finish_reason"`
	Chunks       int      `json:"chunks"`
	Models       []string `json:"models"`
	Usage        struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	} `json:"usage"`
	OK     int      `json:"ok"`
	Failed int      `json:"failed"`
	Errors []string `json:"errors"`
	Status int      `json:"status"`
	Code   string   `json:"code"`
	Type   string   `json:"type"`
	Error  string   `json:"error"`
}

// client prepares a run of the OpenAI client against a model.
func client(namespace, name, key string, args ...string) *exec.Cmd {
	url := mustKubectl("", "-n", namespace, "get", "gom", name, "-o", "jsonpath={.status.url}")
	model := mustKubectl("", "-n", namespace, "get", "gom", name, "-o", "jsonpath={.status.model}")
	cmd := inCluster(append([]string{"node", "test/e2e/client/client.mjs"}, args...)...)
	cmd.Env = append(os.Environ(), "OPENAI_BASE_URL="+url, "OPENAI_API_KEY="+key, "MODEL="+model)
	return cmd
}

// result runs a prepared client and parses its line.
func result(cmd *exec.Cmd) answer {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	ExpectWithOffset(1, err).NotTo(HaveOccurred(), stderr.String())
	var a answer
	ExpectWithOffset(1, json.Unmarshal(out, &a)).To(Succeed(), string(out))
	return a
}

// crowd keeps so many streams going, which try as often again as is said, until the function that it returns is called.
// That one waits for the last of them to end.
func crowd(namespace, name string, streams, retries int) (leave func() answer) {
	GinkgoHelper()
	cmd := client(namespace, name, apiKey(namespace, name), "crowd", strconv.Itoa(streams))
	cmd.Env = append(cmd.Env, "RETRIES="+strconv.Itoa(retries))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, GinkgoWriter
	Expect(cmd.Start()).To(Succeed())
	left := false
	leave = func() answer {
		GinkgoHelper()
		if left {
			return answer{}
		}
		left = true
		Expect(cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
		Expect(cmd.Wait()).To(Succeed())
		var a answer
		Expect(json.Unmarshal([]byte(out.String()), &a)).To(Succeed(), out.String())
		return a
	}
	DeferCleanup(func() { leave() })
	return leave
}
