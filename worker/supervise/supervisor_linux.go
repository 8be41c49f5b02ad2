package supervise

import (
	"sync/atomic"
	"syscall"
)

// supervisor is the process of this package. It runs one action after the other. The goroutine of guard obeys the worker
// and the deadline. The main goroutine starts an action, waits for the ends of processes, and reports them; it keeps the
// main thread, to which the action's parent-death signal is bound.
//
// An action of the same user can change the limits of the supervisor at any time (prlimit). So the supervisor opens what it needs at its
// start, and needs no other descriptor to obey, to kill its children and to notice that none is left.
type supervisor struct {
	timer    int // fires when the deadline of the lease has passed
	poll     int // watches the control socket and timer
	cgroup   actionCgroup
	children children
	limits   *Limits // at the start
	tree     Tree
	runs     chan order
	spec     []byte // the chunks of the next action
	busy     atomic.Bool
	overdue  atomic.Bool
	doomed   atomic.Bool // the current action must not run: it is overdue, was killed, or the worker has ended
	blind    atomic.Bool // a search for the processes of the current action has failed, so every child is killed
	spent    atomic.Bool // the cgroup was killed, and no other action may be started in it
}

// order is an action to run.
type order struct {
	Action
	files    []int // stdin, stdout and stderr
	deadline int64 // of the lease, when the worker has sent the order
}

// run returns when the worker has ended and no action is left. It returns the exit code of the supervisor, which nothing
// reads: the reports tell the worker all that it needs.
func run() int {
	s, err := newSupervisor()
	if err != nil {
		return 1
	}
	restore := ignoreSignals()
	go s.guard()
	for next := range s.runs {
		s.carryOut(next, restore)
	}
	return 0
}

func newSupervisor() (*supervisor, error) {
	err := Hide() // it reads the parameters of actions
	if err == nil {
		err = SealDescriptors()
	}
	if err == nil {
		err = Adopt()
	}
	s := &supervisor{
		cgroup: inheritedCgroup(), children: openChildren(), tree: Tree{Root: syscall.Getpid()}, runs: make(chan order),
	}
	if err == nil {
		s.limits, err = ReadLimits()
	}
	if err == nil {
		s.timer, err = newTimer()
	}
	if err == nil {
		s.poll, err = newPoll(ControlFD, s.timer)
	}
	return s, err
}

// carryOut runs an action and returns when everything that it has started is gone.
func (s *supervisor) carryOut(next order, restore func()) {
	pid, err := s.start(next, restore)
	for _, fd := range next.files {
		_ = syscall.Close(fd) // the worker sees the end of the output when the action closes it
	}
	if err != nil {
		errno, _ := err.(syscall.Errno) //nolint:errorlint // package errors would be initialised first
		s.busy.Store(false)
		send(newMessage(kindNotStarted, int64(errno)))
		return
	}
	send(newMessage(kindStarted, int64(pid)))
	if s.doomed.Load() { // guard has killed the tree before the action was in it
		_ = s.kill()
	}
	s.reap(pid)
}

// start starts an action, unless its lease is over, the worker has ended or the supervisor is spent. The action would inherit limits that
// an earlier one has changed.
func (s *supervisor) start(next order, restore func()) (pid int, err error) {
	if s.doomed.Load() || Now() >= next.deadline {
		return 0, ErrLeaseOver
	}
	if s.spent.Load() || s.limits.Restore() != nil {
		return 0, ErrSpent
	}
	restore() // the action would inherit that signals are ignored
	pid, err = next.Action.start(next.files, s.cgroup.folder)
	ignoreSignals()
	return pid, err
}

