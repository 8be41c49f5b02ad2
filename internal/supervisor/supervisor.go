// Package supervisor runs the parts of a process that run for as long as the process does.
//
// A part is a function that returns when its context ends. A part that returns earlier has failed, with an error or
// without: the rest of the process may look healthy and does half of its work. So [Supervisor.Wait] returns, and the caller
// stops the process.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Supervisor learns which part of the process ended by itself. It is safe for concurrent use.
type Supervisor struct {
	log   *slog.Logger
	ended chan error // the first part that ended by itself; buffered, so that no part waits for a reader
}

// New returns a supervisor of no parts.
func New(log *slog.Logger) *Supervisor {
	return &Supervisor{log: log, ended: make(chan error, 1)}
}

// Ended reports that a part ended by itself, with err or, when err is nil, without one. [Loop] reports by itself; other
// kinds of parts have to be reported.
func (s *Supervisor) Ended(part string, err error) {
	s.log.Error("a part of the process ended by itself, the process stops", "part", part, "error", err)
	if err == nil {
		err = errors.New("no error")
	}
	select {
	case s.ended <- fmt.Errorf("part %q of the process ended by itself: %w", part, err):
	default: // an earlier part stops the process already
	}
}

// Wait returns nil when ctx ends, or an error that names the first part that ended by itself.
func (s *Supervisor) Wait(ctx context.Context) error {
	select {
	case err := <-s.ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// Loop returns a part that runs run between [Loop.Start] and [Loop.Stop].
func (s *Supervisor) Loop(name string, run func(context.Context) error) *Loop {
	return &Loop{name: name, run: run, supervisor: s, ended: make(chan struct{})}
}

// Loop is a function that runs in the background. Start it once and stop it once, from one goroutine.
type Loop struct {
	name       string
	run        func(context.Context) error
	supervisor *Supervisor
	cancel     context.CancelFunc // set by Start
	ended      chan struct{}      // closed when run has returned
}

// Start starts the loop and returns nil. The loop outlives ctx, which bounds the start only.
func (l *Loop) Start(ctx context.Context) error {
	ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(l.ended)
		err := l.run(ctx)
		if ctx.Err() == nil {
			l.supervisor.Ended(l.name, err)
		}
	}()
	return nil
}

// Stop ends the loop's context and waits until the loop has returned. A loop that takes longer than ctx is an error.
func (l *Loop) Stop(ctx context.Context) error {
	l.cancel()
	select {
	case <-l.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop %s: %w", l.name, context.Cause(ctx))
	}
}
