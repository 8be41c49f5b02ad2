package program

import "syscall"

// attributes gives the process a group of its own, so that Ctrl-C in a terminal does not reach it before the test has ended, and
// a death sentence for when its parent is gone.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
