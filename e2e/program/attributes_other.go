//go:build !linux

package program

import "syscall"

// attributes gives the process a group of its own, so that Ctrl-C in a terminal does not reach it before the test has ended.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
