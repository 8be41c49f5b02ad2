package worker

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker/supervise"
)

// maxIdle is how many supervisors a worker keeps for later attempts. Each has a few megabytes of memory.
const maxIdle = 32

// startWait bounds the wait for the report that an action was started: see [supervisor.started]. A supervisor that is alive needs
// milliseconds. endWait bounds
// the wait for the end of a supervisor that runs no action. An action of the same user can halt supervisors.
const (
	startWait = 20 * time.Second
	endWait   = 5 * time.Second
)

// supervisors are the supervisor processes of a worker that run no action. A supervisor runs one attempt after the other,
// because the start of a process is the most expensive part of a run.
type supervisors struct {
	account   *account     // the user of the actions; nil: the worker's own
	slots     int          // how many actions run at once
	parent    cgroupParent // of the cgroups of actions
	unlimited unenforced   // the limits that cannot be enforced by cgroups
	own       ownLimits    // the resource limits of the worker
	log       *slog.Logger // nil: no log

	mu     sync.Mutex
	idle   []*supervisor // guarded by mu; the last one ran last
	closed bool          // guarded by mu: the worker has ended
}

// take returns an idle supervisor, or a new one. An action with limits gets a new one: what earlier actions have left in memory,
// such as files in /dev/shm, counts in the cgroup of their supervisor.
func (s *supervisors) take(limits attune.Limits) (*supervisor, error) {
	if limits == (attune.Limits{}) {
		if idle := s.takeIdle(); idle != nil {
			return idle, nil
		}
	}
	s.restoreLimits() // the supervisor inherits them
	return newSupervisor(s.parent, s.account)
}

// takeIdle returns an idle supervisor, or nil.
func (s *supervisors) takeIdle() *supervisor {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.idle) - 1
	if last < 0 {
		return nil
	}
	taken := s.idle[last]
	s.idle = s.idle[:last]
	return taken
}

// put returns a supervisor whose attempt has ended.
func (s *supervisors) put(one *supervisor) {
	if !s.keep(one) {
		one.close()
	}
}

// keep adds a supervisor to the idle ones, if there is room and it can run another action.
func (s *supervisors) keep(one *supervisor) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || one.spent || len(s.idle) == maxIdle {
		return false
	}
	s.idle = append(s.idle, one)
	return true
}

// close ends the idle supervisors. Later ones end when they are put back.
func (s *supervisors) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var closing sync.WaitGroup
	for _, one := range s.idle {
		closing.Go(one.close)
	}
	closing.Wait()
	s.idle = nil
}

// supervisor is a supervisor process. One goroutine uses it at a time.
type supervisor struct {
	process *os.Process
	control *os.File // the worker's end of the control socket
	cgroup  *cgroup  // of its actions; nil if there is none
	account *account // the user of its actions; nil: the worker's own
	spent   bool     // it runs no other action: it had one with limits, or the worker killed what was below it
}

func newSupervisor(parent cgroupParent, actions *account) (*supervisor, error) {
	control, theirs, err := controlSocket()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		_ = control.Close()
		return nil, fmt.Errorf("start a supervisor: %w", err)
	}
	defer func() { _ = null.Close() }()
	group := parent.create()
	// The supervisor has a process group of its own, so that Ctrl-C in a terminal reaches only the worker. It gets no
	// environment, which may hold secrets. If an action has stopped it (SIGSTOP), the death of the worker continues it, so
	// that it can kill the action. The end of a thread of the worker sends this signal too, without effect.
	process, err := os.StartProcess(supervise.Program, []string{supervise.Name}, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: []*os.File{null, null, null, theirs, group.folderFile()},
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGCONT, AmbientCaps: actions.capabilities()},
	})
	if err != nil {
		_ = control.Close()
		group.remove()
		return nil, fmt.Errorf("start a supervisor: %w", err)
	}
	return &supervisor{process: process, control: control, cgroup: group, account: actions}, nil
}

// controlSocket returns the worker's end and the supervisor's end of a socket that keeps the bounds of messages.
func controlSocket() (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.SetNonblock(fds[0], true)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open a supervisor's socket: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "supervisor"), os.NewFile(uintptr(fds[1]), "worker"), nil
}

// close ends the supervisor, which kills what is left of its tree, and waits for its end.
func (s *supervisor) close() {
	_ = s.control.Close()
	_ = s.process.Signal(syscall.SIGCONT)
	late := time.AfterFunc(endWait, s.end)
	_, _ = s.process.Wait()
	late.Stop()
	s.cgroup.remove()
}

