package program

import "syscall"

// attributes puts the process into its own group, so that Ctrl-C in a terminal reaches it only through the test, and lets
// the kernel kill it when its parent ends.
func attributes(uid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: credential(uid)}
}
