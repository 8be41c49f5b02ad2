package rabbitmq

import (
	"context"
	"log/slog"
	"math"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/batch"
	"github.com/attune-go/attune/internal/retry"
)

const (
	defaultMaxBatch = 100
	// prefetchBatches is how many batches the broker sends ahead: one batch is being handled while the next arrives.
	prefetchBatches = 2
	maxBatch        = math.MaxUint16 / prefetchBatches // AMQP stores a prefetch in 16 bits
	maxLinger       = time.Second
)

// ConsumerConfig holds the settings of a [Consumer] or [Responder].
type ConsumerConfig struct {
	Queue string
	// MaxBatch bounds the messages of one call of the handler, from 1 to 32767. 0 means 100.
	MaxBatch int
	// Linger is how long a batch waits for more messages if the batch before held several, from 0 (no wait) to 1 s.
	Linger time.Duration
	// MaxRefused bounds the messages per second that become dead letters and log lines because they are invalid or not believed. The
	// consumer drops more of them and logs their number. 0 means that every message becomes a dead letter.
	MaxRefused int
	// Publisher sends failed messages and replies. It must be on another connection than the consumer: a broker that is
	// short of memory or disk stops reading from connections that publish, acknowledgements included.
	Publisher *Publisher
}

func (c ConsumerConfig) withDefaults() ConsumerConfig {
	if c.MaxBatch == 0 {
		c.MaxBatch = defaultMaxBatch
	}
	return c
}

func (c ConsumerConfig) validate() error {
	switch {
	case c.Queue == "":
		return attune.Errorf(attune.CodeInvalid, "consumer has no queue: name one")
	case c.MaxBatch < 1 || c.MaxBatch > maxBatch:
		return attune.Errorf(attune.CodeInvalid, "max batch %d of queue %q: use 1 to %d", c.MaxBatch, c.Queue, maxBatch)
	case c.Linger < 0 || c.Linger > maxLinger:
		return attune.Errorf(attune.CodeInvalid, "linger %s of queue %q: use 0s to %s", c.Linger, c.Queue, maxLinger)
	case c.MaxRefused < 0:
		return attune.Errorf(attune.CodeInvalid, "at most %d refused messages of queue %q: use 0 or more", c.MaxRefused, c.Queue)
	case c.Publisher == nil:
		return attune.Errorf(attune.CodeInvalid, "consumer of queue %q has no publisher: give it one on another connection", c.Queue)
	}
	return nil
}

// feed takes batches of deliveries from a queue until its context ends, and opens a new channel when one is lost.
type feed struct {
	conn     *Connection
	name     string // for the log
	maxBatch int
	linger   time.Duration
	logger   *slog.Logger
	// queue returns the name of the queue, and declares the queue first if needed.
	queue func(ch *channel) (string, error)
	// process settles every delivery of batch on its own channel, or returns why it could not. After an error the feed
	// drops the channel, and the broker delivers the unsettled messages again. ctx ends with the channel.
	process func(ctx context.Context, batch []amqp.Delivery) error
}

// run returns when ctx ends.
func (f *feed) run(ctx context.Context) {
	retry.Loop(ctx, f.consume, func(err error, pause time.Duration) {
		f.conn.logRetry(ctx, f.logger, slog.LevelWarn, "stopped consuming", err, "queue", f.name, "retry_in", pause)
	})
}

// consume takes batches from one channel. It returns when the channel is lost or dropped.
func (f *feed) consume(ctx context.Context) error {
	ch, err := f.conn.open(ctx)
	if err != nil {
		return err
	}
	defer ch.discard()
	ctx, cancel := ch.bind(ctx)
	defer cancel()
	deliveries, err := within(ctx, func() (<-chan amqp.Delivery, error) { return f.subscribe(ch) }, func(<-chan amqp.Delivery) {})
	if err != nil {
		return ch.reason(err)
	}
	f.logger.Info("consuming", "queue", f.name)
	pending := make(chan amqp.Delivery, prefetchBatches*f.maxBatch) // never full: the prefetch bounds the unacknowledged deliveries
	go func() {
		defer close(pending)
		for delivery := range deliveries {
			pending <- delivery
		}
	}()
	batches := batch.Collector[amqp.Delivery]{Max: f.maxBatch, Linger: f.linger}
	for {
		batch := batches.Next(ctx, pending)
		if len(batch) == 0 { // the broker delivers the rest of a lost channel again
			return ch.reason(errSubscription)
		}
		if err := f.process(ctx, batch); err != nil {
			return ch.reason(err)
		}
	}
}

func (f *feed) subscribe(ch *channel) (<-chan amqp.Delivery, error) {
	if err := ch.Qos(prefetchBatches*f.maxBatch, 0, false); err != nil {
		return nil, err
	}
	queue, err := f.queue(ch)
	if err != nil {
		return nil, err
	}
	return ch.Consume(queue, "", false, false, false, false, nil)
}
