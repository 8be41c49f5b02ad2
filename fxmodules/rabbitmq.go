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

func connectRabbitMQ(
	lifecycle fx.Lifecycle, cfg config.Config, loaded []attune.Pack, log *slog.Logger,
) (*rabbitmq.Connections, error) {
	topology, err := topologyOf(cfg, loaded)
	if err != nil {
		return nil, err
	}
	broker := rabbitmq.Config{URL: cfg.AMQPURL.Reveal(), Name: "attune", Logger: log, Rights: processRights}
	if cfg.Has(config.RoleWorker) && !cfg.WorkerAMQPURL.IsSet() {
		broker.Rights = workerRights
	}
	return connect(lifecycle, broker, topology)
}

// What to do when the broker refuses a right to the user of a process or of a worker.
const (
	processRights = "\"attune broker users\" prints the users with their rights: check the rights of the user of amqp.url"
	workerRights  = "a worker needs a user of its own (" + rabbitmq.UserWorker + "), also beside other roles: set worker.amqp_url to " +
		"it; \"attune broker users\" prints the commands that make it"
)

// topologyOf returns what a process declares: all of the topology if it has the bridge, the queues of the pools if it has the
// orchestrator, and nothing otherwise, because a worker and an observer have no right to declare. The pools are those of the packs'
// actions and of the process's own worker.
func topologyOf(cfg config.Config, loaded []attune.Pack) (rabbitmq.Topology, error) {
	pools := packs.Pools(loaded)
	if cfg.Has(config.RoleWorker) {
		pools = append(pools, cfg.WorkerPool)
	}
	switch {
	case cfg.Has(config.RoleBridge):
		return rabbitmq.NewTopology(pools...)
	case cfg.Has(config.RoleOrchestrator):
		return rabbitmq.PoolTopology(pools...)
	default:
		return rabbitmq.Topology{}, nil
	}
}

func connect(lifecycle fx.Lifecycle, config rabbitmq.Config, topology rabbitmq.Topology) (*rabbitmq.Connections, error) {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	broker, err := rabbitmq.Connect(ctx, config, topology)
	if err != nil {
		return nil, err
	}
	lifecycle.Append(fx.StopHook(broker.Close))
	return broker, nil
}

// workerBroker is the connection of the worker to the broker.
type workerBroker struct{ *rabbitmq.Connections }

// connectWorker connects the worker as a user of its own.
func connectWorker(lifecycle fx.Lifecycle, cfg config.Config, log *slog.Logger) (workerBroker, error) {
	broker, err := connect(lifecycle,
		rabbitmq.Config{URL: cfg.WorkerAMQPURL.Reveal(), Name: "attune worker", Logger: log, Rights: workerRights}, rabbitmq.Topology{})
	return workerBroker{broker}, err
}

// shareWorker gives the worker the connection of the process.
func shareWorker(broker *rabbitmq.Connections) workerBroker { return workerBroker{broker} }

func newPublisher(broker *rabbitmq.Connections) *rabbitmq.PoolPublisher {
	return rabbitmq.NewPoolPublisher(broker.Publish)
}
