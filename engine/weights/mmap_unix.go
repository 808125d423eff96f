//go:build unix

package weights

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// mapFile maps a file read-only and shared, so that all servers of a node use one copy in the page cache.
func mapFile(dir, name string) (mapped, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path) // before Open, which would wait for the writer of a named pipe
	if err != nil {
		return mapped{}, describeOpen(name, err)
	}
	if !info.Mode().IsRegular() {
		return mapped{}, fmt.Errorf("%s: is not a regular file", name)
	}
	f, err := os.Open(path)
	if err != nil {
		return mapped{}, describeOpen(name, err)
	}
	defer f.Close() // the mapping outlives the descriptor
	if info, err = f.Stat(); err != nil {
		return mapped{}, describeOpen(name, err)
	}
	size := info.Size()
	if size == 0 || int64(int(size)) != size {
		return mapped{close: func() error { return nil }}, nil // the header check says what is wrong
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return mapped{}, fmt.Errorf("%s: mmap: %w", name, err)
	}
	return mapped{data, sync.OnceValue(func() error { return unix.Munmap(data) })}, nil
}