// reap waits until the tree is gone. It reports the end of the action's first process, and the end of the tree.
func (s *supervisor) reap(leader int) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, waitAll, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil: // ECHILD: no child is left, so the tree is gone
			s.busy.Store(false)
			send(newMessage(kindGone, 0))
			return
		case pid == leader:
			leader = 0 // a later process may have the same id
			gone := s.reapEnded()
			s.busy.Store(!gone)
			send(Exit{Status: status, Overdue: s.overdue.Load(), Gone: gone}.report())
			if gone {
				return
			}
		}
		if s.blind.Load() { // the children of that process are the supervisor's now
			s.children.signal(syscall.SIGKILL)
		}
	}
}

// reapEnded reaps the children that have ended and reports whether no child is left.
func (s *supervisor) reapEnded() bool {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG|waitAll, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return true
		case pid == 0:
			return false
		}
	}
}

// guard obeys the worker's commands. It kills the tree when the deadline has passed or the worker has ended. It returns
// after the end of the worker.
func (s *supervisor) guard() {
	defer close(s.runs)
	for {
		control, timer := pollTwo(s.poll, ControlFD, s.timer)
		if timer && s.busy.Load() {
			s.overdue.Store(true)
			s.doom()
		}
		if timer {
			_ = setTimer(s.timer, never)
		}
		if control && !s.obey() {
			s.doom()
			return
		}
	}
}

// obey reads one command and obeys it. It returns false when the worker has ended.
func (s *supervisor) obey() bool {
	if !s.busy.Load() {
		_ = s.limits.Restore() // without the right to open files, the supervisor would get none from the worker
	}
	buffer := make([]byte, chunkSize)
	n, files, err := receive(buffer)
	if err == syscall.EINTR || err == syscall.EAGAIN { //nolint:errorlint // package errors would be initialised first
		return true
	}
	if err != nil || n == 0 {
		return false
	}
	if buffer[0] == kindChunk {
		s.spec = append(s.spec, buffer[1:n]...)
		return true
	}
	s.obeyMessage(message(buffer[:ReportSize]), files)
	return true
}

func (s *supervisor) obeyMessage(m message, files []int) {
	switch m[0] {
	case kindRun:
		action, ok := parseAction(s.spec)
		s.spec = nil
		if !ok || len(files) != 3 {
			refuse(ok, files)
			return
		}
		s.overdue.Store(false)
		s.doomed.Store(false)
		s.blind.Store(false)
		s.busy.Store(true)
		_ = setTimer(s.timer, m.value())
		s.runs <- order{action, files, m.value()}
	case kindDeadline:
		_ = setTimer(s.timer, m.value())
	case kindTerminate:
		_ = s.limits.Restore()
		if _, err := s.tree.Signal(syscall.SIGTERM); err != nil {
			s.children.signal(syscall.SIGTERM)
		}
	case kindKill:
		s.doom()
	}
}

// refuse reports that an order did not arrive as it was sent. Files are missing if the supervisor may not open as many.
func refuse(parsed bool, files []int) {
	for _, fd := range files {
		_ = syscall.Close(fd)
	}
	reason := ErrSpent
	if !parsed {
		reason = syscall.EBADMSG
	}
	send(newMessage(kindNotStarted, int64(reason)))
}

// doom kills the tree, also an action that the main goroutine is about to start. If the supervisor cannot search /proc, doom kills
// the children, whose children become the supervisor's, until the main goroutine finds that none is left.
func (s *supervisor) doom() {
	s.doomed.Store(true)
	for wait := int64(firstPause); !s.kill() && s.busy.Load(); wait = min(2*wait, lastPause) {
		pause(wait)
	}
}

// kill kills the tree: what is in the cgroup at one moment, and what is not. It returns false if it may have missed processes. A command
// to kill can arrive when its action has ended already, so the supervisor itself knows that it is spent: the worker may not have noticed.
func (s *supervisor) kill() (found bool) {
	if s.cgroup.folder >= 0 {
		s.spent.Store(true)
		KillCgroup(s.cgroup.killer)
	}
	_ = s.limits.Restore()
	if s.tree.Kill() == nil {
		return true
	}
	s.blind.Store(true)
	s.children.signal(syscall.SIGKILL)
	return false
}
