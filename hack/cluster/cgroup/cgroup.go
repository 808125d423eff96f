// Package cgroup makes, joins and removes the control groups that a node lives
// in, on hosts with version 1 hierarchies and on hosts with version 2 alone.
//
// The node gets a group of its own in every hierarchy, below the group of
// whoever starts it (version 1) or at the top (version 2). With a cgroup
// namespace rooted there, the kubelet sees it as "/" and stays inside it.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Root is where control groups are mounted.
const Root = "/sys/fs/cgroup"

// Hierarchy is one mounted tree of control groups.
type Hierarchy struct {
	Mount   string // where it is mounted
	Options string // what mount -t cgroup needs to mount it again; empty for version 2
	Dir     string // folder of the group that this process is in
}

// V2 tells a version 2 hierarchy from a version 1 one.
func (h Hierarchy) V2() bool { return h.Options == "" }

// mount is one line of /proc/self/mountinfo.
type mount struct {
	root, point, kind string
	super             []string
}

func parseMounts(mountinfo string) []mount {
	var mounts []mount
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 6 || len(right) < 3 {
			continue
		}
		mounts = append(mounts, mount{
			root: unescape(left[3]), point: unescape(left[4]), kind: right[0], super: strings.Split(right[2], ","),
		})
	}
	return mounts
}

// unescape undoes the \040 that mountinfo writes for a space.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Host reads which hierarchies this process may use.
func Host() ([]Hierarchy, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	return parse(string(mountinfo), string(groups))
}

// parse prefers version 1 where both are mounted: the controllers are bound to
// it then, and the version 2 tree is a bare one.
func parse(mountinfo, groups string) ([]Hierarchy, error) {
	mounts := parseMounts(mountinfo)
	var v1, v2 []Hierarchy
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		m, ok := find(mounts, parts[1])
		if !ok {
			continue
		}
		h := Hierarchy{Mount: m.point, Dir: filepath.Join(m.point, below(parts[2], m.root))}
		switch name, named := strings.CutPrefix(parts[1], "name="); {
		case parts[1] == "":
			v2 = append(v2, h)
		case named:
			h.Options = "none,name=" + name
			v1 = append(v1, h)
		default:
			h.Options = parts[1]
			v1 = append(v1, h)
		}
	}
	has := func(controller string) bool {
		return slices.ContainsFunc(v1, func(h Hierarchy) bool { return slices.Contains(strings.Split(h.Options, ","), controller) })
	}
	switch {
	case has("memory") && has("cpu") && has("pids"):
		return v1, nil
	case len(v2) > 0 && v2[0].Mount == Root:
		return v2[:1], nil
	}
	return nil, errors.New("cgroup: " + Root + " has neither the memory, cpu and pids controllers of version 1 nor version 2")
}

// find looks for the mount of a hierarchy by its controllers.
func find(mounts []mount, controllers string) (mount, bool) {
	for _, m := range mounts {
		if !strings.HasPrefix(m.point+"/", Root+"/") {
			continue
		}
		if controllers == "" {
			if m.kind == "cgroup2" {
				return m, true
			}
			continue
		}
		if m.kind != "cgroup" {
			continue
		}
		all := true
		for c := range strings.SplitSeq(controllers, ",") {
			all = all && slices.Contains(m.super, c)
		}
		if all {
			return m, true
		}
	}
	return mount{}, false
}

// below is a group's path as seen through a mount that shows only root.
func below(path, root string) string {
	if rel, err := filepath.Rel(root, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return "."
}
