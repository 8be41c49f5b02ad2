package supervise

import "syscall"

// Program is the file to start as a supervisor: the program file of the caller, also if it was replaced or deleted.
const Program = "/proc/self/exe"

// Name is the first argument (argv[0]) that makes a program a supervisor. A supervisor needs no other argument and no
// environment. Its file descriptor [ControlFD] is the control socket.
const Name = "attune-supervisor"

// The program becomes a supervisor here, while the Go runtime initialises packages. In main it would be too late: the
// other packages of the program take many milliseconds and megabytes to initialise.
var _ = takeOver()

func takeOver() bool {
	var start [len(Name) + 1]byte
	if text, _ := readFile("/proc/self/cmdline", start[:]); string(text) != Name+"\x00" {
		return false // package os, which knows the arguments, is initialised later
	}
	syscall.Exit(run())
	return true
}
