package supervise

import "syscall"

// ControlFD is the file descriptor of the control socket in the supervisor. The socket keeps the bounds of messages
// (SOCK_SEQPACKET).
const ControlFD = 3

// ReportSize is the size of every report, in bytes.
const ReportSize = 9

// chunkSize bounds a message. It is far below the size of a socket's buffer.
const chunkSize = 32 << 10

// The kinds of messages: the first byte. All but a chunk carry a number, with the least significant byte first.
const (
	kindChunk     = 'c'
	kindRun       = 'r'
	kindDeadline  = 'd'
	kindTerminate = 't'
	kindKill      = 'k'

	kindStarted    = 's'
	kindNotStarted = 'f'
	kindExited     = 'x'
	kindGone       = 'g'
)

// message is a message with a number.
type message [ReportSize]byte

func newMessage(kind byte, value int64) message {
	m := message{kind}
	for i := range 8 {
		m[i+1] = byte(uint64(value) >> (8 * i))
	}
	return m
}

func (m message) value() int64 {
	var value uint64
	for i := range 8 {
		value |= uint64(m[i+1]) << (8 * i)
	}
	return int64(value)
}

// Command is a message from the worker to the supervisor.
type Command []byte

func newCommand(kind byte, value int64) Command {
	m := newMessage(kind, value)
	return m[:]
}

// SetDeadline returns the command that replaces the deadline of the lease, a time of [Now]. A deadline that has passed
// kills the tree.
func SetDeadline(at int64) Command { return newCommand(kindDeadline, at) }

// Terminate returns the command that sends SIGTERM to every process of the tree.
func Terminate() Command { return newCommand(kindTerminate, 0) }

// Kill returns the command that kills the tree.
func Kill() Command { return newCommand(kindKill, 0) }

// ErrLeaseOver is the error of an action that a supervisor does not start, because the deadline of the lease has passed.
const ErrLeaseOver = syscall.ETIME

// ErrSpent is the error of an action that a supervisor does not start, because it has killed an action in its cgroup before, or because
// its limits were lowered and it may not raise them again. The worker sends the action to another supervisor.
const ErrSpent = syscall.EOWNERDEAD

// Report is a message from the supervisor to the worker. The first report about an action is that it was started or was
// not started. A started action is followed by the report that its first process has exited; then, unless the tree was
// gone at that moment, by the report that it is gone. After the last report the supervisor waits for another action.
type Report message

// Started returns the process id of the action, and true, in the report that the action was started. The action leads a
// session and a process group with that id.
func (r Report) Started() (pid int, ok bool) { return int(message(r).value()), r[0] == kindStarted }

// NotStarted returns the kernel's error, and true, in the report that the action could not be started.
func (r Report) NotStarted() (syscall.Errno, bool) {
	return syscall.Errno(message(r).value()), r[0] == kindNotStarted
}

// Exited returns how the first process has ended, and true, in the report that it has.
func (r Report) Exited() (Exit, bool) {
	value := message(r).value()
	return Exit{
		Status: syscall.WaitStatus(uint32(value)), Overdue: value&overdueBit != 0, Gone: value&goneBit != 0,
	}, r[0] == kindExited
}

// Gone reports whether r says that the tree is gone.
func (r Report) Gone() bool { return r[0] == kindGone }

// Exit says how the first process of an action has ended.
type Exit struct {
	Status  syscall.WaitStatus
	Overdue bool // the deadline of the lease had passed before, so the supervisor killed the tree
	Gone    bool // the tree is gone: the first process left nothing behind
}

const (
	overdueBit = 1 << 32
	goneBit    = 1 << 33
)

func (e Exit) report() message {
	value := int64(uint32(e.Status))
	if e.Overdue {
		value |= overdueBit
	}
	if e.Gone {
		value |= goneBit
	}
	return newMessage(kindExited, value)
}
