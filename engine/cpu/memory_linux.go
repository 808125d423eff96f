package cpu

import (
	"fmt"
	"syscall"
)

// allocate returns zeroed memory outside of the garbage collector's heap, whose target would grow with it, in huge pages
// where the kernel has some. It takes up room only where it was written to. Its release may be called once.
func allocate(bytes int) (data []byte, release func(), err error) {
	if bytes == 0 {
		return nil, func() {}, nil
	}
	data, err = syscall.Mmap(-1, 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, nil, fmt.Errorf("cpu: no memory for %d bytes of key-value cache: %w", bytes, err)
	}
	// Refused where transparent huge pages are switched off: slower, but no failure.
	_ = syscall.Madvise(data, syscall.MADV_HUGEPAGE)
	return data, func() {
		_ = syscall.Munmap(data) // fails for what was never mapped only
	}, nil
}
