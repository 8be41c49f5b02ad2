package rabbitmq

import (
	"cmp"
	"maps"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
)

// The headers of a message that failed.
const (
	HeaderQueue      = "attune-queue"       // the queue whose receiver failed
	HeaderRoutingKey = "attune-routing-key" // the key it was published with
	HeaderTries      = "attune-tries"       // how often it was tried
	HeaderReason     = "attune-reason"      // the attune.Code of the last error
	HeaderError      = "attune-error"       // the last error, for a person
	HeaderFailedAt   = "attune-failed-at"   // when, RFC 3339 in UTC
)

// maxHeaderError bounds the error text: headers must fit into one frame.
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

// final reports whether the message must not come back by itself.
func (f failure) final() bool {
	return f.tries >= MaxTries || attune.CodeOf(f.cause) == attune.CodeInvalid
}

func (f failure) destination() string {
	if f.final() {
		return QueueDead
	}
	return RetryQueue(f.queue)
}

// outgoing is the message with its story in the headers. The broker's own headers are left behind: it writes them anew.
func (f failure) outgoing() outgoing {
	key := originalKey(f.delivery)
	headers := maps.Clone(f.delivery.Headers)
	maps.DeleteFunc(headers, func(name string, _ any) bool { return strings.HasPrefix(name, "x-") })
	if headers == nil {
		headers = amqp.Table{}
	}
	headers[HeaderQueue] = f.queue
	headers[HeaderRoutingKey] = key
	headers[HeaderTries] = int64(f.tries)
	headers[HeaderReason] = string(attune.CodeOf(f.cause))
	headers[HeaderError] = shorten(f.cause.Error())
	headers[HeaderFailedAt] = f.at.UTC().Format(time.RFC3339)
	out := outgoing{exchange: DeadExchange, key: key, publishing: amqp.Publishing{
		Headers:      headers,
		ContentType:  f.delivery.ContentType,
		DeliveryMode: amqp.Persistent,
		MessageId:    f.delivery.MessageId,
		Timestamp:    f.delivery.Timestamp,
		Body:         f.delivery.Body,
	}}
	if !f.final() {
		out.exchange, out.key = "", RetryQueue(f.queue)
	}
	return out
}

// originalKey is the routing key of the first publishing; a message that comes back from its retry queue is routed by the
// name of its queue.
func originalKey(delivery amqp.Delivery) string {
	key, _ := delivery.Headers[HeaderRoutingKey].(string)
	return cmp.Or(key, delivery.RoutingKey)
}

func shorten(text string) string {
	if len(text) <= maxHeaderError {
		return text
	}
	return strings.ToValidUTF8(text[:maxHeaderError], "") + "…"
}
