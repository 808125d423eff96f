//go:build unix

package packed

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// mapFile maps a file read-only and shared, so that all servers of a node use one copy in the page cache.
func mapFile(file *os.File, size int) (region, error) {
	data, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if errors.Is(err, unix.ENODEV) { // some network and user-space file systems have no mmap
		return readWhole(file, size)
	}
	if err != nil {
		return region{}, fmt.Errorf("mmap: %w", err)
	}
	return region{data, true, sync.OnceValue(func() error { return unix.Munmap(data) })}, nil
}
