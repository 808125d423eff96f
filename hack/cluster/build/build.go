// Package build compiles Kubernetes, etcd, CoreDNS and pause from the module
// in hack/cluster/kube, once per state of that module and Go version.
//
// The result lies in the cache folder, kube-KEY/bin, where KEY is a hash of
// everything that goes in. It appears by a rename, so it is there whole or not
// at all, and a lock keeps two runs from building at once.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

// Version is the Kubernetes version that the module pins.
const Version = "v1.37.1"

// Components are the names under which the one binary is called.
var Components = []string{
	"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl",
}

// flags leave debug information out: it doubles the linker's memory and time.
func flags() []string {
	const v = "k8s.io/component-base/version."
	ld := []string{
		"-s", "-w",
		"-X", v + "gitVersion=" + Version,
		"-X", v + "gitMajor=1",
		"-X", v + "gitMinor=37",
		"-X", v + "gitCommit=unknown",
		"-X", v + "gitTreeState=clean",
		"-X", v + "buildDate=2026-09-23T17:06:22Z",
	}
	return []string{"-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-ldflags", strings.Join(ld, " ")}
}

// Find looks for the module's folder: GPTOSS_CLUSTER_SOURCE, else
// hack/cluster/kube above the working directory or above this program.
func Find() (string, error) {
	if dir := os.Getenv("GPTOSS_CLUSTER_SOURCE"); dir != "" {
		return filepath.Abs(dir)
	}
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	for _, dir := range starts {
		for ; ; dir = filepath.Dir(dir) {
			for _, sub := range []string{"hack/cluster/kube", "kube"} {
				if _, err := os.Stat(filepath.Join(dir, sub, "cmd/kube/main.go")); err == nil {
					return filepath.Join(dir, sub), nil
				}
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("build: no hack/cluster/kube above the working directory; run this inside the checkout")
}

// Ensure returns the folder with the binaries, building them when they are not
// there. Progress goes to out.
func Ensure(ctx context.Context, out io.Writer) (string, error) {
	source, err := Find()
	if err != nil {
		return "", err
	}
	cache, err := state.Cache()
	if err != nil {
		return "", err
	}
	version, err := goVersion(ctx, source)
	if err != nil {
		return "", err
	}
	key, err := Key(os.DirFS(source), version, flags())
	if err != nil {
		return "", err
	}
	final := filepath.Join(cache, "kube-"+key)
	if complete(final) {
		return filepath.Join(final, "bin"), nil
	}
	unlock, err := state.Lock(ctx, filepath.Join(cache, "build.lock"), func() {
		_, _ = fmt.Fprintln(out, "another build of Kubernetes is running, waiting for it")
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if complete(final) {
		return filepath.Join(final, "bin"), nil
	}
	if err := compile(ctx, source, cache, final, out); err != nil {
		return "", err
	}
	return filepath.Join(final, "bin"), nil
}

func complete(final string) bool {
	for _, name := range append([]string{"coredns", "pause"}, Components...) {
		if _, err := os.Stat(filepath.Join(final, "bin", name)); err != nil {
			return false
		}
	}
	return true
}

func compile(ctx context.Context, source, cache, final string, out io.Writer) error {
	tmp, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	bin, work := filepath.Join(tmp, "kube", "bin"), filepath.Join(tmp, "work")
	for _, dir := range []string{bin, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("build: %w", err)
		}
	}
	g := golang{dir: source, cache: filepath.Join(cache, "gocache"), tmp: work, out: out}
	if err := g.build(ctx, bin); err != nil {
		return err
	}
	for _, name := range Components {
		if err := os.Symlink("kube", filepath.Join(bin, name)); err != nil {
			return fmt.Errorf("build: %w", err)
		}
	}
	// A leftover without all its files can only be a half-deleted one.
	if err := os.RemoveAll(final); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	if err := os.Rename(filepath.Join(tmp, "kube"), final); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	return nil
}

func goVersion(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH")
	cmd.Dir = dir
	data, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build: go env: %w", describe(err))
	}
	return strings.Join(strings.Fields(string(data)), " "), nil
}

// describe adds what a failed command said to its error.
func describe(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}

// sources lists what goes into the key, in a fixed order.
func sources(module fs.FS) ([]string, error) {
	names := []string{"go.mod", "go.sum"}
	err := fs.WalkDir(module, "cmd", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	return names, err
}
