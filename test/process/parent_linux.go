package process

import "syscall"

// dieWithParent has the kernel end the server when this process is killed and cannot do it itself.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
