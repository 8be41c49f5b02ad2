package supervise

import (
	"strconv"
	"syscall"
)

// children is the kernel's list of the children of a thread (/proc/<pid>/task/<tid>/children), held open, or -1. Reading it again needs
// no other descriptor, so no limit of open files keeps a supervisor from finding its children.
type children int

// openChildren opens the list of the main thread. It has every child of the supervisor: the main thread starts the actions, and the
// kernel gives it the processes whose parents have ended. A kernel without such lists gives -1.
func openChildren() children {
	pid := strconv.Itoa(syscall.Getpid())
	fd, err := syscall.Open("/proc/self/task/"+pid+"/children", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return children(fd)
}

// signal sends sig to every child. The list can miss a child while others end.
func (c children) signal(sig syscall.Signal) {
	for _, word := range splitSpaces(c.read(), -1) {
		if pid, err := strconv.Atoi(string(word)); err == nil && pid > 0 {
			_ = syscall.Kill(pid, sig)
		}
	}
}

func (c children) read() (all []byte) {
	buffer := make([]byte, 4<<10)
	for {
		n, err := syscall.Pread(int(c), buffer, int64(len(all)))
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return all
		}
		all = append(all, buffer[:n]...)
	}
}
