package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/attune-go/attune/devenv/services"
)

// service is a running service.
type service interface {
	Stop(ctx context.Context) error
	Done() <-chan struct{}
	Err() error
}

// lazyService is a shared service that is started once, at its first request. If the start fails, every later request
// gets the same error at once.
type lazyService struct {
	start func(context.Context) (service, reply, error)

	once    sync.Once // writes the fields below
	running service   // nil if the start failed
	answer  reply
}

func (s *lazyService) take(ctx context.Context) reply {
	s.once.Do(func() {
		started, answer, err := s.start(ctx)
		if err != nil {
			s.answer = reply{Error: err.Error()}
			return
		}
		s.running, s.answer = started, answer
	})
	if s.running == nil {
		return s.answer
	}
	select {
	case <-s.running.Done():
		return reply{Error: fmt.Sprintf("the shared service has ended: %v", s.running.Err())}
	default:
		return s.answer
	}
}

// startFolder starts no service. Its request makes the daemon own the folder of the run, and delete the folder at the
// end.
func startFolder(context.Context) (service, reply, error) { return nil, reply{}, nil }

func (r run) startPostgres(ctx context.Context) (service, reply, error) {
	server, err := services.StartPostgres(ctx, services.PostgresConfig{
		Dir: filepath.Join(r.base, "postgres"), Ephemeral: true,
	})
	if err != nil {
		return nil, reply{}, err
	}
	return server, reply{URL: server.URL(), Admin: server.AdminURL()}, nil
}

func (r run) startRabbitMQ(ctx context.Context) (service, reply, error) {
	broker, err := services.StartRabbitMQ(ctx, services.RabbitMQConfig{
		Dir: filepath.Join(r.base, "rabbitmq"), Management: true, Ephemeral: true,
	})
	if err != nil {
		return nil, reply{}, err
	}
	return broker, reply{URL: broker.URL(), Admin: broker.ManagementURL()}, nil
}

func (r run) startTemporal(ctx context.Context) (service, reply, error) {
	server, err := services.StartTemporal(ctx, services.TemporalConfig{
		Dir: filepath.Join(r.base, "temporal"), InMemory: true,
		// The server's own worker for schedules and batches, which attune does not use. Otherwise each namespace of a test gets one.
		DynamicConfig: map[string]string{"worker.perNamespaceWorkerCount": "0"},
		Note:          func(line string) { fmt.Fprintln(os.Stderr, line) }, // to the daemon's log, which waiting clients quote
	})
	if err != nil {
		return nil, reply{}, err
	}
	return server, reply{URL: server.Address()}, nil
}
