package fxmodules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.uber.org/fx"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/rabbitmq"
)

// RabbitMQ provides the connections to the broker, what is declared on it, and a publisher.
var RabbitMQ = fx.Module("rabbitmq", fx.Provide(connectRabbitMQ, newPublisher))

// connectPatience is how long the start waits for a broker that does not answer.
const connectPatience = 15 * time.Second

// brokers are the two connections of a process. They are apart because a broker short of memory or disk stops reading from
// connections that publish, and acknowledgements must get through even then.
type brokers struct{ consume, publish *rabbitmq.Connection }

func connectRabbitMQ(lifecycle fx.Lifecycle, cfg config.Config, packs []attune.Pack, log *slog.Logger) (brokers, error) {
	topology, err := rabbitmq.NewTopology(pools(cfg, packs)...)
	if err != nil {
		return brokers{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectPatience)
	defer cancel()
	connect := func(purpose string) *rabbitmq.Connection {
		conn := rabbitmq.NewConnection(rabbitmq.Config{URL: cfg.AMQPURL.Reveal(), Name: "attune " + purpose, Logger: log})
		running, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = conn.Run(running) // its error is what WaitReady reports
		}()
		lifecycle.Append(fx.StopHook(func() { stop(); <-ended }))
		return conn
	}
	both := brokers{consume: connect("consume"), publish: connect("publish")}
	for _, conn := range []*rabbitmq.Connection{both.consume, both.publish} {
		if err := conn.WaitReady(ctx); err != nil {
			return brokers{}, err
		}
	}
	return both, rabbitmq.Declare(ctx, both.consume, topology)
}

// pools are those that the process knows of: of its packs' actions, and of its worker.
func pools(cfg config.Config, packs []attune.Pack) []string {
	seen := map[string]bool{cfg.WorkerPool: true}
	all := []string{cfg.WorkerPool}
	for _, pack := range packs {
		for _, action := range pack.Actions {
			if !seen[action.Pool] {
				seen[action.Pool] = true
				all = append(all, action.Pool)
			}
		}
	}
	return all
}

// publisher publishes, and declares the queue of a pool before its first message: an execution for a pool whose workers have
// not come up yet waits for them on the broker.
type publisher struct {
	*rabbitmq.Publisher
	conn     *rabbitmq.Connection
	declared sync.Map // pool → struct{}
}

func newPublisher(both brokers) *publisher {
	return &publisher{Publisher: rabbitmq.NewPublisher(both.publish), conn: both.publish}
}

func (p *publisher) Publish(ctx context.Context, messages ...attune.Message) error {
	for _, message := range messages {
		if request, ok := message.(attune.ExecutionRequestedMessage); ok {
			if err := p.declare(ctx, request.Pool); err != nil {
				return err
			}
		}
	}
	return p.Publisher.Publish(ctx, messages...)
}

func (p *publisher) declare(ctx context.Context, pool string) error {
	if _, done := p.declared.Load(pool); done {
		return nil
	}
	topology, err := rabbitmq.NewTopology(pool)
	if err != nil {
		return err
	}
	if err := rabbitmq.Declare(ctx, p.conn, topology); err != nil {
		return fmt.Errorf("declare the queue of pool %q: %w", pool, err)
	}
	p.declared.Store(pool, struct{}{})
	return nil
}

// PublishRows publishes outbox rows. A request to cancel that no worker is there to hear is dropped: nobody runs what it is
// about, and it must not hold up the rows behind it.
func (p *publisher) PublishRows(ctx context.Context, rows []attune.OutboxRow) error {
	envelopes := make([]rabbitmq.Envelope, len(rows))
	for i, row := range rows {
		envelopes[i] = rabbitmq.Envelope{RoutingKey: row.RoutingKey, MessageID: row.MessageID, Body: row.Body}
	}
	err := p.PublishRaw(ctx, envelopes...)
	if failed, ok := errors.AsType[*rabbitmq.PublishError](err); ok && failed.Unroutable && !slices.ContainsFunc(failed.Failed, isNeeded) {
		return nil
	}
	return err
}

func isNeeded(message rabbitmq.FailedMessage) bool {
	return message.RoutingKey != attune.KeyExecutionCancel
}
