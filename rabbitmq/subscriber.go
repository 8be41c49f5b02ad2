package rabbitmq

import (
	"context"
	"log/slog"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
)

// subscriberBatch bounds what a slow subscriber has in memory, together with what the broker sends ahead; the rest waits in its
// queue.
const subscriberBatch = 50

// Subscriber hears every message of a routing key that is published while it is connected. Each has a queue of its own
// that goes with its connection, so every subscriber hears every message, and what is published while it is not connected
// is missed.
type Subscriber[M attune.Message] struct {
	conn       *Connection
	routingKey string
	handle     func(context.Context, M)
	logger     *slog.Logger
}

// NewSubscriber returns a subscriber. handle is called by one goroutine, in the order of delivery, and has no way to fail:
// there is nowhere to keep a message. One that cannot be read is logged.
func NewSubscriber[M attune.Message](conn *Connection, routingKey string, handle func(context.Context, M)) *Subscriber[M] {
	return &Subscriber[M]{
		conn: conn, routingKey: routingKey, handle: handle,
		logger: conn.config.Logger.With("routing_key", routingKey),
	}
}

// Run subscribes until ctx ends, over as many connections as it takes, and returns nil then.
func (s *Subscriber[M]) Run(ctx context.Context) error {
	in := &intake{
		conn: s.conn, what: "(own) " + s.routingKey, maxBatch: subscriberBatch,
		logger: s.conn.config.Logger, queue: s.queue, process: s.process,
	}
	in.run(ctx)
	return nil
}

func (s *Subscriber[M]) queue(ch *channel) (string, error) {
	own, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		return "", err
	}
	return own.Name, ch.QueueBind(own.Name, s.routingKey, Exchange, false, nil)
}

func (s *Subscriber[M]) process(ctx context.Context, batch []amqp.Delivery) error {
	for _, delivery := range batch {
		message, err := decode[M](delivery)
		if err != nil {
			s.logger.Error("message dropped", "message_id", delivery.MessageId, "error", err)
			continue
		}
		_ = guard(s.logger, func() error {
			s.handle(ctx, message)
			return nil
		})
	}
	return batch[len(batch)-1].Ack(true)
}
