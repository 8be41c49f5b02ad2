//go:build !linux

package services

import (
	"os/exec"
	"syscall"
)

// childAttributes puts the child into a process group of its own. Outside Linux there is no parent-death signal: if
// attune is killed with SIGKILL, a person must end its services.
func childAttributes(c command) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: c.account.credential()}
}

// waitAndEndGroup waits for the end of a child, kills the helpers in its process group that outlive it, and returns the result of
// Wait.
func waitAndEndGroup(cmd *exec.Cmd) error {
	err := cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // at once: the system can reuse the id of the group
	return err
}

// descendant is a process below a child. Without /proc, attune knows only the process group, so the list is always empty.
type descendant struct{}

func (descendant) alive() bool { return false }
func (descendant) kill()       {}

func descendantsOf(int) []descendant { return nil }

// groupAlive reports whether a process group has any member, a zombie included.
func groupAlive(group int) bool { return syscall.Kill(-group, 0) == nil }
