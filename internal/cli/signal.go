package cli

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// hangups decides what SIGHUP does. Daemons read their settings again (nginx, PostgreSQL, sshd); a program in a terminal that is
// closed must end. [hangups.reload] gives a command the first meaning. It does not hold when the terminal from which the process
// was started has gone: the kernel sends SIGHUP then, after it has taken the terminal from the process, and so /dev/tty tells the
// two apart. nohup starts a process with SIGHUP ignored, and then it stays ignored.
type hangups struct {
	reloads  chan struct{}
	reloader atomic.Bool            // a command takes reloads
	terminal atomic.Bool            // the process had a terminal when the command began to
	last     atomic.Pointer[func()] // called before a second signal ends the process; nil: nothing to do
}

// beforeEnd sets what is called before a second SIGINT or SIGTERM ends the process. It must return soon.
func (h *hangups) beforeEnd(last func()) { h.last.Store(&last) }

func newHangups() *hangups { return &hangups{reloads: make(chan struct{}, 1)} }

// reload returns a channel with a value for each SIGHUP that asks for a reload; several at once may be one value. From now on,
// such a signal does not stop the command.
func (h *hangups) reload() <-chan struct{} {
	h.terminal.Store(hasTerminal())
	h.reloader.Store(true)
	return h.reloads
}

// isReload reports whether a SIGHUP that has just come asks for a reload, and passes it on.
func (h *hangups) isReload() bool {
	if !h.reloader.Load() || h.terminal.Load() && !hasTerminal() {
		return false
	}
	select {
	case h.reloads <- struct{}{}:
	default: // one is pending
	}
	return true
}

// hasTerminal reports whether the process has a controlling terminal.
func hasTerminal() bool {
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	_ = terminal.Close()
	return true
}

// untilSignal returns a context that the first SIGINT or SIGTERM ends, so that the command stops in an orderly way; so does a
// SIGHUP that h does not take. A second SIGINT or SIGTERM ends the process at once.
//
// The caller calls stop when the command has ended.
func untilSignal(ctx context.Context, h *hangups) (limited context.Context, stop func()) {
	stopping := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		stopping = append(stopping, syscall.SIGHUP)
	}
	signals := make(chan os.Signal, len(stopping))
	signal.Notify(signals, stopping...)
	limited, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case next := <-signals:
				if next == syscall.SIGHUP && h.isReload() {
					continue
				}
				cancel()
				h.endAtNext(signals, ended)
			case <-ended:
			}
			return
		}
	}()
	return limited, func() {
		signal.Stop(signals)
		close(ended)
		cancel()
	}
}

// endAtNext calls what [hangups.beforeEnd] has set and ends the process at the next SIGINT or SIGTERM, by that signal. It ignores
// SIGHUP: some service managers send one right after SIGTERM. The libraries that attune uses watch signals too, so that the default
// action of a signal is restored for all of them.
func (h *hangups) endAtNext(signals <-chan os.Signal, ended <-chan struct{}) {
	for {
		select {
		case next := <-signals:
			number, ok := next.(syscall.Signal)
			if !ok || number == syscall.SIGHUP {
				continue
			}
			if last := h.last.Load(); last != nil {
				(*last)()
			}
			signal.Reset(number)
			_ = syscall.Kill(os.Getpid(), number)
		case <-ended:
			return
		}
	}
}
