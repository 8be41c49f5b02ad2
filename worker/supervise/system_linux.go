package supervise

import (
	"math"
	"syscall"
	"unsafe"
)

// Constants of the kernel that package syscall does not have.
const (
	clockBoottime       = 7
	prSetDumpable       = 4
	prSetChildSubreaper = 36
	timerAbsolute       = 1          // TFD_TIMER_ABSTIME
	waitAll             = 0x40000000 // __WALL: also children that send no SIGCHLD
	sysPidfdOpen        = 434
	sysPidfdSendSignal  = 424
)

// never is a deadline that does not pass.
const never = math.MaxInt64

// Now returns the time of the clock that deadlines use: nanoseconds since the machine has started, time in suspension
// included. All processes of a machine read the same clock, and it cannot be set.
func Now() int64 {
	var now syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime,
		uintptr(unsafe.Pointer(&now)), 0) //nolint:gosec // the kernel writes one timespec
	return now.Nano()
}

// Adopt makes the process a subreaper: a process below it whose parent ends becomes its child.
func Adopt() error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0, 0, 0, 0)
	return orNil(errno)
}

// Hide keeps other processes of the same user out of this one: they can neither attach to it nor read its memory, its
// environment or its open files, and the kernel writes no core dump of it. A process that may trace every process
// (CAP_SYS_PTRACE, usually root) still can. A program that this process executes is not hidden, but inherits that it leaves no
// core dumps: only a process with CAP_SYS_RESOURCE can raise their limit.
func Hide() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	limit.Cur, limit.Max = 0, 0
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetDumpable, 0, 0, 0, 0, 0)
	return orNil(errno)
}

// orNil returns nil for 0, which is no error.
func orNil(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// newTimer returns a file descriptor that is readable when the deadline of [setTimer] has passed.
func newTimer() (int, error) {
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockBoottime, syscall.O_CLOEXEC, 0)
	return int(fd), orNil(errno)
}

func setTimer(fd int, deadline int64) error {
	// interval and value; a value of 0 would stop the timer
	times := [2]syscall.Timespec{{}, syscall.NsecToTimespec(max(deadline, 1))}
	_, _, errno := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, uintptr(fd), timerAbsolute,
		uintptr(unsafe.Pointer(&times)), 0, 0, 0) //nolint:gosec // the kernel reads two timespecs
	return orNil(errno)
}

// newPoll returns a file descriptor for pollTwo, which watches others. Unlike poll(2), it needs no limit of open files.
func newPoll(fds ...int) (int, error) {
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	for _, fd := range fds {
		if err == nil {
			err = syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
		}
	}
	return poll, err
}

// pollTwo waits until at least one of two file descriptors of a poll is readable or closed by the other side.
func pollTwo(poll, a, b int) (aReady, bReady bool) {
	var events [2]syscall.EpollEvent
	n, _ := syscall.EpollWait(poll, events[:], -1) // an error is EINTR
	for _, event := range events[:max(n, 0)] {
		aReady, bReady = aReady || event.Fd == int32(a), bReady || event.Fd == int32(b)
	}
	return aReady, bReady
}

// pause waits for d nanoseconds.
func pause(d int64) {
	left := syscall.NsecToTimespec(d)
	_ = syscall.Nanosleep(&left, nil)
}

// send sends a report. It ignores the error: the worker has ended, and guard notices that.
func send(m message) {
	for {
		err := syscall.Sendto(ControlFD, m[:], syscall.MSG_NOSIGNAL, nil)
		if err != syscall.EINTR {
			return
		}
	}
}

// receive receives one message and the file descriptors that it carries.
func receive(buffer []byte) (n int, files []int, err error) {
	const most = 3
	oob := make([]byte, syscall.CmsgSpace(4*most))
	n, oobn, _, _, err := syscall.Recvmsg(ControlFD, buffer, oob, syscall.MSG_CMSG_CLOEXEC)
	if err != nil || oobn == 0 {
		return n, nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return n, nil, err
	}
	files, err = syscall.ParseUnixRights(&messages[0])
	return n, files, err
}
