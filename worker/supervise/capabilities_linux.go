package supervise

import (
	"syscall"
	"unsafe"
)

// capabilityHeader and capabilitySets are what capget(2) and capset(2) read and write: version 3 has two halves of 32 bits.
type capabilityHeader struct {
	version uint32
	pid     int32 // 0: the calling thread
}

type capabilitySets [2]struct{ effective, permitted, inheritable uint32 }

// dropInheritable takes from the programs that the calling thread starts the rights that it has itself. A change from one user to
// another takes no right away unless the first one is root, and a worker with capabilities passes its rights on to the supervisor.
func dropInheritable() error {
	header, sets := capabilityHeader{version: 0x20080522}, capabilitySets{}
	if err := capabilities(syscall.SYS_CAPGET, &header, &sets); err != nil {
		return err
	}
	for i := range sets {
		sets[i].inheritable = 0 // the kernel takes what is not inheritable out of the ambient set
	}
	return capabilities(syscall.SYS_CAPSET, &header, &sets)
}

func capabilities(call uintptr, header *capabilityHeader, sets *capabilitySets) error {
	_, _, errno := syscall.RawSyscall(call,
		uintptr(unsafe.Pointer(header)), //nolint:gosec // the kernel reads and writes no more than the struct
		uintptr(unsafe.Pointer(sets)),   //nolint:gosec // likewise
		0)
	return orNil(errno)
}
