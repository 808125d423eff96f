// Package host tells whether this machine can run a node, and installs the
// Debian packages that a node needs.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gptoss/gptoss-operator/hack/cluster/cgroup"
	"github.com/gptoss/gptoss-operator/hack/cluster/component"
	"github.com/gptoss/gptoss-operator/hack/cluster/node"
	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

// ErrImpossible is wrapped by every reason why no node can run here.
var ErrImpossible = errors.New("this machine cannot run a node")

// tools maps what a node calls to the Debian package that it is in.
var tools = []struct{ program, name string }{
	{"containerd", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"iptables", "iptables"},
	{"nft", "nftables"},
	{"conntrack", "conntrack"},
	{"ip", "iproute2"},
}

const pluginPackage = "containernetworking-plugins"

// pluginDirs is where distributions put the network plugins.
var pluginDirs = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

// Path is the search path for the node's programs; sbin is not on everybody's.
func Path() string { return os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin" }

// Check tells whether a node can run, missing packages aside.
func Check(dir state.Dir) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: it takes root, and this is user %d", ErrImpossible, os.Geteuid())
	}
	hierarchies, err := cgroup.Host()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrImpossible, err)
	}
	if err := cgroup.Probe(hierarchies, dir.Group()+"-probe"); err != nil {
		return fmt.Errorf("%w: no control groups may be made: %w", ErrImpossible, err)
	}
	if slices.Contains(Missing(), "iproute2") {
		return nil // the probe needs it; up tries again after installing it
	}
	if err := node.Probe(); err != nil {
		return fmt.Errorf("%w: %w", ErrImpossible, err)
	}
	return nil
}

// Missing lists the Debian packages that are not there.
func Missing() []string {
	var missing []string
	for _, t := range tools {
		if lookPath(t.program) == "" && !slices.Contains(missing, t.name) {
			missing = append(missing, t.name)
		}
	}
	if pluginDir() == "" {
		missing = append(missing, pluginPackage)
	}
	return missing
}

// AptLine is what installs packages by hand.
func AptLine(packages []string) string {
	return "apt-get update && apt-get install -y --no-install-recommends " + strings.Join(packages, " ")
}

// CanInstall tells whether Install may work.
func CanInstall() bool { return os.Geteuid() == 0 && lookPath("apt-get") != "" }

// Install installs packages with apt-get, or says how to when it may not.
func Install(ctx context.Context, packages []string, out io.Writer) error {
	if !CanInstall() {
		return fmt.Errorf("%w: packages are missing; as root: %s", ErrImpossible, AptLine(packages))
	}
	_, _ = fmt.Fprintf(out, "installing Debian packages: %s\n", strings.Join(packages, " "))
	for _, args := range [][]string{
		{"update", "-q"},
		append([]string{"install", "-q", "-y", "--no-install-recommends"}, packages...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if text, err := cmd.CombinedOutput(); err != nil {
			lines := strings.Split(strings.TrimSpace(string(text)), "\n")
			return fmt.Errorf("%w: apt-get %s: %w; by hand: %s\n%s", ErrImpossible, args[0], err, AptLine(packages),
				strings.Join(lines[max(0, len(lines)-10):], "\n"))
		}
	}
	if missing := Missing(); len(missing) > 0 {
		return fmt.Errorf("%w: still missing after the installation: %s", ErrImpossible, strings.Join(missing, " "))
	}
	return nil
}

// Facts is what the configuration files need to know about this machine.
func Facts(dir state.Dir) (component.Host, error) {
	h := component.Host{CNIBin: pluginDir(), Snapshotter: "overlayfs"}
	var s unix.Statfs_t
	if err := unix.Statfs(string(dir), &s); err != nil {
		return h, fmt.Errorf("host: %s: %w", dir, err)
	}
	if s.Type == unix.OVERLAYFS_SUPER_MAGIC {
		h.Snapshotter = "native" // an overlay cannot lie on an overlay
	}
	return h, nil
}

func pluginDir() string {
	for _, dir := range pluginDirs {
		if _, err := os.Stat(filepath.Join(dir, "bridge")); err == nil {
			return dir
		}
	}
	return ""
}

func lookPath(program string) string {
	for _, dir := range filepath.SplitList(Path()) {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}
