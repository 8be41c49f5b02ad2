//go:build !linux

package services

import "syscall"

// childAttributes gives the child a process group of its own. There is no parent-death signal outside Linux: when
// attune is killed with SIGKILL, its services stay and must be ended by hand.
func childAttributes(c command) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: c.account.credential()}
}

// relative is a process below one of ours. Without /proc only the process group is known, so there are none.
type relative struct{}

func (relative) alive() bool { return false }
func (relative) kill()       {}

func descendants(int) []relative { return nil }

// groupAlive reports whether a process group has any member, a zombie included.
func groupAlive(group int) bool { return syscall.Kill(-group, 0) == nil }
