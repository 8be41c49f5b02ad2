//go:build !linux

package worker

import "syscall"

// processAttributes gives the process a group of its own. There is no parent-death signal outside Linux: when the
// worker is killed with SIGKILL, its actions run on.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// awaitExit blocks until the leader has ended, and reaps the leader. As long as the group has another process, its id stays
// reserved. A kill of an empty group finds no process, unless the system reused the id within [Config.OutputGrace].
func (p *process) awaitExit() { p.state, _ = p.leader.Wait() }

func (p *process) reap() {}
