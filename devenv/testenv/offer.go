package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/attune-go/attune/devenv/services"
)

// service is what the keeper needs to know of a running one.
type service interface {
	Stop(ctx context.Context) error
	Done() <-chan struct{}
	Err() error
}

// offer is one shared service: started when it is first asked for, and once only. When that fails every later request
// fails alike, at once.
type offer struct {
	start func(context.Context) (service, reply, error)

	once    sync.Once
	service service // nil until started
	answer  reply
}

func (o *offer) take(ctx context.Context) reply {
	o.once.Do(func() {
		started, answer, err := o.start(ctx)
		if err != nil {
			o.answer = reply{Error: err.Error()}
			return
		}
		o.service, o.answer = started, answer
	})
	if o.service == nil {
		return o.answer
	}
	select {
	case <-o.service.Done():
		return reply{Error: fmt.Sprintf("the shared service is gone: %v", o.service.Err())}
	default:
		return o.answer
	}
}

// startFolder starts nothing: asking makes the keeper hold the folder of the run, and delete it in the end.
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
		Note: func(line string) { fmt.Fprintln(os.Stderr, line) }, // in the run's log, which waiting clients quote
	})
	if err != nil {
		return nil, reply{}, err
	}
	return server, reply{URL: server.Address()}, nil
}
