package supervise

import "syscall"

// SealDescriptors keeps the files that the process has inherited, besides stdin, stdout and stderr, from every program that it starts.
// A shell or a service manager may have left pipes and files open. The descriptors stay open in the process itself.
func SealDescriptors() error {
	const (
		sysCloseRange = 436
		first, last   = 3, uintptr(^uint32(0))
		closeOnExec   = 4 // CLOSE_RANGE_CLOEXEC
	)
	if _, _, errno := syscall.RawSyscall(sysCloseRange, first, last, closeOnExec); errno == 0 {
		return nil
	}
	return eachNumber("/proc/self/fd", func(fd int) bool { // a kernel before 5.11, or a container that forbids the call
		if fd >= first {
			syscall.CloseOnExec(fd)
		}
		return true
	})
}
