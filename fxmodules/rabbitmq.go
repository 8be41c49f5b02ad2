package fxmodules

import (
	"context"
	"log/slog"

	"go.uber.org/fx"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/packs"
	"github.com/attune-go/attune/rabbitmq"
)

// RabbitMQ provides the connections to the broker, with the topology declared, and a publisher.
var RabbitMQ = fx.Module("rabbitmq", fx.Provide(connectRabbitMQ, newPublisher))

// connectRabbitMQ declares the pools of the packs' actions and of the process's own worker.
func connectRabbitMQ(
	lifecycle fx.Lifecycle, cfg config.Config, loaded []attune.Pack, log *slog.Logger,
) (*rabbitmq.Connections, error) {
	topology, err := rabbitmq.NewTopology(append(packs.Pools(loaded), cfg.WorkerPool)...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	broker, err := rabbitmq.Connect(ctx, rabbitmq.Config{URL: cfg.AMQPURL.Reveal(), Name: "attune", Logger: log}, topology)
	if err != nil {
		return nil, err
	}
	lifecycle.Append(fx.StopHook(broker.Close))
	return broker, nil
}

func newPublisher(broker *rabbitmq.Connections) *rabbitmq.PoolPublisher {
	return rabbitmq.NewPoolPublisher(broker.Publish)
}
