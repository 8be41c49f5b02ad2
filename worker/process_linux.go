package worker

import "syscall"

// processAttributes puts the process into its own group and lets the kernel kill the process when the worker dies.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit blocks until the leader has ended and leaves it as a zombie, which reserves the id of its process group. If
// the system forbids waitid, awaitExit reaps the leader.
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

// reap collects the exit status of the leader and removes the zombie.
func (p *process) reap() {
	if p.state == nil {
		p.state, _ = p.leader.Wait()
	}
}
