//go:build linux || darwin

package pull

import (
	"errors"
	"os"
	"syscall"
)

const errQuota = syscall.EDQUOT

// freeBytes returns how much an ordinary user may still write to the file system of dir.
func freeBytes(dir string) (int64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail * uint64(s.Bsize)), true
}

// lockFile takes f for this process alone, until f is closed, and reports whether that worked. File systems without
// locks, such as some network mounts, let everyone in.
func lockFile(f *os.File) bool {
	return !errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// syncDir makes renames within the folder last.
func syncDir(dir *os.File) error { return dir.Sync() }
