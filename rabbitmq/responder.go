package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
)

// Responder answers the questions of a queue, in batches like a [Consumer].
//
// It keeps no failed question: the caller still waits, gets the error as its answer, and knows best whether to ask again.
// Answers are sent before the questions are acknowledged, so a crash in between repeats the questions.
type Responder[M attune.Message, R any] struct {
	config ConsumerConfig
	conn   *Connection
	handle func(context.Context, []M) ([]R, error)
	logger *slog.Logger
}

// NewResponder returns a responder. handle returns one answer per question, in the same order; of an error the callers see
// the code and message of the [attune.Error] in it, nothing else. A batch that fails, other than because a service is
// unavailable, is halved until the culprit stands alone.
func NewResponder[M attune.Message, R any](
	conn *Connection, config ConsumerConfig, handle func(context.Context, []M) ([]R, error),
) *Responder[M, R] {
	return &Responder[M, R]{
		config: config.withDefaults(), conn: conn, handle: handle,
		logger: conn.config.Logger.With("queue", config.Queue),
	}
}

// Run answers until ctx ends, over as many connections as it takes, and returns nil then. A configuration out of its range
// is [attune.CodeInvalid] at once.
func (r *Responder[M, R]) Run(ctx context.Context) error {
	if err := r.config.validate(); err != nil {
		return err
	}
	r.config.intake(r.conn, r.process).run(ctx)
	return nil
}

// process answers every question of batch, then acknowledges them all.
func (r *Responder[M, R]) process(ctx context.Context, batch []amqp.Delivery) error {
	var answers []outgoing
	items := make([]item[M], 0, len(batch))
	for _, delivery := range batch {
		message, err := decode[M](delivery)
		if err != nil {
			answers = append(answers, r.refuse(delivery, err))
			continue
		}
		items = append(items, item[M]{delivery, message})
	}
	answers = append(answers, r.answer(ctx, items)...)
	if err := context.Cause(ctx); err != nil {
		return err // the errors say nothing about the questions
	}
	if err := r.config.Publisher.send(ctx, answers); err != nil {
		return err
	}
	return batch[len(batch)-1].Ack(true)
}

// answer returns one answer per item.
func (r *Responder[M, R]) answer(ctx context.Context, items []item[M]) []outgoing {
	if len(items) == 0 {
		return nil
	}
	replies, err := r.call(ctx, items)
	if err != nil && len(items) > 1 && !outage(err) {
		half := len(items) / 2
		return append(r.answer(ctx, items[:half]), r.answer(ctx, items[half:])...)
	}
	answers := make([]outgoing, 0, len(items))
	for i, it := range items {
		if err != nil {
			answers = append(answers, r.refuse(it.delivery, err))
			continue
		}
		answers = append(answers, r.reply(it.delivery, replies[i]))
	}
	return answers
}

func (r *Responder[M, R]) call(ctx context.Context, items []item[M]) ([]R, error) {
	questions := make([]M, len(items))
	for i, it := range items {
		questions[i] = it.message
	}
	var replies []R
	err := guard(r.logger, func() (err error) {
		replies, err = r.handle(ctx, questions)
		return err
	})
	if err == nil && len(replies) != len(questions) {
		err = attune.Errorf(attune.CodeInternal, "%d answers to %d questions", len(replies), len(questions))
	}
	return replies, err
}

func (r *Responder[M, R]) reply(question amqp.Delivery, reply R) outgoing {
	body, err := json.Marshal(reply)
	if err != nil {
		return r.refuse(question, attune.WrapError(attune.CodeInternal, err, "encode the answer"))
	}
	out := answerTo(question)
	out.publishing.Body = body
	return out
}

func (r *Responder[M, R]) refuse(question amqp.Delivery, cause error) outgoing {
	r.logger.Warn("question answered with an error", "message_id", question.MessageId, "error", cause)
	code, text := attune.CodeInternal, "internal error"
	if coded, ok := errors.AsType[*attune.Error](cause); ok {
		code, text = coded.Code, coded.Message
	} else if outage(cause) {
		code, text = attune.CodeUnavailable, "timed out"
	}
	out := answerTo(question)
	out.publishing.Headers = amqp.Table{HeaderReason: string(code), HeaderError: shorten(text)}
	return out
}

// answerTo addresses an answer. The answer is optional: the caller may be gone.
func answerTo(question amqp.Delivery) outgoing {
	return outgoing{key: question.ReplyTo, optional: true, publishing: amqp.Publishing{
		ContentType:   amqp.MimeApplicationJSON,
		DeliveryMode:  amqp.Transient,
		CorrelationId: question.CorrelationId,
		MessageId:     question.MessageId,
		Timestamp:     time.Now(),
	}}
}
