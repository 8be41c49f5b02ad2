//go:build !linux

package worker

import "syscall"

// processAttributes gives the process a group of its own. There is no parent-death signal outside Linux: when the
// worker is killed with SIGKILL, its actions run on.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// awaitExit blocks until the leader has ended. That reaps it too: what is left of its group keeps the group's id
// reserved, and where nothing is left a kill finds nobody, unless the id was given away within [Config.OutputGrace].
func (p *process) awaitExit() { p.state, _ = p.leader.Wait() }

func (p *process) reap() {}
