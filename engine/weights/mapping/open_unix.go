//go:build unix

package mapping

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Open maps the first bytes of a file read-only and shared, or reads them where its file system has no mmap, as some
// network and user-space ones. The file may be closed afterwards.
func Open(file *os.File, size int) (*Memory, error) {
	if size == 0 {
		return &Memory{}, nil
	}
	data, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if errors.Is(err, unix.ENODEV) {
		return Copy(file, size, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	return &Memory{data, true, sync.OnceValue(func() error { return unix.Munmap(data) })}, nil
}
