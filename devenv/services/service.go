package services

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// startAttempts bounds the starts of a service on a free port: another process may take the port between its choice and
// the start.
const startAttempts = 5

// service is the common part of PostgreSQL, RabbitMQ and Temporal: processes that start together. The last process is the
// server, and the service ends with it.
type service struct {
	name      string
	ephemeral bool // the data is worthless after a stop
	launch    func(context.Context) ([]*process, error)

	mu        sync.Mutex // held during a whole stop, kill or restart
	processes []*process // guarded by mu

	state    sync.Mutex // guards the fields below; never held while waiting
	done     chan struct{}
	err      error
	stopping bool // a caller has requested the end
}

// begin launches the processes. ctx bounds the launch, not the life of the service.
func (s *service) begin(ctx context.Context) error {
	processes, err := s.launch(ctx)
	if err != nil {
		return errors.Join(err, killAll(processes))
	}
	s.processes = processes
	done := make(chan struct{})
	s.state.Lock()
	s.done, s.err, s.stopping = done, nil, false
	s.state.Unlock()
	go s.watch(processes, done)
	return nil
}

// watch closes done when the server has ended, and kills the remaining processes.
func (s *service) watch(processes []*process, done chan struct{}) {
	server := processes[len(processes)-1]
	<-server.done
	s.state.Lock()
	if !s.stopping {
		s.err = server.crash("ended unexpectedly")
	}
	s.state.Unlock()
	_ = killAll(processes)
	close(done)
}

// Done returns a channel that is closed when the service has ended, on request or by itself. A restarted service has a
// new channel.
func (s *service) Done() <-chan struct{} {
	s.state.Lock()
	defer s.state.Unlock()
	return s.done
}

// Err returns why the service ended by itself, with the end of its log. It is nil while the service runs, and after Stop
// or Kill.
func (s *service) Err() error {
	s.state.Lock()
	defer s.state.Unlock()
	return s.err
}

// Stop lets the service shut down in order, or ends it at once if it is ephemeral. It returns when the last process has
// ended. After a minute, or when ctx ends, Stop kills the service and returns an error. Stopping a stopped service does
// nothing.
func (s *service) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(func(p *process) error {
		if s.ephemeral {
			return p.stop(ctx, p.discard)
		}
		return p.stop(ctx, p.graceful)
	})
}

// Kill ends every process of the service with SIGKILL, like a crash, and returns when all have ended. After
// [service.Restart], all data that was acknowledged to clients is back, with one exception: RabbitMQ forgets the name of
// a quorum queue that is younger than half a second.
func (s *service) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end((*process).kill)
}

// Restart shuts a running service down in order, ephemeral or not, and starts it again on the same ports and data. After
// Kill, it is the recovery.
func (s *service) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.end(func(p *process) error { return p.stop(ctx, p.graceful) }); err != nil {
		return err
	}
	return s.begin(ctx)
}

// end ends the processes, the server first, and waits for watch.
func (s *service) end(stop func(*process) error) error {
	s.state.Lock()
	s.stopping = true
	done := s.done
	s.state.Unlock()
	var errs []error
	for _, p := range slices.Backward(s.processes) {
		if !p.ended() {
			errs = append(errs, stop(p))
		}
	}
	<-done
	return errors.Join(errs...)
}

func killAll(processes []*process) error {
	var errs []error
	for _, p := range slices.Backward(processes) {
		errs = append(errs, p.kill())
	}
	return errors.Join(errs...)
}

// startOn starts a service. If another program takes a free port between its choice and the start, startOn tries again
// with new ports. It never changes a port that the caller fixed, or the port of a service that has run.
func startOn(ctx context.Context, ports []*port, begin func(context.Context) error) error {
	for _, p := range ports {
		if err := p.requireFree(ctx); err != nil {
			return err
		}
	}
	for attempt := 1; ; attempt++ {
		for _, p := range ports {
			p.choose()
		}
		err := begin(ctx)
		if err == nil {
			for _, p := range ports {
				p.keep()
			}
			return nil
		}
		taken := slices.ContainsFunc(ports, func(p *port) bool { return !p.fixed && !free(p.number) })
		if !taken || attempt == startAttempts || ctx.Err() != nil {
			return err
		}
	}
}

// within bounds a start by limit, or by the caller's earlier deadline.
func within(ctx context.Context, limit time.Duration, name string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s took longer than %s to start", name, limit))
}
