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
	failed func(M, attune.Code, string) (R, error) // nil: the code and the text are headers of the reply
	logger *slog.Logger

	refusals *refusals
}

// NewResponder returns a responder. handle returns one reply per request, in the same order. If handle returns an error,
// the callers get the code and message of the [attune.Error] in it, and no other detail. A batch that fails for another
// reason than an unavailable service is halved until the failing request is alone. With an [attune.BatchError], handle returns the
// replies to the other requests.
func NewResponder[M attune.Message, R any](
	conn *Connection, config ConsumerConfig, handle func(context.Context, []M) ([]R, error),
) *Responder[M, R] {
	logger := conn.config.Logger.With("queue", config.Queue)
	return &Responder[M, R]{
		config: config.withDefaults(), conn: conn, handle: handle, logger: logger,
		refusals: &refusals{perSecond: config.MaxRefused, logger: logger},
	}
}

// Failing makes the responder answer a failed request with the reply that failed returns for its code and its text, instead of headers.
// A request that cannot be decoded still gets headers. Call Failing before Run.
func (r *Responder[M, R]) Failing(failed func(request M, code attune.Code, text string) (R, error)) *Responder[M, R] {
	r.failed = failed
	return r
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
			replies = append(r.letter(replies, delivery, err), r.headers(delivery, err))
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
			replies = append(r.letter(replies, it.delivery, cause), r.failure(it, cause))
		case err != nil && refused == nil:
			r.logFailed(it.delivery, err)
			replies = append(replies, r.failure(it, err))
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

// letter adds the dead letter of a refused request to replies, unless it is above the bound, and logs the request.
func (r *Responder[M, R]) letter(replies []outgoing, request amqp.Delivery, cause error) []outgoing {
	f := newFailure(r.config.Queue, request, cause, time.Now())
	if !r.refusals.keep(cause, f.at) {
		return replies
	}
	r.logger.Warn("request refused", "message_id", request.MessageId, "error", cause)
	return append(replies, f.dead())
}

// failure returns the reply to a request that has failed.
func (r *Responder[M, R]) failure(it item[M], cause error) outgoing {
	if r.failed == nil {
		return r.headers(it.delivery, cause)
	}
	code, text := explain(cause)
	value, err := r.failed(it.message, code, text)
	if err != nil {
		r.logFailed(it.delivery, err)
		return r.headers(it.delivery, err)
	}
	return r.success(it.delivery, value)
}

func (r *Responder[M, R]) success(request amqp.Delivery, value R) outgoing {
	body, err := json.Marshal(value)
	if err != nil {
		err = attune.WrapError(attune.CodeInternal, err, "encode the reply")
		r.logFailed(request, err)
		return r.headers(request, err)
	}
	out := replyTo(request)
	out.publishing.Body = body
	return out
}

func (r *Responder[M, R]) logFailed(request amqp.Delivery, cause error) {
	r.logger.Warn("request answered with an error", "message_id", request.MessageId, "error", cause)
}

// explain returns what the caller learns about a failed request.
func explain(cause error) (attune.Code, string) {
	if coded, ok := errors.AsType[*attune.Error](cause); ok {
		return coded.Code, coded.Message
	}
	if outage(cause) {
		return attune.CodeUnavailable, "timed out"
	}
	return attune.CodeInternal, "internal error"
}

// headers returns the reply to a request that has failed, with the reason in its headers.
func (r *Responder[M, R]) headers(request amqp.Delivery, cause error) outgoing {
	code, text := explain(cause)
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
