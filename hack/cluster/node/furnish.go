package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gptoss/gptoss-operator/hack/cluster/cgroup"
	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

// tunables are kernel settings of the whole machine that a kubelet insists on.
// It only writes those that differ, so in the node it reads these.
var tunables = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// furnish puts the state folder's files where the components look for them.
func furnish(dir state.Dir) error {
	if err := enterLeaf(); err != nil {
		return err
	}
	for _, target := range binds {
		source := dir.Path("bind", target)
		if err := os.MkdirAll(source, 0o755); err != nil {
			return fmt.Errorf("node: %w", err)
		}
		if err := bind(source, target); err != nil {
			return err
		}
	}
	for name, value := range tunables {
		source, target := dir.Path("tunables", name), filepath.Join("/proc/sys", name)
		if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(source), 0o755); err != nil {
			return fmt.Errorf("node: %w", err)
		}
		if err := os.WriteFile(source, []byte(value+"\n"), 0o644); err != nil {
			return fmt.Errorf("node: %w", err)
		}
		if err := bind(source, target); err != nil {
			return err
		}
	}
	return bindResolver(dir.Config("resolv.conf"))
}

func bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("node: bind %s on %s: %w", source, target, err)
	}
	return nil
}

// bindResolver points the name resolver at the cluster's DNS. On hosts with
// systemd-resolved the file is a link into /run, which is empty here.
func bindResolver(source string) error {
	target := resolvConf
	if link, err := os.Readlink(target); err == nil {
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(target), link)
		}
		if strings.HasPrefix(link, "/run/") {
			if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
				return fmt.Errorf("node: %w", err)
			}
			if err := os.WriteFile(link, nil, 0o644); err != nil {
				return fmt.Errorf("node: %w", err)
			}
		}
	}
	return bind(source, target)
}

// enterLeaf leaves the top of a version 2 hierarchy to the kubelet.
func enterLeaf() error {
	var fsType unix.Statfs_t
	if err := unix.Statfs(cgroup.Root, &fsType); err != nil {
		return fmt.Errorf("node: %s: %w", cgroup.Root, err)
	}
	if fsType.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil
	}
	if err := cgroup.Join([]string{filepath.Join(cgroup.Root, cgroup.Leaf)}); err != nil {
		return err
	}
	return cgroup.Enable(cgroup.Root)
}
