package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that the first SIGINT, SIGTERM or SIGHUP ends, so that the command stops in an orderly way.
// A second SIGINT or SIGTERM ends the process at once. attune has no settings that it could read again at a SIGHUP; a
// terminal sends SIGHUP when it is closed. nohup starts a process with SIGHUP ignored, and then it stays ignored.
//
// The caller calls stop when the command has ended.
func untilSignal(ctx context.Context) (limited context.Context, stop func()) {
	stopping := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		stopping = append(stopping, syscall.SIGHUP)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, stopping...)
	limited, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancel()
			endAtNext(signals, ended)
		case <-ended:
		}
	}()
	return limited, func() {
		signal.Stop(signals)
		close(ended)
		cancel()
	}
}

// endAtNext ends the process at the next SIGINT or SIGTERM, by that signal. It ignores SIGHUP: some service managers send
// one right after SIGTERM. The libraries that attune uses watch signals too, so that the default action of a signal is
// restored for all of them.
func endAtNext(signals <-chan os.Signal, ended <-chan struct{}) {
	for {
		select {
		case next := <-signals:
			number, ok := next.(syscall.Signal)
			if !ok || number == syscall.SIGHUP {
				continue
			}
			signal.Reset(number)
			_ = syscall.Kill(os.Getpid(), number)
		case <-ended:
			return
		}
	}
}
