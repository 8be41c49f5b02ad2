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
	State   byte   // of the first thread: R, S, D, T, t, Z, X or I
	Threads int    // including the first one; 0 if the process was reaped
	started string // distinguishes the process from a later one with the same id
}

// Ended reports whether the process has ended. It may still wait for its parent to reap it. A process of which only the first thread
// has ended (Z) runs on in its other threads, and wait4(2) waits for them.
func (p Process) Ended() bool { return threadEnded(p.State) && p.Threads <= 1 }

// signal sends sig to the process, and to no later process with the same id. It reports whether the sender has the right to do so.
func (p Process) signal(sig syscall.Signal) (permitted bool) {
	fd, _, errno := syscall.Syscall(sysPidfdOpen, uintptr(p.PID), 0, 0)
	switch errno {
	case 0:
		// From here on the descriptor means one process. It is p if the id still is p's.
		if again, ok, _ := readProcess(p.PID, nil); ok && again.started == p.started {
			_, _, errno = syscall.Syscall6(sysPidfdSendSignal, fd, uintptr(sig), 0, 0, 0, 0)
		}
		_ = syscall.Close(int(fd))
	case syscall.ESRCH:
	default: // an old kernel, or a container that forbids the call
		errno, _ = syscall.Kill(p.PID, sig).(syscall.Errno) //nolint:errorlint // package errors would be initialised first
	}
	return errno != syscall.EPERM
}

// readProcess reads /proc/<pid>/stat. buffer may be nil. It returns false for a process that is gone, and an error if the caller cannot
// know.
func readProcess(pid int, buffer []byte) (Process, bool, error) {
	return readStat(pid, folderOf(pid), buffer)
}

// readStat reads the file stat of a process or a thread in its folder of /proc. buffer may be nil.
func readStat(id int, folder string, buffer []byte) (Process, bool, error) {
	if buffer == nil {
		buffer = make([]byte, 512)
	}
	text, err := readFile(folder+"/stat", buffer)
	if err != nil {
		return Process{}, false, err
	}
	p, ok := parseStat(id, text)
	return p, ok, nil
}

func parseStat(id int, text []byte) (Process, bool) {
	end := len(text) - 1 // the name, in brackets, may hold any byte
	for ; end >= 0 && text[end] != ')'; end-- {
	}
	const (
		state, parent, session, threads, started = 0, 1, 3, 17, 19 // positions after the name
	)
	fields := splitSpaces(text[end+1:], started+1)
	if end < 0 || len(fields) <= started {
		return Process{}, false
	}
	p := Process{PID: id, State: fields[state][0], started: string(fields[started])}
	for _, number := range []struct {
		into *int
		at   int
	}{{&p.Parent, parent}, {&p.Session, session}, {&p.Threads, threads}} {
		var err error
		if *number.into, err = strconv.Atoi(string(fields[number.at])); err != nil {
			return Process{}, false
		}
	}
	return p, true
}

// splitSpaces returns the first words of text, at most limit; a limit of -1 means all.
func splitSpaces(text []byte, limit int) [][]byte {
	words := make([][]byte, 0, max(limit, 0))
	for i := 0; i < len(text) && len(words) != limit; i++ {
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

// processes calls visit for every process of the machine, in the order of their ids. After an error, visit may have missed some.
func processes(visit func(Process)) error {
	stat := make([]byte, 512)
	var failed error
	err := eachNumber("/proc", func(pid int) bool {
		p, ok, err := readProcess(pid, stat)
		if err != nil {
			failed = err
		}
		if ok {
			visit(p)
		}
		return true
	})
	if err != nil {
		return err
	}
	return failed
}
