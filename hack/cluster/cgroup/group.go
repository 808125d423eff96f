package cgroup

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
)

// Leaf is the version 2 group, below the node's own, that the node's processes
// live in: version 2 wants processes in leaves only, and the kubelet makes
// pods' groups beside it.
const Leaf = "node"

// rest is appended to the node's group's name for the group that, in a
// container, takes the processes which were at the top.
const rest = "-rest"

// Create makes a group called name in every hierarchy. It returns the folders
// that it made and those that the node's processes are to join, also with an error.
func Create(all []Hierarchy, name string) (made, join []string, err error) {
	for _, h := range all {
		parent := h.Dir
		if h.V2() {
			parent = h.Mount
			if err := delegate(parent, name); err != nil {
				return made, join, err
			}
		}
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return made, join, fmt.Errorf("cgroup: %w", err)
		}
		made = append(made, dir)
		if h.V2() {
			dir = filepath.Join(dir, Leaf)
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return made, join, fmt.Errorf("cgroup: %w", err)
			}
		}
		join = append(join, dir)
		if strings.Contains(h.Options, "cpuset") {
			if err := inheritCPUs(parent, dir); err != nil {
				return made, join, err
			}
		}
	}
	return made, join, nil
}

// inheritCPUs copies the processors and memory nodes: in version 1 a new
// group has none, and no process can join it.
func inheritCPUs(parent, dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		if err := write(filepath.Join(dir, file), strings.TrimSpace(string(value))); err != nil {
			return err
		}
	}
	return write(filepath.Join(dir, "cgroup.clone_children"), "1")
}

// delegate lets the children of a version 2 group use its controllers. The
// real top always may; the top of a container's view only without processes
// of its own, so they move to a leaf.
func delegate(dir, name string) error {
	enable := func() error { return Enable(dir) }
	err := enable()
	if !errors.Is(err, syscall.EBUSY) {
		return err
	}
	leaf := filepath.Join(dir, name+rest)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cgroup: %w", err)
	}
	if err := move(dir, leaf); err != nil {
		return err
	}
	return enable()
}

// Enable hands all controllers of a version 2 group to its children.
func Enable(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	for controller := range strings.FieldsSeq(string(data)) {
		err := write(filepath.Join(dir, "cgroup.subtree_control"), "+"+controller)
		if errors.Is(err, syscall.EBUSY) {
			return err
		}
		// Any other refusal is about this one controller (cpu with
		// real-time processes, for one): the kubelet names what it misses.
	}
	return nil
}

// move moves all processes of a group to another.
func move(from, to string) error {
	pids, err := Processes(from)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := write(filepath.Join(to, "cgroup.procs"), strconv.Itoa(pid)); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// Processes lists who is in a group; those outside of this pid namespace are left out.
func Processes(dir string) ([]int, error) {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	var pids []int
	for field := range strings.FieldsSeq(string(data)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Join moves this process, with all its threads, into the groups.
func Join(dirs []string) error {
	for _, dir := range dirs {
		if err := write(filepath.Join(dir, "cgroup.procs"), "0"); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes the groups with all that is below them, waiting up to patience
// for their processes to be gone.
func Remove(dirs []string, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		var failed error
		for _, dir := range dirs {
			failed = errors.Join(failed, removeTree(dir), restore(dir))
		}
		if failed == nil || time.Now().After(deadline) {
			return failed
		}
		<-again.C
	}
}

func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		pids, _ := Processes(dir)
		return fmt.Errorf("cgroup: %w (processes inside: %v)", err, pids)
	}
	return nil
}

// restore undoes what delegate did in a container.
func restore(dir string) error {
	leaf, top := dir+rest, filepath.Dir(dir)
	if _, err := os.Stat(leaf); err != nil {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(top, "cgroup.subtree_control"))
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	for controller := range strings.FieldsSeq(string(data)) {
		if err := write(filepath.Join(top, "cgroup.subtree_control"), "-"+controller); err != nil {
			return err
		}
	}
	if err := move(leaf, top); err != nil {
		return err
	}
	return removeTree(leaf)
}

// Find lists the groups called name, wherever they are.
func Find(name string) []string {
	var found []string
	_ = filepath.WalkDir(Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // groups come and go while they are walked
		}
		if d.Name() == name || d.Name() == name+rest {
			found = append(found, path)
			return fs.SkipDir
		}
		return nil
	})
	return found
}

func write(path, value string) error {
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		return fmt.Errorf("cgroup: write %q: %w", value, err)
	}
	return nil
}

// Probe tells whether groups may be made, by making and removing one in every
// hierarchy.
func Probe(all []Hierarchy, name string) error {
	for _, h := range all {
		parent := h.Dir
		if h.V2() {
			parent = h.Mount
			if err := hasControllers(parent); err != nil {
				return err
			}
		}
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("cgroup: %w", err)
		}
		if err := os.Remove(dir); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	return nil
}

// hasControllers tells whether a version 2 group has what the kubelet cannot do without.
func hasControllers(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	have := strings.Fields(string(data))
	for _, c := range []string{"cpu", "memory", "pids"} {
		if !slices.Contains(have, c) {
			return fmt.Errorf("cgroup: %s has controllers %v, and %s is not among them", dir, have, c)
		}
	}
	return nil
}
