package supervise

import (
	"syscall"
	"unsafe"
)

// resources is how many resource limits a process has (RLIM_NLIMITS).
const resources = 16

// Limits are the resource limits that a process had at one moment; see getrlimit(2). Every process of the same user may change
// those of another one (prlimit), also of a hidden one. Nil are no limits.
type Limits [resources]syscall.Rlimit

// ReadLimits returns the limits of the process.
func ReadLimits() (*Limits, error) {
	l := new(Limits)
	for resource := range l {
		if err := limit(resource, nil, &l[resource]); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Restore sets every limit of the process that has changed. An error means that a hard limit was lowered, which only a process with
// CAP_SYS_RESOURCE can undo: then Restore sets the soft limit as high as it may, and goes on with the other limits.
func (l *Limits) Restore() error {
	if l == nil {
		return nil
	}
	var failed error
	for resource, want := range l {
		var is syscall.Rlimit
		if err := limit(resource, nil, &is); err != nil {
			failed = err
			continue
		}
		if is == want {
			continue
		}
		if err := limit(resource, &want, nil); err != nil {
			failed = err
			_ = limit(resource, &syscall.Rlimit{Cur: min(want.Cur, is.Max), Max: is.Max}, nil)
		}
	}
	return failed
}

// limit sets and reads a limit. Unlike [syscall.Setrlimit], it does not tell the Go runtime that the program has chosen how many files
// it may open: the programs that this process starts still get the soft limit with which this process was started.
func limit(resource int, set, read *syscall.Rlimit) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, uintptr(resource),
		uintptr(unsafe.Pointer(set)),  //nolint:gosec // nil, or one struct
		uintptr(unsafe.Pointer(read)), //nolint:gosec // likewise
		0, 0)
	return orNil(errno)
}
