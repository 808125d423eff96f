package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gptoss/gptoss-operator/hack/cluster/cgroup"
	"github.com/gptoss/gptoss-operator/hack/cluster/process"
	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

// patience is how long the kernel may take to end all of a node's processes.
const patience = 20 * time.Second

// Alive tells whether the recorded init still runs.
func Alive(n state.Node) bool {
	return n.PID > 0 && process.Record{PID: n.PID, Start: n.StartTime}.Alive()
}

// Stop ends the node and removes all that Start made; it is no error when
// there is nothing. Also a node whose record is lost is found.
func Stop(dir state.Dir) error {
	if err := refuseInside(); err != nil {
		return err
	}
	n, _, err := dir.Load()
	if err != nil {
		n = state.Node{} // a broken record: the searches below must do
	}
	var inits []process.Record
	if Alive(n) && isInit(n.PID, dir) {
		inits = append(inits, process.Record{Name: "init", PID: n.PID, Start: n.StartTime})
	}
	for _, r := range findInits(dir) {
		if !slices.Contains(inits, r) {
			inits = append(inits, r)
		}
	}
	if err := process.Stop(inits, patience); err != nil {
		return err
	}
	groups := n.Groups
	for _, g := range cgroup.Find(dir.Group()) {
		if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	if err := cgroup.Remove(groups, patience); err != nil {
		return err
	}
	for _, path := range slices.Backward(n.Made) {
		if err := removeEmpty(path); err != nil {
			return err
		}
	}
	if mounts, err := mountsOf(dir); err != nil || len(mounts) > 0 {
		return errors.Join(fmt.Errorf("node: still mounted, so %s is left as it is: %v", dir, mounts), err)
	}
	if err := os.RemoveAll(string(dir)); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	return nil
}

// refuseInside keeps a node from being ended by what runs in it: its processes
// cannot be seen from there.
func refuseInside() error {
	if os.Getenv(Inside) != "" {
		return errors.New("node: this is inside the node; run it outside of exec")
	}
	return nil
}

// removeEmpty removes a mount point unless somebody has put something there.
func removeEmpty(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if !info.IsDir() && info.Size() > 0 {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("node: %w", err)
	}
	return nil
}

// Remains lists what there is of a node on this machine, in words.
func Remains(dir state.Dir) ([]string, error) {
	var left []string
	for _, r := range findInits(dir) {
		left = append(left, fmt.Sprintf("process %d", r.PID))
	}
	for _, g := range cgroup.Find(dir.Group()) {
		left = append(left, "control group "+g)
	}
	mounts, err := mountsOf(dir)
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		left = append(left, "mount "+m)
	}
	if _, err := os.Lstat(string(dir)); err == nil {
		left = append(left, "folder "+string(dir))
	}
	return left, nil
}

// findInits looks for inits of this state folder among all processes.
func findInits(dir state.Dir) []process.Record {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []process.Record
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !isInit(pid, dir) {
			continue
		}
		if start, err := process.StartTime(pid); err == nil {
			found = append(found, process.Record{Name: "init", PID: pid, Start: start})
		}
	}
	return found
}

func isInit(pid int, dir state.Dir) bool {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return false
	}
	args := strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
	return len(args) == 3 && args[1] == InitCommand && args[2] == stateFlag+string(dir)
}

// mountsOf lists the host's mounts that are on or from the state folder.
func mountsOf(dir state.Dir) ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	var found []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, string(dir)+"/") || strings.Contains(line, string(dir)+" ") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found, nil
}
