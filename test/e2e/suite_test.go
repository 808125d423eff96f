//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// root is the repository's root, where the Makefile builds into bin/.
const root = "../.."

// TestE2E brings up the local Kubernetes with the operator in it, runs the
// specs, and takes everything down again. KEEP=1 leaves it up for a look.
func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(2 * time.Minute)
	SetDefaultEventuallyPollingInterval(500 * time.Millisecond)
	RunSpecs(t, "end to end")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	npm := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = "client"
	npm.Stdout, npm.Stderr = GinkgoWriter, GinkgoWriter
	Expect(npm.Run()).To(Succeed(), "the OpenAI client of these tests needs node and npm")

	install := exec.CommandContext(ctx, "bin/demo", "install")
	install.Dir = root
	install.Stdout, install.Stderr = os.Stdout, os.Stderr
	Expect(install.Run()).To(Succeed())
}, NodeTimeout(25*time.Minute))

var _ = AfterSuite(func(ctx SpecContext) {
	if os.Getenv("KEEP") != "" {
		return
	}
	down := exec.CommandContext(ctx, "bin/demo", "down")
	down.Dir = root
	down.Stdout, down.Stderr = os.Stdout, os.Stderr
	Expect(down.Run()).To(Succeed())
}, NodeTimeout(2*time.Minute))

var _ = ReportAfterEach(func(report SpecReport) {
	if !report.Failed() {
		return
	}
	for _, args := range [][]string{
		{"get", "gom,deploy,rs,jobs,pods,svc,hpa,pvc", "-A", "-o", "wide"},
		{"get", "gom", "-A", "-o", "yaml"},
		{"get", "apiservices", "v1beta2.custom.metrics.k8s.io", "-o", "yaml"},
		{"get", "events", "-A", "--sort-by=.lastTimestamp"},
		{"-n", "gptoss-system", "logs", "deploy/gptoss-operator", "--tail=60"},
	} {
		out, err := kubectl("", args...)
		GinkgoWriter.Printf("--- kubectl %v (%v)\n%s\n", args, err, out)
	}
})