// end kills the supervisor, also one that is halted.
func (s *supervisor) end() {
	_ = s.process.Kill() // without effect if it has ended already
	thaw(s.process.Pid)
}

// The errors of a supervisor that was killed, before and after the worker has sent an action.
var (
	errNotSent  = errors.New("the supervisor has ended")
	errNoAnswer = errors.New("the supervisor does not answer")
)

// errSpent is the error of a supervisor that has killed an action before, and did not start this one.
var errSpent = errors.New("the supervisor has killed an earlier action")

// start starts the action, which the supervisor kills at a deadline, and returns its process id. An error that is none of errNotSent,
// errNoAnswer, errSpent and errLeaseOver is the kernel's, about the action.
func (s *supervisor) start(action supervise.Action, files [3]*os.File, deadline bootTime, lease *leash) (pid int, err error) {
	commands, err := action.Run(int64(deadline))
	if err != nil {
		return 0, &os.PathError{Op: "fork/exec", Path: action.Path, Err: err}
	}
	_ = s.process.Signal(syscall.SIGCONT) // an earlier action may have stopped it
	_ = s.control.SetDeadline(time.Now().Add(startWait))
	for i, command := range commands {
		var rights []byte
		if i == len(commands)-1 {
			rights = syscall.UnixRights(descriptors(files)...)
		}
		if err := s.write(command, rights); err != nil {
			return 0, errors.Join(errNotSent, err)
		}
	}
	report, err := s.started(lease)
	_ = s.control.SetDeadline(time.Time{})
	switch {
	case errors.Is(err, syscall.ECONNRESET): // it ended before it received the last command
		return 0, errors.Join(errNotSent, err)
	case errors.Is(err, os.ErrDeadlineExceeded) && s.hasIgnored():
		return 0, errors.Join(errNotSent, err)
	case err != nil:
		return 0, errors.Join(errNoAnswer, err)
	}
	if errno, ok := report.NotStarted(); ok {
		return 0, notStartedError(action, errno)
	}
	pid, _ = report.Started()
	return pid, nil
}

// started waits for the report that an action was started, for startWait at most, and never until the end of the lease: a supervisor that
// was halted after the start keeps no deadline.
func (s *supervisor) started(lease *leash) (supervise.Report, error) {
	latest := time.Now().Add(startWait)
	for {
		left := min(time.Until(latest), time.Duration(lease.now()-sinceBoot()))
		_ = s.control.SetReadDeadline(time.Now().Add(left))
		report, err := s.next()
		if left <= 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return report, err
		}
	}
}

// hasIgnored kills a supervisor that does not answer, with what it may have started, and reports whether it has not received the last
// command. Then it has started nothing.
func (s *supervisor) hasIgnored() bool {
	s.killTree(nil)
	s.end()
	_ = s.control.SetReadDeadline(time.Now().Add(endWait))
	_, err := s.next()
	return errors.Is(err, syscall.ECONNRESET)
}

func notStartedError(action supervise.Action, errno syscall.Errno) error {
	switch errno {
	case supervise.ErrLeaseOver:
		return errLeaseOver
	case supervise.ErrSpent:
		return errSpent
	default:
		return &os.PathError{Op: "fork/exec", Path: action.Path, Err: errno}
	}
}

func descriptors(files [3]*os.File) []int {
	var fds []int
	for _, file := range files {
		fds = append(fds, int(file.Fd()))
	}
	return fds
}

// write sends a command with file descriptors. It waits until there is room in the socket.
func (s *supervisor) write(c supervise.Command, rights []byte) error {
	raw, err := s.control.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = syscall.Sendmsg(int(fd), c, rights, nil, syscall.MSG_NOSIGNAL)
		return !errors.Is(sent, syscall.EAGAIN)
	})
	return errors.Join(err, sent)
}

// send sends a command. It does not block: when the socket is full, because the supervisor was stopped, the command is
// dropped. A lost deadline leaves an earlier one. The supervisor is continued first, in case the action has stopped it.
func (s *supervisor) send(c supervise.Command) {
	_ = s.process.Signal(syscall.SIGCONT)
	raw, err := s.control.SyscallConn()
	if err != nil {
		return
	}
	// An error means that the supervisor has ended, and the reader of its reports notices that.
	_ = raw.Control(func(fd uintptr) { _ = syscall.Sendto(int(fd), c, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, nil) })
}

// next returns the next report. Any error means that the supervisor has ended.
func (s *supervisor) next() (supervise.Report, error) {
	var report supervise.Report
	n, err := s.control.Read(report[:])
	if err == nil && n != len(report) {
		err = io.ErrUnexpectedEOF
	}
	return report, err
}
