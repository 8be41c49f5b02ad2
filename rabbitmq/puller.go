package rabbitmq

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/retry"
)

// Puller takes messages one by one, and only on request. A worker without a free slot requests none, so that the broker
// gives the message to another process.
//
// Each [Puller.Pull] subscribes for exactly one message and unsubscribes when that message has arrived. So a process has
// at most as many unacknowledged messages as it has requested. A Puller is safe for concurrent use.
type Puller[M attune.Message] struct {
	conn   *Connection
	queue  string
	logger *slog.Logger

	mu   sync.Mutex // guards ch and last; held during a request to the broker, because replies on a channel have no id
	ch   *channel   // nil before the first use
	last uint64     // the last consumer tag
}

// NewPuller returns a puller of the messages of queue.
func NewPuller[M attune.Message](conn *Connection, queue string) *Puller[M] {
	return &Puller[M]{conn: conn, queue: queue, logger: conn.config.Logger.With("queue", queue)}
}

// Pull waits for a message and reconnects by itself. Its only error is the cause of ctx's end; a message that arrives at
// that moment goes back to the queue. A message that cannot be decoded moves to the dead-letter queue and is logged.
// Settle the delivery soon with [Delivery.Ack] or [Delivery.Reject]: the broker takes back a delivery that is unsettled
// for 30 minutes.
func (p *Puller[M]) Pull(ctx context.Context) (Delivery[M], error) {
	handover := make(chan Delivery[M])
	go p.fetch(ctx, handover)
	select {
	case delivery := <-handover:
		return delivery, nil
	case <-ctx.Done():
		return Delivery[M]{}, context.Cause(ctx)
	}
}

// fetch hands one delivery over. It may outlive its Pull, because a request to the broker cannot be interrupted.
func (p *Puller[M]) fetch(ctx context.Context, handover chan<- Delivery[M]) {
	level := slog.LevelDebug // the first failure is usually a lost connection, which the connection logs itself
	for {
		raw, err := retry.Get(ctx, func() (amqp.Delivery, error) { return p.next(ctx) }, func(err error, pause time.Duration) {
			p.conn.logRetry(ctx, p.logger, level, "no message could be taken, trying again", err, "retry_in", pause)
			level = slog.LevelWarn
		})
		if err != nil {
			return // ctx has ended
		}
		message, err := decode[M](raw)
		if err != nil {
			p.logger.Error("message moved to the dead-letter queue", "message_id", raw.MessageId, "error", err,
				"rejected", raw.Reject(false))
			continue
		}
		delivery := Delivery[M]{Message: message, raw: raw, settled: new(atomic.Bool)}
		select {
		case handover <- delivery:
			return
		case <-ctx.Done():
			_ = delivery.Reject(true)
			return
		}
	}
}

// next subscribes, waits for one delivery and unsubscribes.
func (p *Puller[M]) next(ctx context.Context) (amqp.Delivery, error) {
	ch, tag, deliveries, err := p.subscribe(ctx)
	if err != nil {
		return amqp.Delivery{}, err
	}
	select {
	case delivery, open := <-deliveries:
		if !open {
			return amqp.Delivery{}, ch.reason(errSubscription)
		}
		// The cancel needs no reply. The prefetch of 1 blocks further messages until this one is settled, and the
		// broker receives the cancel before that.
		return delivery, ch.Cancel(tag, true)
	case <-ctx.Done():
		p.withdraw(ch, tag, deliveries)
		return amqp.Delivery{}, context.Cause(ctx)
	}
}

func (p *Puller[M]) subscribe(ctx context.Context) (*channel, string, <-chan amqp.Delivery, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ch == nil || p.ch.lost() {
		ch, err := p.conn.open(ctx)
		if err != nil {
			return nil, "", nil, err
		}
		if err := ch.Qos(1, 0, false); err != nil { // per consumer, not per channel
			go ch.discard()
			return nil, "", nil, unavailable(ch.reason(err), "limit deliveries")
		}
		p.ch = ch
	}
	p.last++
	ch, tag := p.ch, "pull-"+strconv.FormatUint(p.last, 10)
	deliveries, err := ch.Consume(p.queue, tag, false, false, false, false, nil)
	if err != nil {
		p.ch = nil
		go ch.discard()
		return nil, "", nil, unavailable(ch.reason(err), "subscribe to queue %q", p.queue)
	}
	return ch, tag, deliveries, nil
}

// withdraw unsubscribes and returns the messages that were delivered in the meantime.
func (p *Puller[M]) withdraw(ch *channel, tag string, deliveries <-chan amqp.Delivery) {
	p.mu.Lock()
	err := ch.Cancel(tag, false)
	p.mu.Unlock()
	if err != nil { // the channel has ended, and its deliveries are back in the queue
		return
	}
	for surplus := range deliveries {
		_ = surplus.Reject(true)
	}
}

// Delivery is a taken, unsettled message. Its settlement reaches the channel of the delivery, or no channel.
type Delivery[M attune.Message] struct {
	Message M

	raw     amqp.Delivery
	settled *atomic.Bool
}

// Ack settles the message as done. An [attune.CodeUnavailable] error means that the channel has ended and the broker
// delivers the message again. Nil does not prove that the broker has received the acknowledgement. A second settlement is
// [attune.CodeConflict].
func (d Delivery[M]) Ack() error {
	return d.settle("acknowledge", func() error { return d.raw.Ack(false) })
}

// Reject returns the message to the queue for immediate delivery to any process if requeue is true; otherwise it moves
// the message to the dead-letter queue. Its errors are those of [Delivery.Ack].
func (d Delivery[M]) Reject(requeue bool) error {
	return d.settle("reject", func() error { return d.raw.Reject(requeue) })
}

var errSettled = errors.New("already settled")

func (d Delivery[M]) settle(action string, send func() error) error {
	if d.settled.Swap(true) { // the broker would close the channel
		return attune.WrapError(attune.CodeConflict, errSettled, "%s message %q", action, d.raw.MessageId)
	}
	if err := send(); err != nil {
		return unavailable(err, "%s message %q: it will be delivered again", action, d.raw.MessageId)
	}
	return nil
}
