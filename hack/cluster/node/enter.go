package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gptoss/gptoss-operator/hack/cluster/cgroup"
	"github.com/gptoss/gptoss-operator/hack/cluster/component"
	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

// namespaces in the order of joining: the mount namespace last, as it hides
// the host's /proc.
var namespaces = []struct {
	name string
	flag int
}{
	{"cgroup", unix.CLONE_NEWCGROUP},
	{"ipc", unix.CLONE_NEWIPC},
	{"uts", unix.CLONE_NEWUTS},
	{"net", unix.CLONE_NEWNET},
	{"pid", unix.CLONE_NEWPID},
	{"mnt", unix.CLONE_NEWNS},
}

// Enter moves the calling goroutine, for good, into the node: what it starts
// and opens from then on is inside. The process's control groups change, too.
func Enter(n state.Node) error {
	runtime.LockOSThread()
	if !Alive(n) {
		return errors.New("node: it is not running")
	}
	if err := cgroup.Join(n.Join); err != nil {
		return err
	}
	fds := make([]int, len(namespaces))
	for i, ns := range namespaces {
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/%s", n.PID, ns.name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("node: %s namespace: %w", ns.name, err)
		}
		defer func() { _ = unix.Close(fd) }()
		fds[i] = fd
	}
	// A thread may change its mounts only when it shares its working
	// directory with no other.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("node: unshare: %w", err)
	}
	for i, ns := range namespaces {
		if err := unix.Setns(fds[i], ns.flag); err != nil {
			return fmt.Errorf("node: enter %s namespace: %w", ns.name, err)
		}
	}
	return nil
}

// Exec is a command to run inside after Enter.
type Exec struct {
	Args   []string
	Env    []string
	Dir    string // falls back to / when the node has no such folder
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Run runs a command, passes signals on, and returns its exit status; 128 plus
// the signal's number when one killed it, as shells do.
func (e Exec) Run() (int, error) {
	// Look-ups go by this process's PATH.
	path, _ := value(e.Env, "PATH")
	if err := os.Setenv("PATH", path); err != nil {
		return 0, fmt.Errorf("node: %w", err)
	}
	cmd := exec.Command(e.Args[0], e.Args[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = e.Env, e.Stdin, e.Stdout, e.Stderr, e.Dir
	if info, err := os.Stat(e.Dir); err != nil || !info.IsDir() {
		cmd.Dir = "/"
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, relayed()...)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("node: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if !atTerminal() || s != syscall.SIGINT && s != syscall.SIGQUIT {
				_ = cmd.Process.Signal(s)
			}
		case err := <-done:
			return exitStatus(err)
		}
	}
}

func relayed() []os.Signal {
	return []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}
}

// atTerminal tells whether a Ctrl-C reaches the command by itself, because the
// terminal sends it to this whole process group.
func atTerminal() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer func() { _ = tty.Close() }()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

func exitStatus(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &exit):
		return 0, fmt.Errorf("node: %w", err)
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return exit.ExitCode(), nil
}

// Environment is env with what a command inside needs: the cluster's tools and
// credentials, and no proxy between it and the cluster.
func Environment(env []string, bin, kubeconfig string) []string {
	path, _ := value(env, "PATH")
	direct := "localhost,127.0.0.1,198.18.0.0/15,.svc,." + component.Domain
	if have, ok := value(env, "NO_PROXY"); ok && have != "" {
		direct = have + "," + direct
	}
	set := []string{
		"PATH=" + strings.TrimSuffix(bin+":"+path, ":") + ":/usr/sbin:/sbin",
		"KUBECONFIG=" + kubeconfig,
		// What kubectl learned of one cluster must not outlive it.
		"KUBECACHEDIR=" + filepath.Join(filepath.Dir(kubeconfig), "kubectl"),
		"NO_PROXY=" + direct, "no_proxy=" + direct, Inside + "=1",
	}
	return append(slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, replaced := value(set, name)
		return replaced
	}), set...)
}

// value is the last value of a variable.
func value(env []string, name string) (string, bool) {
	for _, kv := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v, true
		}
	}
	return "", false
}
