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

// Puller takes messages one by one, each only when a caller asks for it. A worker without a free slot asks for none, and the
// broker gives the message to another process.
//
// Each [Puller.Pull] subscribes for exactly one message and unsubscribes when the message has arrived. So a process holds at
// most as many unacknowledged messages as it has asked for. A Puller is safe for concurrent use.
type Puller[M attune.Message] struct {
	conn   *Connection
	queue  string
	logger *slog.Logger

	mu   sync.Mutex // held during requests: the broker's answers on one channel carry no address
	ch   *channel   // nil before the first use
	last uint64
}

// NewPuller returns a puller of the messages of queue.
func NewPuller[M attune.Message](conn *Connection, queue string) *Puller[M] {
	return &Puller[M]{conn: conn, queue: queue, logger: conn.config.Logger.With("queue", queue)}
}

// Pull waits for a message, over as many connections as it takes. The only error is the cause of ctx's end; a message that
// the broker delivered at that very moment goes back to the queue. One that cannot be read goes to the dead-letter queue
// and is logged. Settle what you get with [Delivery.Ack] or [Delivery.Reject], soon: brokers take a delivery back that is
// held for 30 minutes.
func (t *Puller[M]) Pull(ctx context.Context) (Delivery[M], error) {
	handover := make(chan Delivery[M])
	go t.fetch(ctx, handover)
	select {
	case delivery := <-handover:
		return delivery, nil
	case <-ctx.Done():
		return Delivery[M]{}, context.Cause(ctx)
	}
}

// fetch hands one delivery over. It may outlive its Take: a request to the broker cannot be interrupted.
func (t *Puller[M]) fetch(ctx context.Context, handover chan<- Delivery[M]) {
	level := slog.LevelDebug // a lost connection is one event, however many are waiting
	for {
		raw, err := retry.Get(ctx, func() (amqp.Delivery, error) { return t.next(ctx) }, func(err error, pause time.Duration) {
			t.logger.Log(ctx, level, "cannot take a message", "error", err, "retry_in", pause)
			level = slog.LevelWarn
		})
		if err != nil {
			return // ctx has ended
		}
		message, err := decode[M](raw)
		if err != nil {
			t.logger.Error("message moved to the dead-letter queue", "message_id", raw.MessageId, "error", err,
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
func (t *Puller[M]) next(ctx context.Context) (amqp.Delivery, error) {
	ch, tag, deliveries, err := t.subscribe(ctx)
	if err != nil {
		return amqp.Delivery{}, err
	}
	select {
	case delivery, open := <-deliveries:
		if !open {
			return amqp.Delivery{}, ch.reason(errSubscription)
		}
		// Without an answer: the prefetch of 1 keeps further messages away as long as this one is not settled, and the
		// broker sees the cancel first.
		return delivery, ch.Cancel(tag, true)
	case <-ctx.Done():
		t.withdraw(ch, tag, deliveries)
		return amqp.Delivery{}, context.Cause(ctx)
	}
}

func (t *Puller[M]) subscribe(ctx context.Context) (*channel, string, <-chan amqp.Delivery, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ch == nil || t.ch.lost() {
		ch, err := t.conn.open(ctx)
		if err != nil {
			return nil, "", nil, err
		}
		if err := ch.Qos(1, 0, false); err != nil { // per consumer, not per channel
			go ch.discard()
			return nil, "", nil, unavailable(ch.reason(err), "limit deliveries")
		}
		t.ch = ch
	}
	t.last++
	ch, tag := t.ch, "pull-"+strconv.FormatUint(t.last, 10)
	deliveries, err := ch.Consume(t.queue, tag, false, false, false, false, nil)
	if err != nil {
		t.ch = nil
		go ch.discard()
		return nil, "", nil, unavailable(ch.reason(err), "subscribe to queue %q", t.queue)
	}
	return ch, tag, deliveries, nil
}

// withdraw unsubscribes and gives back the messages that were delivered in the meantime.
func (t *Puller[M]) withdraw(ch *channel, tag string, deliveries <-chan amqp.Delivery) {
	t.mu.Lock()
	err := ch.Cancel(tag, false)
	t.mu.Unlock()
	if err != nil { // the channel is gone, and its deliveries are back in the queue
		return
	}
	for surplus := range deliveries {
		_ = surplus.Reject(true)
	}
}

// Delivery is a message that was taken and is not settled yet. Settling goes to the channel that delivered the message, or
// nowhere.
type Delivery[M attune.Message] struct {
	Message M

	raw     amqp.Delivery
	settled *atomic.Bool
}

// Ack says that the message is done. An error, [attune.CodeUnavailable], says that the channel is gone and the message is
// delivered again; nil is no proof that the broker has heard it.
func (d Delivery[M]) Ack() error {
	return d.settle("acknowledge", func() error { return d.raw.Ack(false) })
}

// Reject gives the message back to the queue, to be delivered to any process at once, or sends it to the dead-letter queue.
// Errors are those of [Delivery.Ack].
func (d Delivery[M]) Reject(requeue bool) error {
	return d.settle("reject", func() error { return d.raw.Reject(requeue) })
}

var errSettled = errors.New("it was settled before")

func (d Delivery[M]) settle(what string, send func() error) error {
	if d.settled.Swap(true) { // the broker answers a second time by closing the channel
		return attune.WrapError(attune.CodeConflict, errSettled, "%s message %q", what, d.raw.MessageId)
	}
	if err := send(); err != nil {
		return unavailable(err, "%s message %q: it will be delivered again", what, d.raw.MessageId)
	}
	return nil
}
