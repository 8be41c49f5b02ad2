package rabbitmq

import (
	"context"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/retry"
)

// MaxTries is how often a message that makes its handler fail is tried before it goes to the dead-letter queue.
const MaxTries = 5

// Consumer hands the messages of a queue, in small batches, to a function. See the package documentation for what its
// errors mean.
type Consumer[M attune.Message] struct {
	conn   *Connection
	config ConsumerConfig
	handle func(context.Context, []M) error
	logger *slog.Logger
}

// NewConsumer returns a consumer. The queue must be one that [Topology] gives a retry queue.
//
// handle gets one message or more, in the order of delivery: what is there when it is called, up to MaxBatch; see
// Linger for when it waits for more. It is called by one goroutine. Nil says that all of them are done; an error, that none is, or that
// doing them again does no harm. Its context ends when Run's does or when the channel is lost, after which the same
// messages are delivered again.
func NewConsumer[M attune.Message](conn *Connection, config ConsumerConfig, handle func(context.Context, []M) error) *Consumer[M] {
	return &Consumer[M]{
		conn: conn, config: config.withDefaults(), handle: handle,
		logger: conn.config.Logger.With("queue", config.Queue),
	}
}

// Run consumes until ctx ends, over as many connections as it takes, and returns nil then. A configuration out of its
// range is [attune.CodeInvalid] at once.
func (c *Consumer[M]) Run(ctx context.Context) error {
	if err := c.config.validate(); err != nil {
		return err
	}
	in := c.config.intake(c.conn, c.process)
	in.run(ctx)
	return nil
}

func (c ConsumerConfig) intake(conn *Connection, process func(context.Context, []amqp.Delivery) error) *intake {
	return &intake{
		conn: conn, what: c.Queue, maxBatch: c.MaxBatch, linger: c.Linger, logger: conn.config.Logger,
		queue:   func(*channel) (string, error) { return c.Queue, nil },
		process: process,
	}
}

// item is a decoded delivery.
type item[M attune.Message] struct {
	delivery amqp.Delivery
	message  M
}

// process settles every delivery of batch: first those that cannot be read, then the others from left to right.
func (c *Consumer[M]) process(ctx context.Context, batch []amqp.Delivery) error {
	items := make([]item[M], 0, len(batch))
	for _, delivery := range batch {
		message, err := decode[M](delivery)
		if err != nil {
			if err := c.fail(ctx, delivery, err); err != nil {
				return err
			}
			continue
		}
		items = append(items, item[M]{delivery, message})
	}
	if len(items) == 0 {
		return nil
	}
	return c.handleAndAck(ctx, items)
}

// handleAndAck handles items and acknowledges them. Everything delivered before them on the channel must be settled, because one
// acknowledgement answers for all that came earlier.
func (c *Consumer[M]) handleAndAck(ctx context.Context, items []item[M]) error {
	err := c.attempt(ctx, items)
	switch {
	case err == nil:
		return items[len(items)-1].delivery.Ack(true)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(items) == 1:
		return c.fail(ctx, items[0].delivery, err)
	}
	half := len(items) / 2
	c.logger.Warn("batch failed: looking for the culprit", "messages", len(items), "error", err)
	if err := c.handleAndAck(ctx, items[:half]); err != nil {
		return err
	}
	return c.handleAndAck(ctx, items[half:])
}

// attempt handles items, again and again while a service is away. They keep their place: nothing behind them is handled.
func (c *Consumer[M]) attempt(ctx context.Context, items []item[M]) error {
	tries := 0
	return retry.Do(ctx, func() error {
		tries++
		err := c.call(ctx, items)
		if err != nil && !outage(err) {
			return retry.Final(err)
		}
		return err
	}, func(err error, pause time.Duration) {
		c.logger.Warn("batch waits for a service", "messages", len(items), "tries", tries, "error", err, "retry_in", pause)
	})
}

func (c *Consumer[M]) call(ctx context.Context, items []item[M]) error {
	messages := make([]M, len(items))
	for i, it := range items {
		messages[i] = it.message
	}
	return guard(c.logger, func() error { return c.handle(ctx, messages) })
}

// fail moves a delivery to where its error sends it. It is acknowledged only when it has arrived there.
func (c *Consumer[M]) fail(ctx context.Context, delivery amqp.Delivery, cause error) error {
	failure := newFailure(c.config.Queue, delivery, cause, time.Now())
	next := failure.outgoing()
	err := retry.Do(ctx, func() error { return c.config.Publisher.send(ctx, []outgoing{next}) }, func(err error, pause time.Duration) {
		c.logger.Error("move a failed message", "to", failure.destination(), "message_id", delivery.MessageId,
			"error", err, "retry_in", pause)
	})
	if err != nil {
		return err
	}
	level := slog.LevelWarn
	if failure.final() {
		level = slog.LevelError
	}
	c.logger.Log(ctx, level, "message failed", "message_id", delivery.MessageId, "tries", failure.tries,
		"moved_to", failure.destination(), "error", cause)
	return delivery.Ack(false)
}
