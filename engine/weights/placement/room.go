package placement

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Room returns how many bytes of memory this process can still take, as far as the system and the limits of its control
// groups allow, without pushing out what another process uses: pages of files that somebody has mapped count as used. ok is
// false on a system that does not tell.
func Room() (bytes int64, ok bool) { return room(os.DirFS("/")) }

func room(root fs.FS) (bytes int64, ok bool) {
	about := contents(root, "proc/meminfo")
	available, ok1 := field(about, "MemAvailable")
	mapped, ok2 := field(about, "Mapped")
	if !ok1 || !ok2 {
		return 0, false
	}
	bytes = max(available-mapped, 0) << 10
	for line := range strings.Lines(contents(root, "proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(parts) != 3:
		case parts[0] == "0" && parts[1] == "":
			bytes = min(bytes, second.room(root, parts[2]))
		case slices.Contains(strings.Split(parts[1], ","), "memory"):
			bytes = min(bytes, first.room(root, parts[2]))
		}
	}
	return max(bytes, 0), true
}

// controlGroups is how a version of control groups tells about memory.
type controlGroups struct {
	folder, usage string
	limits        []string
	prefix        string // of the fields of memory.stat that count the groups below as well
	mapped        string // the one with the pages of files that are mapped
}

var (
	first = controlGroups{
		"sys/fs/cgroup/memory", "memory.usage_in_bytes", []string{"memory.limit_in_bytes"}, "total_", "mapped_file",
	}
	second = controlGroups{"sys/fs/cgroup", "memory.current", []string{"memory.max", "memory.high"}, "", "file_mapped"}
)

// unlimited is more memory than any machine has.
const unlimited = 1 << 60

// room returns what a group and those above it leave. A container often sees its own group only, at the top.
func (c *controlGroups) room(root fs.FS, group string) int64 {
	least := int64(unlimited)
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		folder := c.folder + group
		for _, name := range c.limits {
			limit, err := strconv.ParseInt(strings.TrimSpace(contents(root, path.Join(folder, name))), 10, 64)
			if err != nil || limit >= unlimited {
				continue // "max", or no such group here
			}
			least = min(least, limit-c.used(root, folder))
		}
		if group == "/" {
			return least
		}
	}
}

// used is what of a group's memory cannot be had back at once.
func (c *controlGroups) used(root fs.FS, folder string) int64 {
	usage, err := strconv.ParseInt(strings.TrimSpace(contents(root, path.Join(folder, c.usage))), 10, 64)
	if err != nil {
		return 0
	}
	about := contents(root, path.Join(folder, "memory.stat"))
	active, _ := field(about, c.prefix+"active_file")
	inactive, _ := field(about, c.prefix+"inactive_file")
	mapped, _ := field(about, c.prefix+c.mapped)
	return max(usage-max(active+inactive-mapped, 0), 0)
}

// contents returns a small file of the system, or nothing.
func contents(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(b)
}

// field returns the number that follows a name, with or without a colon, in a text of such lines.
func field(text, name string) (n int64, ok bool) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) >= 2 && strings.TrimSuffix(words[0], ":") == name {
			n, err := strconv.ParseInt(words[1], 10, 50)
			return n, err == nil && n >= 0
		}
	}
	return 0, false
}
