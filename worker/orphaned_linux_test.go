package worker

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/attune-go/attune/worker/supervise"
)

// The variables that make the test program a worker that dies when it has ordered an action: the folder in which the action runs,
// and whether the supervisor is stopped until the worker has died.
const (
	OrphanEnv  = "WORKER_TEST_ORPHAN"
	StoppedEnv = "WORKER_TEST_ORPHAN_STOPPED"
)

// OrderAndDie makes the program a worker that orders an action and is killed before the reply of the supervisor, if the variables say
// so. It writes the process id of the supervisor into the file "supervisor".
func OrderAndDie() bool {
	dir := os.Getenv(OrphanEnv)
	if dir == "" {
		return false
	}
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	one, err := newSupervisor(cgroupParent{}, nil)
	must(err)
	pid := strconv.Itoa(one.process.Pid)
	must(os.WriteFile(filepath.Join(dir, "supervisor"), []byte(pid+"\n"), 0o600))
	if os.Getenv(StoppedEnv) != "" {
		must(one.process.Signal(syscall.SIGSTOP))
		_, err := syscall.Wait4(one.process.Pid, nil, syscall.WUNTRACED, nil) // it has stopped
		must(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must(err)
	commands, err := touchIn(dir).Run(int64(sinceBoot() + bootTime(time.Hour)))
	must(err)
	for i, command := range commands {
		var rights []byte
		if i == len(commands)-1 {
			rights = syscall.UnixRights(int(null.Fd()), int(null.Fd()), int(null.Fd()))
		}
		must(one.write(command, rights))
	}
	must(syscall.Kill(os.Getpid(), syscall.SIGKILL))
	select {}
}

// touchIn is an action that writes the file "ran" into a folder and runs for ever.
func touchIn(dir string) supervise.Action {
	path, err := exec.LookPath("sh")
	if err != nil {
		panic(err)
	}
	return supervise.Action{
		Path: path, Args: []string{"sh", "-c", "echo ran >> ran; while :; do sleep 0.02; done"}, Env: os.Environ(), Dir: dir,
	}
}

// OwnCgroupFolder returns the folder of the cgroup of the test program.
func OwnCgroupFolder() (string, error) {
	p := ownCgroup()
	if p.folder == "" {
		return "", os.ErrNotExist
	}
	return p.folder, nil
}
