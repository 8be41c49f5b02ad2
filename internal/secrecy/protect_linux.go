package secrecy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"github.com/attune-go/attune/worker/supervise"
)

// Protect hides the process and overwrites the values of the variables with which it was started. [os.Getenv] still knows
// them: the Go runtime has a copy. Call it first: until then, other processes of the user can read the process. Package early
// hides it before main. Protect also keeps the files that the process has inherited from the programs that it starts.
func Protect() error {
	if err := supervise.Hide(); err != nil {
		return fmt.Errorf("keep other processes of this user from reading this one: %w", err)
	}
	if err := supervise.SealDescriptors(); err != nil {
		return fmt.Errorf("keep inherited files from the programs that this one starts: %w", err)
	}
	start, end, err := startBlock()
	if err != nil {
		return err
	}
	if end > start {
		// The block is no memory of the Go runtime, so the collector does not move it. A hidden process cannot write it as
		// /proc/self/mem, because the file belongs to root.
		blank(unsafe.Slice(*(**byte)(unsafe.Pointer(&start)), end-start)) //nolint:gosec // the bounds are the kernel's
	}
	return nil
}

// startBlock returns the addresses of the block: env_start and env_end of proc_pid_stat(5).
func startBlock() (start, end uintptr, err error) {
	const state, envStart, envEnd = 3, 50, 51
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0, fmt.Errorf("find the environment: %w", err)
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name, in brackets, may hold spaces
	if len(fields) <= envEnd-state {
		return 0, 0, nil // an old kernel
	}
	from, fromErr := strconv.ParseUint(string(fields[envStart-state]), 10, 64)
	to, toErr := strconv.ParseUint(string(fields[envEnd-state]), 10, 64)
	if err := errors.Join(fromErr, toErr); err != nil {
		return 0, 0, fmt.Errorf("find the environment: %w", err)
	}
	return uintptr(from), uintptr(to), nil
}
