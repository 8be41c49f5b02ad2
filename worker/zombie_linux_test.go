package worker_test

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// zombieEnv is the variable that makes the test program a process whose first thread ends while others run on. It names the file that
// the process writes then.
const zombieEnv = "WORKER_TEST_ZOMBIE"

// runZombieLeader makes the program such a process if the variable says so. The process ignores all signals that it can. The caller is
// the main goroutine, which usually still is on the first thread: the program starts again if it is not.
func runZombieLeader() bool {
	up := os.Getenv(zombieEnv)
	if up == "" {
		return false
	}
	runtime.LockOSThread() // the goroutine stays on the thread that ends
	if syscall.Gettid() != os.Getpid() {
		panic(syscall.Exec(os.Args[0], os.Args, os.Environ()))
	}
	runtime.GOMAXPROCS(4) // the thread that ends holds one for a moment
	go runOn(up)
	_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
	return true
}

// runOn writes the file up when the first thread has ended, and returns never.
func runOn(up string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals)
	for state := ""; state != "Z"; state, _, _, _ = stat(os.Getpid()) {
		runtime.Gosched()
	}
	if err := os.WriteFile(up, []byte("up\n"), 0o600); err != nil {
		panic(err)
	}
	for range signals { // for ever
	}
}
