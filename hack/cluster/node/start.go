package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gptoss/gptoss-operator/hack/cluster/cgroup"
	"github.com/gptoss/gptoss-operator/hack/cluster/process"
	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

const cloneFlags = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID |
	syscall.CLONE_NEWCGROUP | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

// reportFD is where the init says "ok" or what went wrong.
const reportFD = 3

// reportLimit bounds what is read from the init, in bytes.
const reportLimit = 1 << 16

// binds are the folders whose place the components do not let one choose: they
// lie in the state folder and are bound over the host's.
var binds = []string{"/var/lib/cni", "/var/lib/kubelet", "/var/log/containers"}

// resolvConf is bound over, too.
const resolvConf = "/etc/resolv.conf"

// Start makes the node's namespaces. What it makes on the host is recorded
// before it is made, so that Stop finds it whatever happens.
func Start(dir state.Dir, bin string) error {
	hierarchies, err := cgroup.Host()
	if err != nil {
		return err
	}
	n := state.Node{Bin: bin, Made: missing()}
	if err := dir.Save(n); err != nil {
		return err
	}
	if err := makeMountPoints(n.Made); err != nil {
		return err
	}
	n.Groups, n.Join, err = cgroup.Create(hierarchies, dir.Group())
	if err := errors.Join(err, dir.Save(n)); err != nil {
		return err
	}
	return launch(dir)
}

// missing lists the mount points that the host lacks, parents first.
func missing() []string {
	var all []string
	for _, target := range append([]string{resolvConf}, binds...) {
		var chain []string
		for path := target; path != "/"; path = filepath.Dir(path) {
			if _, err := os.Lstat(path); err == nil {
				break
			}
			chain = append([]string{path}, chain...)
		}
		all = append(all, chain...)
	}
	return all
}

func makeMountPoints(paths []string) error {
	for _, path := range paths {
		var err error
		if path == resolvConf {
			err = os.WriteFile(path, nil, 0o644)
		} else {
			err = os.Mkdir(path, 0o755)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("node: %w", err)
		}
	}
	return nil
}

// launch runs the launch command and waits for the init's word.
func launch(dir state.Dir) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	defer func() { _ = r.Close() }()
	cmd := exec.Command(self, LaunchCommand, stateFlag+string(dir))
	cmd.ExtraFiles, cmd.Stderr = []*os.File{w}, os.Stderr
	err = cmd.Run()
	_ = w.Close()
	if err != nil {
		return fmt.Errorf("node: launch: %w", err)
	}
	if err := r.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	word, err := io.ReadAll(io.LimitReader(r, reportLimit))
	if err != nil {
		return fmt.Errorf("node: the init said nothing: %w; the end of its log:\n%s", err, process.Tail(dir.Log("init"), 20))
	}
	if string(word) != "ok" {
		return fmt.Errorf("node: init: %s%s", strings.TrimSpace(string(word)), process.Tail(dir.Log("init"), 20))
	}
	return nil
}

// Launch is the launch command: it joins the node's control groups, so that the
// clone's control group namespace is rooted there, and clones the init.
func Launch(dir state.Dir) error {
	n, ok, err := dir.Load()
	if err != nil || !ok {
		return errors.Join(errors.New("node: launch: no record"), err)
	}
	if err := cgroup.Join(n.Groups); err != nil {
		return err
	}
	log, err := os.OpenFile(dir.Log("init"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command("/proc/self/exe", InitCommand, stateFlag+string(dir))
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.ExtraFiles = []*os.File{os.NewFile(reportFD, "report")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: cloneFlags, Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("node: clone: %w", err)
	}
	n.PID = cmd.Process.Pid
	if n.StartTime, err = process.StartTime(n.PID); err != nil {
		return err
	}
	return dir.Save(n)
}

// Probe tells whether this machine lets a node's namespaces be made, by making
// and leaving them.
func Probe() error {
	cmd := exec.Command("/proc/self/exe", ProbeCommand)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: cloneFlags}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("node: no namespaces with mounts and a network of their own may be made: %w %s",
			err, strings.TrimSpace(string(out)))
	}
	return nil
}
