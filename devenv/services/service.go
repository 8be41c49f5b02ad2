package services

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// startAttempts bounds the starts of a service on a port of our own choice: another process may take the port in between.
const startAttempts = 5

// service is what PostgreSQL, RabbitMQ and Temporal have in common: processes that are started together, the last of
// which is the server and decides how the service is doing.
type service struct {
	name      string
	ephemeral bool // the data has no use once the service is stopped
	launch    func(context.Context) ([]*process, error)

	mu        sync.Mutex // held over a whole stop, kill or restart
	processes []*process

	state    sync.Mutex // guards what follows; never held while waiting
	done     chan struct{}
	err      error
	expected bool // the end was asked for
}

// begin launches the processes; ctx bounds the launch, not the life of the service.
func (s *service) begin(ctx context.Context) error {
	processes, err := s.launch(ctx)
	if err != nil {
		return errors.Join(err, killAll(processes))
	}
	s.processes = processes
	done := make(chan struct{})
	s.state.Lock()
	s.done, s.err, s.expected = done, nil, false
	s.state.Unlock()
	go s.watch(processes, done)
	return nil
}

// watch closes done when the server ends. Companions that are left without their server are ended too.
func (s *service) watch(processes []*process, done chan struct{}) {
	server := processes[len(processes)-1]
	<-server.done
	s.state.Lock()
	if !s.expected {
		s.err = server.crash("ended unexpectedly")
	}
	s.state.Unlock()
	_ = killAll(processes)
	close(done)
}

// Done returns a channel that is closed when the service has ended, asked for or not. A restarted service has a new
// one.
func (s *service) Done() <-chan struct{} {
	s.state.Lock()
	defer s.state.Unlock()
	return s.done
}

// Err returns why the service ended by itself, with the end of its log. It is nil while the service runs and after
// Stop or Kill.
func (s *service) Err() error {
	s.state.Lock()
	defer s.state.Unlock()
	return s.err
}

// Stop lets the service finish in order, or ends it at once if it is ephemeral, and returns when its last process is
// gone. When that takes longer than a minute or than ctx allows the service is killed, and the error says so. Stopping a
// stopped service does nothing.
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

// Kill ends every process of the service with SIGKILL, as a crash would, and returns when all are gone. What clients
// were told is stored is still there after [service.Restart], with one exception that is RabbitMQ's: it forgets for
// half a second what a new quorum queue is called.
func (s *service) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end((*process).kill)
}

// Restart lets the service finish in order if it runs, ephemeral or not, and starts it again on the same ports and
// data. After Kill it is the recovery.
func (s *service) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.end(func(p *process) error { return p.stop(ctx, p.graceful) }); err != nil {
		return err
	}
	return s.begin(ctx)
}

// end ends the processes, the server first, and waits for the watcher.
func (s *service) end(how func(*process) error) error {
	s.state.Lock()
	s.expected = true
	done := s.done
	s.state.Unlock()
	var errs []error
	for _, p := range slices.Backward(s.processes) {
		if !p.ended() {
			errs = append(errs, how(p))
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

// startOn starts a service whose ports may be its own choice: when another program took one of those between the
// choice and the start, it is started again on new ones. Ports the caller fixed are never changed,
// nor are any once the service has run.
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

// within bounds a start; a caller's earlier deadline stays.
func within(ctx context.Context, limit time.Duration, name string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s took longer than %s to start", name, limit))
}
