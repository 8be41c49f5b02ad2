package secrecy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/attune-go/attune/worker/supervise"
)

// Protect hides the process and overwrites the values of the variables with which it was started. [os.Getenv] still knows
// them: the Go runtime has a copy. Call it first: until then, other processes of the user can read the process.
func Protect() error {
	blankErr := blankStart() // before the process is hidden: then it cannot open its own memory
	if err := supervise.Hide(); err != nil {
		return fmt.Errorf("keep other processes of this user from reading this one: %w", err)
	}
	return blankErr
}

// blankStart overwrites the block of variables with which the kernel started the process.
func blankStart() (err error) {
	start, end, err := startBlock()
	if err != nil {
		return err
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if errors.Is(err, os.ErrPermission) {
		return nil // the process is hidden already: the program file may not be read
	}
	if err != nil {
		return fmt.Errorf("remove secrets from the environment: %w", err)
	}
	defer func() { err = errors.Join(err, memory.Close()) }()
	block := make([]byte, end-start)
	if _, err := memory.ReadAt(block, start); err != nil {
		return fmt.Errorf("remove secrets from the environment: %w", err)
	}
	blank(block)
	if _, err := memory.WriteAt(block, start); err != nil {
		return fmt.Errorf("remove secrets from the environment: %w", err)
	}
	return nil
}

// startBlock returns the addresses of the block: env_start and env_end of proc_pid_stat(5).
func startBlock() (start, end int64, err error) {
	const state, envStart, envEnd = 3, 50, 51
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0, fmt.Errorf("find the environment: %w", err)
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name, in brackets, may hold spaces
	if len(fields) <= envEnd-state {
		return 0, 0, nil // an old kernel
	}
	if start, err = strconv.ParseInt(string(fields[envStart-state]), 10, 64); err == nil {
		end, err = strconv.ParseInt(string(fields[envEnd-state]), 10, 64)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("find the environment: %w", err)
	}
	return start, max(start, end), nil
}
