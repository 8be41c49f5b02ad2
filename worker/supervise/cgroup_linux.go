package supervise

import "syscall"

// cgroupFD is the file descriptor of the action's cgroup (a folder) in the supervisor, if it is open.
const cgroupFD = ControlFD + 1

// inheritedCgroup returns the file descriptor of the action's cgroup, or -1 if the worker has none. Then the descriptor can belong to
// the Go runtime, but that opens no folder.
func inheritedCgroup() int {
	var is syscall.Stat_t
	if err := syscall.Fstat(cgroupFD, &is); err != nil || is.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return -1
	}
	syscall.CloseOnExec(cgroupFD)
	return cgroupFD
}

// KillCgroup kills every process in a cgroup, given by the descriptor of its folder, at one moment. It ignores errors:
// where it cannot kill, the search of /proc does.
//
// No process may be started in the cgroup later. From Linux 6.12 on, the kernel counts the kills of each cgroup, and kills a process
// that is started in a cgroup with another count than that of its parent.
func KillCgroup(folder int) {
	fd, err := syscall.Openat(folder, "cgroup.kill", syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = syscall.Write(fd, []byte("1"))
	_ = syscall.Close(fd)
}
