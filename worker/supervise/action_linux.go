package supervise

import (
	"strconv"
	"strings"
	"syscall"
)

// Action is a program to run.
type Action struct {
	Path string   // the file that is executed
	Args []string // argv
	Env  []string // the whole environment, as "NAME=value"
	Dir  string
	User *User // nil: the user of the supervisor
	// Confined means that the action runs in the supervisor's cgroup or not at all.
	Confined bool
}

// User is a user of the system, with the groups that its processes have.
type User struct {
	UID, GID uint32
	Groups   []uint32
	// Processes bounds the processes of the user, in this and every other action (RLIMIT_NPROC). 0 means no bound. The bound
	// stays with the supervisor, so a supervisor runs no other action after one with a bound.
	Processes int
}

// Run returns the commands that run an action under a lease that ends at deadline, a time of [Now]. The last command
// carries three file descriptors, which become the action's stdin, stdout and stderr. Its error is EINVAL for a text with
// a zero byte.
func (a Action) Run(deadline int64) ([]Command, error) {
	texts := append([]string{a.Dir, a.Path, a.User.text(), strconv.FormatBool(a.Confined), strconv.Itoa(len(a.Args))}, a.Args...)
	var all []byte
	for _, text := range append(texts, a.Env...) {
		if strings.IndexByte(text, 0) >= 0 {
			return nil, syscall.EINVAL
		}
		all = append(append(all, text...), 0)
	}
	var commands []Command
	for len(all) > 0 {
		n := min(len(all), chunkSize-1)
		commands = append(commands, append(Command{kindChunk}, all[:n]...))
		all = all[n:]
	}
	return append(commands, newCommand(kindRun, deadline)), nil
}

// parseAction is the reverse of Run.
func parseAction(text []byte) (Action, bool) {
	const fixed = 5
	texts := splitZero(text)
	if len(texts) < fixed {
		return Action{}, false
	}
	user, ok := parseUser(texts[2])
	n, err := strconv.Atoi(texts[4])
	if !ok || err != nil || n < 1 || n > len(texts)-fixed {
		return Action{}, false
	}
	return Action{
		Dir: texts[0], Path: texts[1], User: user, Confined: texts[3] == "true", Args: texts[fixed : fixed+n], Env: texts[fixed+n:],
	}, true
}

// start starts the action in a session of its own, with stdin, stdout and stderr, in a cgroup unless that is -1. The
// kernel kills the action when the calling thread ends.
func (a Action) start(files []int, cgroup int) (pid int, err error) {
	attr := &syscall.ProcAttr{Dir: a.Dir, Env: a.Env, Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}}
	for _, fd := range files {
		attr.Files = append(attr.Files, uintptr(fd))
	}
	attr.Sys.Credential = a.User.credential()
	if a.User != nil {
		if err := dropInheritable(); err != nil {
			return 0, err
		}
	}
	a.User.limitProcesses()
	if cgroup >= 0 {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, cgroup
		pid, _, err = syscall.StartProcess(a.Path, a.Args, attr)
		if a.Confined || !refusesCgroup(err) {
			return pid, err
		}
		attr.Sys.UseCgroupFD = false
	}
	if a.Confined && cgroup < 0 {
		return 0, syscall.ENOTSUP
	}
	pid, _, err = syscall.StartProcess(a.Path, a.Args, attr)
	return pid, err
}

// refusesCgroup reports whether err can mean that the system forbids to start a process in the cgroup, or does not know how. EACCES
// can also be about the action: then the second start fails too.
func refusesCgroup(err error) bool {
	switch err { //nolint:errorlint // package errors would be initialised first
	case syscall.EPERM, syscall.EACCES, syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.EBUSY, syscall.EINVAL, syscall.ENODEV:
		return true
	default:
		return false
	}
}
