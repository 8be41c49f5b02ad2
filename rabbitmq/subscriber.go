package rabbitmq

import (
	"context"
	"log/slog"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
)

// subscriberBatch bounds the messages in the memory of a slow subscriber, together with the prefetch. The rest waits in
// its queue.
const subscriberBatch = 50

// Subscriber receives every message of a routing key that is published while it is connected. Each Subscriber has its own
// queue, which is deleted when its connection ends. So every Subscriber receives every message, and misses messages that
// are published while it is disconnected.
type Subscriber[M attune.Message] struct {
	conn       *Connection
	routingKey string
	handle     func(context.Context, M)
	logger     *slog.Logger
}

// NewSubscriber returns a subscriber. One goroutine calls handle, in the order of delivery. handle returns no error,
// because no queue could keep a failed message. A message that cannot be decoded is logged and dropped.
func NewSubscriber[M attune.Message](conn *Connection, routingKey string, handle func(context.Context, M)) *Subscriber[M] {
	return &Subscriber[M]{
		conn: conn, routingKey: routingKey, handle: handle,
		logger: conn.config.Logger.With("routing_key", routingKey),
	}
}

// Run subscribes until ctx ends, then returns nil. It reconnects by itself.
func (s *Subscriber[M]) Run(ctx context.Context) error {
	f := &feed{
		conn: s.conn, name: "(own) " + s.routingKey, maxBatch: subscriberBatch,
		logger: s.conn.config.Logger, queue: s.queue, process: s.process,
	}
	f.run(ctx)
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
