package rabbitmq

import (
	"context"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
)

// DeadLetter is a message that no receiver could handle.
type DeadLetter struct {
	MessageID  string
	RoutingKey string    // of the first publishing
	Queue      string    // the queue that the message came from
	Reason     string    // an attune.Code, or the broker's reason: rejected, expired, delivery_limit
	Error      string    // for a person; empty if the broker moved the message
	Tries      int       // 0 if the broker moved the message
	FailedAt   time.Time // zero if unknown
	Body       []byte
}

// DeadLetters returns up to limit dead letters, oldest first, and leaves them in the dead-letter queue.
func DeadLetters(ctx context.Context, conn *Connection, limit int) ([]DeadLetter, error) {
	ch, err := conn.open(ctx)
	if err != nil {
		return nil, err
	}
	defer ch.discard() // returns the letters to the queue
	deliveries, err := ch.dead(ctx, limit)
	var letters []DeadLetter
	for _, delivery := range deliveries {
		letters = append(letters, newDeadLetter(delivery))
	}
	return letters, err
}

// dead takes up to limit dead letters, oldest first, without settling them.
func (c *channel) dead(ctx context.Context, limit int) ([]amqp.Delivery, error) {
	var deliveries []amqp.Delivery
	for len(deliveries) < limit {
		delivery, found, err := c.get(ctx, QueueDead)
		if err != nil {
			return nil, err
		}
		if !found {
			break
		}
		deliveries = append(deliveries, delivery)
	}
	return deliveries, nil
}

// get takes one message without subscribing.
func (c *channel) get(ctx context.Context, queue string) (amqp.Delivery, bool, error) {
	found := false
	delivery, err := within(ctx, func() (amqp.Delivery, error) {
		delivery, ok, err := c.Get(queue, false)
		found = ok
		return delivery, err
	}, func(amqp.Delivery) {})
	switch {
	case replyCode(err) == amqp.NotFound:
		return delivery, false, attune.WrapError(attune.CodeNotFound, err, "queue %q does not exist", queue)
	case err != nil:
		return delivery, false, unavailable(err, "read queue %q", queue)
	}
	return delivery, found, nil
}

func newDeadLetter(delivery amqp.Delivery) DeadLetter {
	text := func(header string) string {
		value, _ := delivery.Headers[header].(string)
		return value
	}
	letter := DeadLetter{
		MessageID: delivery.MessageId, RoutingKey: originalKey(delivery), Body: delivery.Body,
		Queue: text(HeaderQueue), Reason: text(HeaderReason), Error: text(HeaderError),
	}
	if tries, ok := delivery.Headers[HeaderTries].(int64); ok {
		letter.Tries = int(tries)
	}
	if at, err := time.Parse(time.RFC3339, text(HeaderFailedAt)); err == nil {
		letter.FailedAt = at
	}
	letter.fromBroker(delivery.Headers)
	return letter
}

// fromBroker replaces the headers of an earlier try with the broker's own record, if the broker moved the message after
// that try.
func (l *DeadLetter) fromBroker(headers amqp.Table) {
	deaths, _ := headers["x-death"].([]any)
	if len(deaths) == 0 {
		return
	}
	latest, _ := deaths[0].(amqp.Table)
	queue, _ := latest["queue"].(string)
	l.Queue, l.Error = queue, ""
	l.Reason, _ = latest["reason"].(string)
	l.FailedAt, _ = latest["time"].(time.Time)
}
