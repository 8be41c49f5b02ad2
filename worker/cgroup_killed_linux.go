package worker

import (
	"fmt"
	"os"
	"syscall"

	"github.com/attune-go/attune/worker/supervise"
)

// leaveKilled moves the worker into a new cgroup below p if processes that the worker starts in cgroups below p are killed at once.
// The kernel does so when the cgroup of the worker was killed before the worker was started in it: see [supervise.KillCgroup]. An
// error means that the worker can start no process in a cgroup.
func (p cgroupParent) leaveKilled() error {
	if !p.killsStarted() {
		return nil
	}
	own := p.createLocked()
	if own == nil {
		return fmt.Errorf("the cgroup %s was killed before, and the worker may not create others in it: restart the worker in a new one",
			p.folder)
	}
	err := own.enter()
	if err == nil && p.killsStarted() {
		err = fmt.Errorf("the kernel kills what the worker starts in a cgroup below %s", p.folder)
	}
	if err != nil {
		own.vacate(p)
		return err
	}
	own.keepLocked()
	return nil
}

// killsStarted reports whether the kernel kills a process that the caller starts in a new cgroup below p. The process is a
// supervisor without a worker, which ends at once by itself.
func (p cgroupParent) killsStarted() bool {
	group := p.create()
	if group == nil {
		return false
	}
	defer group.remove()
	ours, theirs, err := controlSocket()
	if err != nil {
		return false
	}
	defer func() { _ = theirs.Close() }()
	_ = ours.Close()
	process, err := os.StartProcess(supervise.Program, []string{supervise.Name}, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: []*os.File{nil, nil, nil, theirs},
		Sys: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.folder.Fd())},
	})
	if err != nil {
		return false
	}
	state, err := process.Wait()
	if err != nil {
		return false
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
