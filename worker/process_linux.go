package worker

import "syscall"

// processAttributes gives the process a group of its own, and lets the kernel kill it when the worker dies.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit blocks until the leader has ended and leaves it a zombie, which reserves its process group for us. Where
// waitid is forbidden the leader is reaped instead.
func (p *process) awaitExit() {
	const byPid = 1 // P_PID of waitid(2)
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPid, uintptr(p.leader.Pid), 0,
			syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		switch errno {
		case 0:
			return
		case syscall.EINTR:
		default:
			p.reap()
			return
		}
	}
}

// reap removes the zombie.
func (p *process) reap() {
	if p.state == nil {
		p.state, _ = p.leader.Wait()
	}
}
