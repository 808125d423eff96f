package mapping

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// Allocate returns memory outside of the garbage collector's heap, all zeros, in huge pages where the system has some.
func Allocate(size int) (*Memory, error) {
	if size == 0 {
		return &Memory{}, nil
	}
	data, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("no memory for %d bytes: %w", size, err)
	}
	_ = unix.Madvise(data, unix.MADV_HUGEPAGE) // refused where they are switched off: slower, but no failure
	return &Memory{Data: data, close: sync.OnceValue(func() error { return unix.Munmap(data) })}, nil
}
