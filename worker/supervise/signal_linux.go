package supervise

import (
	"syscall"
	"unsafe"
)

// sigaction is at least as large as the kernel's struct sigaction, which begins with the handler.
type sigaction [8]uintptr

// ignoreSignals ignores the signals by which people and service managers end a process, and returns a function that
// undoes it. A service manager sends them to every process of a service, and then the worker decides what becomes of the
// action.
func ignoreSignals() (restore func()) {
	signals := [...]syscall.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM,
		syscall.SIGPIPE, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
	}
	var before [len(signals)]sigaction
	for i, sig := range signals {
		const ignore = 1 // SIG_IGN
		setAction(sig, &sigaction{ignore}, &before[i])
	}
	return func() {
		for i, sig := range signals {
			setAction(sig, &before[i], nil)
		}
	}
}

func setAction(sig syscall.Signal, action, before *sigaction) {
	const maskSize = 8
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(action)), //nolint:gosec // the kernel reads and writes no more than the struct
		uintptr(unsafe.Pointer(before)), //nolint:gosec // likewise
		maskSize, 0, 0)
}
