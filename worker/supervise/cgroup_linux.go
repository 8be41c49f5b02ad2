package supervise

import "syscall"

// cgroupFD is the file descriptor of the action's cgroup (a folder) in the supervisor, if it is open.
const cgroupFD = ControlFD + 1

// actionCgroup is the cgroup of the actions, as descriptors that the supervisor holds from its start: later an action may have taken
// away its right to open files. Both are -1 if there is none.
type actionCgroup struct {
	folder int
	killer int // of the file cgroup.kill
}

// inheritedCgroup returns the cgroup that the worker has given to the supervisor.
func inheritedCgroup() actionCgroup {
	var is syscall.Stat_t
	if err := syscall.Fstat(cgroupFD, &is); err != nil || is.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return actionCgroup{-1, -1}
	}
	killer, err := OpenKiller(cgroupFD)
	if err != nil {
		killer = -1
	}
	return actionCgroup{cgroupFD, killer}
}

// OpenKiller returns a descriptor for [KillCgroup] of the cgroup whose folder is given by its descriptor.
func OpenKiller(folder int) (int, error) {
	return syscall.Openat(folder, "cgroup.kill", syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
}

// KillCgroup kills every process in a cgroup, given by the descriptor of its file cgroup.kill, at one moment. It ignores errors: where
// it cannot kill, the search of /proc does.
//
// No process may be started in the cgroup later. From Linux 6.12 on, the kernel counts the kills of each cgroup, and kills a process
// that is started in a cgroup with another count than that of its parent.
func KillCgroup(killer int) { _, _ = syscall.Write(killer, []byte("1")) }
