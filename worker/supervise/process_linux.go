package supervise

import (
	"strconv"
	"syscall"
)

// Process is what /proc says about a process; see proc_pid_stat(5).
type Process struct {
	PID     int
	Parent  int
	Session int
	State   byte   // R, S, D, T, t, Z, X or I
	started string // distinguishes the process from a later one with the same id
}

// Ended reports whether the process has ended. It may still wait for its parent to reap it.
func (p Process) Ended() bool { return p.State == 'Z' || p.State == 'X' }

// stopped reports whether the process cannot start another one until it is continued.
func (p Process) stopped() bool { return p.State == 'T' || p.State == 't' || p.Ended() }

// signal sends sig to the process, and to no later process with the same id. It reports whether the sender has the right to do so.
func (p Process) signal(sig syscall.Signal) (permitted bool) {
	fd, _, errno := syscall.Syscall(sysPidfdOpen, uintptr(p.PID), 0, 0)
	switch errno {
	case 0:
		// From here on the descriptor means one process. It is p if the id still is p's.
		if again, ok := readProcess(p.PID, nil); ok && again.started == p.started {
			_, _, errno = syscall.Syscall6(sysPidfdSendSignal, fd, uintptr(sig), 0, 0, 0, 0)
		}
		_ = syscall.Close(int(fd))
	case syscall.ESRCH:
	default: // an old kernel, or a container that forbids the call
		errno, _ = syscall.Kill(p.PID, sig).(syscall.Errno) //nolint:errorlint // package errors would be initialised first
	}
	return errno != syscall.EPERM
}

// readProcess reads /proc/<pid>/stat. buffer may be nil.
func readProcess(pid int, buffer []byte) (Process, bool) {
	if buffer == nil {
		buffer = make([]byte, 512)
	}
	text := readFile("/proc/"+strconv.Itoa(pid)+"/stat", buffer)
	end := len(text) - 1 // the name, in brackets, may hold any byte
	for ; end >= 0 && text[end] != ')'; end-- {
	}
	const (
		state, parent, session, started = 0, 1, 3, 19 // positions after the name
	)
	fields := splitSpaces(text[end+1:], started+1)
	if end < 0 || len(fields) <= started {
		return Process{}, false
	}
	p := Process{PID: pid, State: fields[state][0], started: string(fields[started])}
	var err error
	if p.Parent, err = strconv.Atoi(string(fields[parent])); err != nil {
		return Process{}, false
	}
	p.Session, err = strconv.Atoi(string(fields[session]))
	return p, err == nil
}

// splitSpaces returns the first words of text, at most limit.
func splitSpaces(text []byte, limit int) [][]byte {
	words := make([][]byte, 0, limit)
	for i := 0; i < len(text) && len(words) < limit; i++ {
		if text[i] == ' ' || text[i] == '\n' {
			continue
		}
		start := i
		for i < len(text) && text[i] != ' ' && text[i] != '\n' {
			i++
		}
		words = append(words, text[start:i])
	}
	return words
}

// processes calls visit for every process of the machine, in the order of their ids.
func processes(visit func(Process)) {
	dir, err := syscall.Open("/proc", syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer func() { _ = syscall.Close(dir) }()
	entries, stat := make([]byte, 8<<10), make([]byte, 512)
	for {
		n, err := syscall.ReadDirent(dir, entries)
		if err != nil || n <= 0 {
			return
		}
		_, _, names := syscall.ParseDirent(entries[:n], -1, nil)
		for _, name := range names {
			pid, err := strconv.Atoi(name)
			if err != nil {
				continue
			}
			if p, ok := readProcess(pid, stat); ok {
				visit(p)
			}
		}
	}
}
