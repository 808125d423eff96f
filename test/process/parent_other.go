//go:build !linux

package process

import "syscall"

// dieWithParent has no counterpart here; the server's bounded life has to do.
func dieWithParent() *syscall.SysProcAttr { return nil }
