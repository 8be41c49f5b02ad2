package rabbitmq

import (
	"context"
	"errors"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/retry"
)

// MaxTries is how often a message is handled in vain before it moves to the dead-letter queue.
const MaxTries = 5

// Consumer passes the messages of a queue to a handler, in small batches. The package documentation says what the
// handler's errors mean.
type Consumer[M attune.Message] struct {
	conn   *Connection
	config ConsumerConfig
	handle func(context.Context, []M) error
	logger *slog.Logger

	refusals *refusals
}

// NewConsumer returns a consumer. [Topology] must contain a retry queue for the queue.
//
// handle gets at least one message, in the order of delivery: all delivered messages, up to MaxBatch. [ConsumerConfig]'s
// Linger says when the consumer waits for more. One goroutine calls handle. Nil means that all messages are done. An
// [attune.BatchError] names messages for the dead-letter queue; the others are done. Any other error means that none is done,
// or that handling them again is harmless. The context of handle ends with the context of Run, or when the channel is lost;
// after that the broker delivers the same messages again.
func NewConsumer[M attune.Message](conn *Connection, config ConsumerConfig, handle func(context.Context, []M) error) *Consumer[M] {
	logger := conn.config.Logger.With("queue", config.Queue)
	return &Consumer[M]{
		conn: conn, config: config.withDefaults(), handle: handle, logger: logger,
		refusals: &refusals{perSecond: config.MaxRefused, logger: logger},
	}
}

// Run consumes until ctx ends, then returns nil. It reconnects by itself. A configuration out of range is
// [attune.CodeInvalid] at once.
func (c *Consumer[M]) Run(ctx context.Context) error {
	if err := c.config.validate(); err != nil {
		return err
	}
	f := c.config.feed(c.conn, c.process)
	f.run(ctx)
	return nil
}

func (c ConsumerConfig) feed(conn *Connection, process func(context.Context, []amqp.Delivery) error) *feed {
	return &feed{
		conn: conn, name: c.Queue, maxBatch: c.MaxBatch, linger: c.Linger, logger: conn.config.Logger,
		queue:   func(*channel) (string, error) { return c.Queue, nil },
		process: process,
	}
}

// item is a decoded delivery.
type item[M attune.Message] struct {
	delivery amqp.Delivery
	message  M
}

// process settles every delivery of batch: first the deliveries that cannot be decoded, then the others in order.
func (c *Consumer[M]) process(ctx context.Context, batch []amqp.Delivery) error {
	items := make([]item[M], 0, len(batch))
	var failures []failure
	for _, delivery := range batch {
		message, err := decode[M](delivery)
		if err != nil {
			failures = append(failures, newFailure(c.config.Queue, delivery, err, time.Now()))
			continue
		}
		items = append(items, item[M]{delivery, message})
	}
	if err := c.fail(ctx, failures...); err != nil {
		return err
	}
	if len(items) == 0 {
		return nil
	}
	return c.handleAndAck(ctx, items)
}

// handleAndAck handles items and acknowledges them with one acknowledgement, which covers all earlier deliveries of the
// channel. So every earlier delivery must be settled before.
func (c *Consumer[M]) handleAndAck(ctx context.Context, items []item[M]) error {
	err := c.attempt(ctx, items)
	switch {
	case err == nil:
		return items[len(items)-1].delivery.Ack(true)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case refusedIn(err) != nil:
		return c.settle(ctx, items, refusedIn(err))
	case len(items) == 1:
		return c.fail(ctx, newFailure(c.config.Queue, items[0].delivery, err, time.Now()))
	}
	half := len(items) / 2
	c.logger.Warn("batch failed, halving it to find the failing message", "messages", len(items), "error", err)
	if err := c.handleAndAck(ctx, items[:half]); err != nil {
		return err
	}
	return c.handleAndAck(ctx, items[half:])
}

// refusedIn returns the refused messages of a batch whose other messages are done, or nil.
func refusedIn(err error) map[int]error {
	if batch, ok := errors.AsType[*attune.BatchError](err); ok {
		return batch.Refused
	}
	return nil
}

// settle moves the refused items to the dead-letter queue and acknowledges the others.
func (c *Consumer[M]) settle(ctx context.Context, items []item[M], refused map[int]error) error {
	var failures []failure
	for i, it := range items {
		if cause, bad := refused[i]; bad {
			failures = append(failures, newFailure(c.config.Queue, it.delivery, cause, time.Now()))
		}
	}
	if err := c.fail(ctx, failures...); err != nil {
		return err
	}
	for i, it := range items {
		if _, bad := refused[i]; bad {
			continue
		}
		if err := it.delivery.Ack(false); err != nil {
			return err
		}
	}
	return nil
}

// attempt handles items, and tries again while a service is unavailable. Meanwhile it handles no later delivery, so the
// order stays.
func (c *Consumer[M]) attempt(ctx context.Context, items []item[M]) error {
	tries := 0
	return retry.Do(ctx, func() error {
		tries++
		err := c.call(ctx, items)
		if err != nil && (refusedIn(err) != nil || !outage(err)) {
			return retry.Final(err)
		}
		return err
	}, func(err error, pause time.Duration) {
		c.logger.Warn("batch waits for an unavailable service", "messages", len(items), "tries", tries, "error", err, "retry_in", pause)
	})
}

func (c *Consumer[M]) call(ctx context.Context, items []item[M]) error {
	messages := make([]M, len(items))
	for i, it := range items {
		messages[i] = it.message
	}
	return guard(c.logger, func() error { return c.handle(ctx, messages) })
}

// fail moves deliveries to the retry or dead-letter queue, and acknowledges them when these queues have stored them. It drops refused
// deliveries above the bound.
func (c *Consumer[M]) fail(ctx context.Context, failures ...failure) error {
	var moved []outgoing
	var kept []failure
	for _, f := range failures {
		if c.refusals.keep(f.cause, f.at) {
			kept, moved = append(kept, f), append(moved, f.outgoing())
		}
	}
	err := retry.Do(ctx, func() error { return c.config.Publisher.send(ctx, moved) }, func(err error, pause time.Duration) {
		c.logger.Error("failed messages not moved, trying again", "messages", len(moved), "error", err, "retry_in", pause)
	})
	if err != nil {
		return err
	}
	for _, f := range kept {
		c.log(ctx, f)
	}
	for _, f := range failures {
		if err := f.delivery.Ack(false); err != nil {
			return err
		}
	}
	return nil
}

func (c *Consumer[M]) log(ctx context.Context, f failure) {
	level := slog.LevelWarn
	if f.final() {
		level = slog.LevelError
	}
	c.logger.Log(ctx, level, "message failed", "message_id", f.delivery.MessageId, "tries", f.tries,
		"moved_to", f.destination(), "error", f.cause)
}
