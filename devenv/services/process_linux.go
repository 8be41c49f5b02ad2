package services

import (
	"syscall"

	"github.com/attune-go/attune/devenv/services/procfs"
)

// childAttributes gives the child a process group of its own, so that Ctrl-C in a terminal reaches only attune and a
// kill reaches the child's helpers, and a death sentence for when its parent is gone.
func childAttributes(c command) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  c.orphaned,
		Credential: c.account.credential(),
	}
}

// relative is a process below one of ours. The start time tells it from a later process with the same id.
type relative struct {
	pid     int
	started string
}

func (r relative) alive() bool {
	stat, ok := procfs.Read(r.pid)
	return ok && stat.Started == r.started && stat.Running()
}

func (r relative) kill() {
	if r.alive() {
		_ = syscall.Kill(r.pid, syscall.SIGKILL)
	}
}

// descendants lists the processes below pid, at any depth.
func descendants(pid int) []relative {
	children := map[int][]relative{}
	for id, stat := range procfs.All() {
		children[stat.Parent] = append(children[stat.Parent], relative{pid: id, started: stat.Started})
	}
	var found []relative
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		for _, child := range children[queue[0]] {
			found = append(found, child)
			queue = append(queue, child.pid)
		}
	}
	return found
}

// groupAlive reports whether a process group has a member that is more than a zombie: one whose parent is slow to
// reap it is no longer running.
func groupAlive(group int) bool {
	for _, stat := range procfs.All() {
		if stat.Group == group && stat.Running() {
			return true
		}
	}
	return false
}
