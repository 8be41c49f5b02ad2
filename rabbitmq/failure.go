package rabbitmq

import (
	"cmp"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
)

// Headers of a failed message.
const (
	HeaderQueue      = "attune-queue"       // the queue whose receiver failed
	HeaderRoutingKey = "attune-routing-key" // the routing key of the first publishing
	HeaderTries      = "attune-tries"       // number of tries
	HeaderReason     = "attune-reason"      // the attune.Code of the last error
	HeaderError      = "attune-error"       // the last error, for a person
	HeaderFailedAt   = "attune-failed-at"   // time of the last error, RFC 3339 in UTC
)

// maxHeaderError bounds the error text in bytes: headers must fit into one AMQP frame.
const maxHeaderError = 2000

// failure is one failed try of one delivery.
type failure struct {
	queue    string
	delivery amqp.Delivery
	tries    int
	cause    error
	at       time.Time
}

func newFailure(queue string, delivery amqp.Delivery, cause error, at time.Time) failure {
	earlier, _ := delivery.Headers[HeaderTries].(int64)
	return failure{queue: queue, delivery: delivery, tries: int(earlier) + 1, cause: cause, at: at}
}

// final reports whether the message must not be tried again: it is invalid, or its receiver does not believe it.
func (f failure) final() bool {
	code := attune.CodeOf(f.cause)
	return f.tries >= MaxTries || code == attune.CodeInvalid || code == attune.CodeUnauthorized
}

func (f failure) destination() string {
	if f.final() {
		return QueueDead
	}
	return RetryQueue(f.queue)
}

// outgoing returns the message for the retry or dead-letter queue.
func (f failure) outgoing() outgoing {
	out := f.dead()
	if !f.final() {
		out.exchange, out.key = "", RetryQueue(f.queue)
	}
	return out
}

// dead returns the message for the dead-letter queue, with the failure in its headers. It keeps no other header: the
// sender may have written any, also more than fits into a frame.
func (f failure) dead() outgoing {
	key := originalKey(f.delivery)
	headers := amqp.Table{
		HeaderQueue: f.queue, HeaderRoutingKey: checkedKey(f.delivery), HeaderTries: int64(f.tries),
		HeaderReason: string(attune.CodeOf(f.cause)), HeaderError: attune.Shorten(f.cause.Error(), maxHeaderError),
		HeaderFailedAt: f.at.UTC().Format(time.RFC3339),
	}
	return outgoing{exchange: DeadExchange, key: key, publishing: amqp.Publishing{
		Headers:      headers,
		ContentType:  f.delivery.ContentType,
		DeliveryMode: amqp.Persistent,
		MessageId:    f.delivery.MessageId,
		Timestamp:    f.delivery.Timestamp,
		Body:         f.delivery.Body,
	}}
}

// originalKey is the routing key of the first publishing. A message that comes back from its retry queue has the name of
// its queue as routing key. The header of a message in an exchange of attune does not count: its sender may have written anything, and
// the broker has checked the rights of the sender against the routing key only. No worker can write to the other exchanges.
func originalKey(delivery amqp.Delivery) string {
	if fromSender(delivery) {
		return delivery.RoutingKey
	}
	key, _ := delivery.Headers[HeaderRoutingKey].(string)
	return cmp.Or(key, delivery.RoutingKey)
}

// checkedKey is the routing key that the broker has checked against the rights of the sender, or empty if the broker has checked none:
// a queue of a worker can dead-letter messages to the exchange of workers with any routing key. Attune's retry queues dead-letter to the
// default exchange, which no worker can write to.
func checkedKey(delivery amqp.Delivery) string {
	if fromSender(delivery) && deadLetteredBefore(delivery) {
		return ""
	}
	return originalKey(delivery)
}

// fromSender reports whether a message comes from an exchange that a part of attune publishes to.
func fromSender(delivery amqp.Delivery) bool {
	return delivery.Exchange == Exchange || delivery.Exchange == WorkersExchange
}

// deadLetteredBefore reports whether a message has passed a queue that has dead-lettered it, or may have. The broker writes these headers.
func deadLetteredBefore(delivery amqp.Delivery) bool {
	for name := range delivery.Headers {
		switch {
		case name == HeaderDropped, name == "x-death", strings.HasPrefix(name, "x-first-death-"), strings.HasPrefix(name, "x-last-death-"):
			return true
		}
	}
	return false
}
