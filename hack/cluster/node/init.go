package node

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gptoss/gptoss-operator/hack/cluster/cgroup"
	"github.com/gptoss/gptoss-operator/hack/cluster/component"
	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

// Init is the node's first process: it sets the namespaces up, says so, and
// then reaps what others leave behind until it is killed.
func Init(dir state.Dir) error {
	unix.CloseOnExec(reportFD)
	report := os.NewFile(reportFD, "report")
	err := isolate()
	if err == nil {
		err = furnish(dir)
	}
	if err != nil {
		_, _ = fmt.Fprintln(report, err)
		return err
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	_, _ = fmt.Fprint(report, "ok")
	_ = report.Close()
	for range children {
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid <= 0 {
				break
			}
		}
	}
	return nil
}

// ProbeInit is the probe command: the part of Init that a machine may forbid.
func ProbeInit() error { return isolate() }

// isolate gives the namespaces a name, a /proc, a /sys, control groups, a /run
// and a network of their own.
func isolate() error {
	hierarchies, err := cgroup.Host()
	if err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(component.NodeName)); err != nil {
		return fmt.Errorf("node: hostname: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("node: make mounts private: %w", err)
	}
	// The old mounts go away rather than being covered: runc takes the first
	// control group mount that it finds in the list.
	for _, m := range []struct{ path, kind, options string }{{"/proc", "proc", ""}, {"/sys", "sysfs", ""}} {
		if err := unix.Unmount(m.path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("node: unmount %s: %w", m.path, err)
		}
		if err := mount(m.kind, m.path, m.kind, m.options); err != nil {
			return err
		}
	}
	if err := mountGroups(hierarchies); err != nil {
		return err
	}
	// Containers' mounts are to propagate between pods and the kubelet.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("node: share mounts: %w", err)
	}
	if err := mount("tmpfs", "/run", "tmpfs", "mode=755"); err != nil {
		return err
	}
	for _, sub := range []string{"/run/lock", "/run/netns", "/run/containerd"} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return fmt.Errorf("node: %w", err)
		}
	}
	return network()
}

func mount(source, target, kind, options string) error {
	if err := unix.Mount(source, target, kind, unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("node: mount %s on %s: %w", kind, target, err)
	}
	return nil
}

// mountGroups mounts the control groups as the new namespace sees them.
func mountGroups(all []cgroup.Hierarchy) error {
	if len(all) == 1 && all[0].V2() {
		return mount("cgroup2", cgroup.Root, "cgroup2", "")
	}
	if err := mount("tmpfs", cgroup.Root, "tmpfs", "mode=755"); err != nil {
		return err
	}
	for _, h := range all {
		if err := os.MkdirAll(h.Mount, 0o755); err != nil {
			return fmt.Errorf("node: %w", err)
		}
		if err := mount("cgroup", h.Mount, "cgroup", h.Options); err != nil {
			return err
		}
		// Hosts that mount cpu and cpuacct together have a link for each.
		controllers := strings.Split(h.Options, ",")
		for _, c := range controllers {
			if link := filepath.Join(cgroup.Root, c); len(controllers) > 1 && link != h.Mount && c != "none" && !strings.Contains(c, "=") {
				if err := os.Symlink(h.Mount, link); err != nil {
					return fmt.Errorf("node: %w", err)
				}
			}
		}
	}
	return nil
}

// network gives the node an address: a veth pair with both ends inside, as not
// every kernel has dummy interfaces.
func network() error {
	for _, line := range []string{
		"link set lo up",
		"link add node0 type veth peer name node0p",
		"link set node0p up",
		"addr add " + component.NodeAddress + "/24 dev node0",
		"link set node0 up",
		"route add default via " + component.Gateway + " dev node0",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return fmt.Errorf("node: ip %s: %w: %s", line, err, strings.TrimSpace(string(out)))
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	// Only there with the br_netfilter module; kube-proxy masquerades without it.
	_ = os.WriteFile(BridgeFilter, []byte("1"), 0o644)
	return nil
}

// BridgeFilter is where a kernel with br_netfilter is told to translate
// addresses between the pods of a bridge.
const BridgeFilter = "/proc/sys/net/bridge/bridge-nf-call-iptables"
