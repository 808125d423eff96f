package heap

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

const (
	// least is what a server needs to work at all; a limit below it would only keep the collector busy.
	least = 128 << 20
	// unlimited is what cgroup v1 says for no limit, rounded to pages, or more.
	unlimited = math.MaxInt64 >> 12
)

// ErrTight says that the container is too small for what lies beside the heap.
var ErrTight = errors.New("the container's memory leaves no room for a limit of the Go heap")

// Container returns the memory limit of the process's control group, or the lowest of those around it, in bytes; 0 where
// there is none. root is the machine's file system.
func Container(root fs.FS) int64 {
	data, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	lowest := int64(0)
	consider := func(name string) {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err == nil && n > 0 && n < unlimited && (lowest == 0 || n < lowest) {
			lowest = n
		}
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(fields) != 3 {
			continue
		}
		var mount, file string
		switch {
		case fields[1] == "":
			mount, file = "sys/fs/cgroup", "memory.max"
		case hasController(fields[1], "memory"):
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// In a container the path is often the host's, of which nothing is mounted; its own limits lie at the root then.
		for dir := path.Clean("/" + fields[2]); ; dir = path.Dir(dir) {
			consider(path.Join(mount, dir, file))
			if dir == "/" {
				break
			}
		}
	}
	return lowest
}

func hasController(list, name string) bool {
	for c := range strings.SplitSeq(list, ",") {
		if c == name {
			return true
		}
	}
	return false
}

// Limit returns the soft limit for a container of so many bytes in which so many are not Go's.
func Limit(container, outside int64) (int64, error) {
	limit := container - container/10 - outside
	if limit < least {
		return 0, fmt.Errorf("%w: %d bytes, %d of them for weights, keys and values", ErrTight, container, outside)
	}
	return limit, nil
}
