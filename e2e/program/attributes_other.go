//go:build !linux

package program

import "syscall"

// attributes puts the process into its own group, so that Ctrl-C in a terminal reaches it only through the test.
func attributes(uid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: credential(uid)}
}
