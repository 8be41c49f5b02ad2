package rabbitmq

import (
	"encoding/json"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
)

// Envelope is an encoded message, for example from an outbox row.
type Envelope struct {
	RoutingKey string // 1 to 255 bytes
	MessageID  string // the same for every copy; up to 255 bytes
	Body       []byte // JSON
}

// maxShortString is the AMQP 0-9-1 limit of a routing key or property, in bytes. The library closes the connection when
// it meets a longer one.
const maxShortString = 255

func (e Envelope) validate() error {
	if e.RoutingKey == "" || len(e.RoutingKey) > maxShortString {
		return attune.Errorf(attune.CodeInvalid, "routing key of %d bytes (message %q): use 1 to %d",
			len(e.RoutingKey), e.MessageID, maxShortString)
	}
	if len(e.MessageID) > maxShortString {
		return attune.Errorf(attune.CodeInvalid, "message id of %d bytes (routing key %q): use up to %d",
			len(e.MessageID), e.RoutingKey, maxShortString)
	}
	return nil
}

// outgoing is a message on its way to an exchange.
type outgoing struct {
	exchange, key string
	optional      bool // the broker may drop the message if no queue takes it
	publishing    amqp.Publishing
}

func (e Envelope) outgoing() outgoing {
	return outgoing{exchange: ExchangeOf(e.RoutingKey), key: e.RoutingKey, publishing: amqp.Publishing{
		ContentType:  amqp.MimeApplicationJSON,
		DeliveryMode: amqp.Persistent,
		MessageId:    e.MessageID,
		Timestamp:    time.Now(),
		Body:         e.Body,
	}}
}

// encode puts a message into an envelope. A message that cannot be encoded is a bug of its type.
func encode(message attune.Message) (Envelope, error) {
	body, err := json.Marshal(message)
	if err != nil {
		return Envelope{}, attune.WrapError(attune.CodeInvalid, err, "encode message %q", message.MessageID())
	}
	return Envelope{RoutingKey: message.RoutingKey(), MessageID: message.MessageID(), Body: body}, nil
}

// decode reads a message, tells it its routing key if it has a method Arrived, and calls its Validate method, if it has one. It
// ignores unknown fields: the sender may be newer.
func decode[M attune.Message](delivery amqp.Delivery) (M, error) {
	var message M
	if size, dropped := delivery.Headers[HeaderBodySize]; dropped {
		return message, attune.Errorf(attune.CodeInvalid, "message %q has a body of %d bytes, larger than any message of its type",
			delivery.MessageId, size)
	}
	if err := json.Unmarshal(delivery.Body, &message); err != nil {
		return message, attune.WrapError(attune.CodeInvalid, err, "message %q is not the JSON of %T", delivery.MessageId, message)
	}
	if arriving, ok := any(&message).(interface{ Arrived(routingKey string) }); ok {
		arriving.Arrived(checkedKey(delivery))
	}
	if checked, ok := any(message).(interface{ Validate() error }); ok {
		if err := checked.Validate(); err != nil {
			return message, fmt.Errorf("check message %q: %w", delivery.MessageId, err)
		}
	}
	return message, nil
}
