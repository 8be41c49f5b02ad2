package services

import (
	"os/exec"
	"syscall"
	"unsafe"

	"github.com/attune-go/attune/devenv/services/procfs"
)

// childAttributes puts the child into a process group of its own, so that Ctrl-C in a terminal reaches only attune, and a
// kill reaches the child's helpers. The kernel sends the child a signal when its parent ends.
func childAttributes(c command) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  c.orphaned,
		Credential: c.account.credential(),
	}
}

// waitAndEndGroup waits for the end of a child, kills the helpers in its process group that outlive it, and returns the result of
// Wait. It kills them before it reaps the child: until then the system does not reuse the id of the group.
func waitAndEndGroup(cmd *exec.Cmd) error {
	const ofProcess = 1 // P_PID
	for {
		var info [128]byte // siginfo_t
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, ofProcess, uintptr(cmd.Process.Pid),
			uintptr(unsafe.Pointer(&info)), syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno == 0 {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		return cmd.Wait()
	}
}

// descendant is a process below a child. The start time distinguishes it from a later process with the same id.
type descendant struct {
	pid     int
	started string
}

func (r descendant) alive() bool {
	stat, ok := procfs.Read(r.pid)
	return ok && stat.Started == r.started && stat.Running()
}

func (r descendant) kill() {
	if r.alive() {
		_ = syscall.Kill(r.pid, syscall.SIGKILL)
	}
}

// descendantsOf lists the processes below pid, at any depth.
func descendantsOf(pid int) []descendant {
	children := map[int][]descendant{}
	for id, stat := range procfs.All() {
		children[stat.Parent] = append(children[stat.Parent], descendant{pid: id, started: stat.Started})
	}
	var found []descendant
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		for _, child := range children[queue[0]] {
			found = append(found, child)
			queue = append(queue, child.pid)
		}
	}
	return found
}

// groupAlive reports whether a process group has a member that runs. A zombie does not run; its parent may be slow to
// reap it.
func groupAlive(group int) bool {
	for _, stat := range procfs.All() {
		if stat.Group == group && stat.Running() {
			return true
		}
	}
	return false
}
