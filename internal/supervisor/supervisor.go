// Package supervisor runs the background parts of a process, from its start to its stop.
//
// A part is a function that returns when its context ends. A part that returns earlier has failed, even without an error: a
// process without one of its parts may look healthy and does only half of its work. So [Supervisor.Wait] returns, and the
// caller stops the process.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Supervisor reports the first part of the process that ended too early. It is safe for concurrent use.
type Supervisor struct {
	log      *slog.Logger
	failures chan error // the first failed part; buffered, so that the sender does not wait for a reader
}

// New returns a supervisor without parts.
func New(log *slog.Logger) *Supervisor {
	return &Supervisor{log: log, failures: make(chan error, 1)}
}

// ReportEnd reports that a part ended too early. err may be nil. A [Loop] calls ReportEnd by itself; the owner of any other part
// must call it.
func (s *Supervisor) ReportEnd(part string, err error) {
	s.log.Error("a part of the process ended by itself, the process stops", "part", part, "error", err)
	if err == nil {
		err = errors.New("no error")
	}
	select {
	case s.failures <- fmt.Errorf("part %q of the process ended by itself: %w", part, err):
	default: // an earlier failure already stops the process
	}
}

// Wait returns nil when ctx ends, or an error that names the first part that ended too early.
func (s *Supervisor) Wait(ctx context.Context) error {
	select {
	case err := <-s.failures:
		return err
	case <-ctx.Done():
		return nil
	}
}

// Loop returns a part that runs run between [Loop.Start] and [Loop.Stop].
func (s *Supervisor) Loop(name string, run func(context.Context) error) *Loop {
	return &Loop{name: name, run: run, supervisor: s, done: make(chan struct{})}
}

// Loop is a part that runs one function in the background. One goroutine starts it once and stops it once.
type Loop struct {
	name       string
	run        func(context.Context) error
	supervisor *Supervisor
	cancel     context.CancelFunc // written by Start only
	done       chan struct{}      // closed when run has returned
}

// Start starts the loop and returns nil. The end of ctx does not end the loop: only Stop does.
func (l *Loop) Start(ctx context.Context) error {
	ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(l.done)
		err := l.run(ctx)
		if ctx.Err() == nil {
			l.supervisor.ReportEnd(l.name, err)
		}
	}()
	return nil
}

// Stop cancels the loop's context and waits until the loop has returned. It returns an error when ctx ends first.
func (l *Loop) Stop(ctx context.Context) error {
	l.cancel()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop %s: %w", l.name, context.Cause(ctx))
	}
}
