package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
)

// Responder replies to the requests of a queue, in batches like a [Consumer].
//
// A Responder does not retry a failed request: the caller still waits, gets the error as its reply, and can send the
// request again. A request that cannot be decoded, or that the handler refuses with an [attune.BatchError], also becomes a dead
// letter. The Responder sends the replies before it acknowledges the requests, so a crash in between repeats the
// requests.
type Responder[M attune.Message, R any] struct {
	config ConsumerConfig
	conn   *Connection
	handle func(context.Context, []M) ([]R, error)
	logger *slog.Logger
}

// NewResponder returns a responder. handle returns one reply per request, in the same order. If handle returns an error,
// the callers get the code and message of the [attune.Error] in it, and no other detail. A batch that fails for another
// reason than an unavailable service is halved until the failing request is alone. With an [attune.BatchError], handle returns the
// replies to the other requests.
func NewResponder[M attune.Message, R any](
	conn *Connection, config ConsumerConfig, handle func(context.Context, []M) ([]R, error),
) *Responder[M, R] {
	return &Responder[M, R]{
		config: config.withDefaults(), conn: conn, handle: handle,
		logger: conn.config.Logger.With("queue", config.Queue),
	}
}

// Run replies until ctx ends, then returns nil. It reconnects by itself. A configuration out of range is
// [attune.CodeInvalid] at once.
func (r *Responder[M, R]) Run(ctx context.Context) error {
	if err := r.config.validate(); err != nil {
		return err
	}
	r.config.feed(r.conn, r.process).run(ctx)
	return nil
}

// process replies to every request of batch, then acknowledges all of them.
func (r *Responder[M, R]) process(ctx context.Context, batch []amqp.Delivery) error {
	var replies []outgoing
	items := make([]item[M], 0, len(batch))
	for _, delivery := range batch {
		message, err := decode[M](delivery)
		if err != nil {
			replies = append(replies, r.refusal(delivery, err)...)
			continue
		}
		items = append(items, item[M]{delivery, message})
	}
	replies = append(replies, r.reply(ctx, items)...)
	if err := context.Cause(ctx); err != nil {
		return err // the replies are errors because ctx has ended
	}
	if err := r.config.Publisher.send(ctx, replies); err != nil {
		return err
	}
	return batch[len(batch)-1].Ack(true)
}

// reply returns one reply per item.
func (r *Responder[M, R]) reply(ctx context.Context, items []item[M]) []outgoing {
	if len(items) == 0 {
		return nil
	}
	values, err := r.call(ctx, items)
	refused := refusedIn(err)
	if err != nil && refused == nil && len(items) > 1 && !outage(err) {
		half := len(items) / 2
		return append(r.reply(ctx, items[:half]), r.reply(ctx, items[half:])...)
	}
	replies := make([]outgoing, 0, len(items))
	for i, it := range items {
		switch cause, bad := refused[i]; {
		case bad:
			replies = append(replies, r.refusal(it.delivery, cause)...)
		case err != nil && refused == nil:
			replies = append(replies, r.failure(it.delivery, err))
		default:
			replies = append(replies, r.success(it.delivery, values[i]))
		}
	}
	return replies
}

func (r *Responder[M, R]) call(ctx context.Context, items []item[M]) ([]R, error) {
	requests := make([]M, len(items))
	for i, it := range items {
		requests[i] = it.message
	}
	var values []R
	err := guard(r.logger, func() (err error) {
		values, err = r.handle(ctx, requests)
		return err
	})
	if (err == nil || refusedIn(err) != nil) && len(values) != len(requests) {
		err = attune.Errorf(attune.CodeInternal, "%d replies to %d requests", len(values), len(requests))
	}
	return values, err
}

// refusal returns the dead letter of a refused request, and the reply to it.
func (r *Responder[M, R]) refusal(request amqp.Delivery, cause error) []outgoing {
	letter := newFailure(r.config.Queue, request, cause, time.Now()).dead()
	return []outgoing{letter, r.failure(request, cause)}
}

func (r *Responder[M, R]) success(request amqp.Delivery, value R) outgoing {
	body, err := json.Marshal(value)
	if err != nil {
		return r.failure(request, attune.WrapError(attune.CodeInternal, err, "encode the reply"))
	}
	out := replyTo(request)
	out.publishing.Body = body
	return out
}

func (r *Responder[M, R]) failure(request amqp.Delivery, cause error) outgoing {
	r.logger.Warn("request answered with an error", "message_id", request.MessageId, "error", cause)
	code, text := attune.CodeInternal, "internal error"
	if coded, ok := errors.AsType[*attune.Error](cause); ok {
		code, text = coded.Code, coded.Message
	} else if outage(cause) {
		code, text = attune.CodeUnavailable, "timed out"
	}
	out := replyTo(request)
	out.publishing.Headers = amqp.Table{HeaderReason: string(code), HeaderError: attune.Shorten(text, maxHeaderError)}
	return out
}

// replyTo returns the empty reply to a request. The broker may drop the reply: the caller may have ended. A request that names
// another address than that of a [Caller] gets no reply: otherwise a request could make the responder write to any queue.
func replyTo(request amqp.Delivery) outgoing {
	address := request.ReplyTo
	if !strings.HasPrefix(address, replyQueue+".") {
		address = ""
	}
	return outgoing{key: address, optional: true, publishing: amqp.Publishing{
		ContentType:   amqp.MimeApplicationJSON,
		DeliveryMode:  amqp.Transient,
		CorrelationId: request.CorrelationId,
		MessageId:     request.MessageId,
		Timestamp:     time.Now(),
	}}
}
