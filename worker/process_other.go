//go:build !linux

package worker

import "syscall"

// processAttributes puts the process into its own group. Outside Linux there is no parent-death signal: if the worker is
// killed with SIGKILL, its actions continue to run.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// awaitExit blocks until the leader has ended, and reaps the leader. As long as the group has another process, the system
// does not reuse the group's id. A kill of an empty group has no target, unless the system reuses the id within
// [Config.OutputGrace].
func (p *process) awaitExit() { p.state, _ = p.leader.Wait() }

func (p *process) reap() {}
