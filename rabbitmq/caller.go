package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
)

const (
	// replyQueue is RabbitMQ's direct reply-to: answers come on the channel that asked, without a queue.
	replyQueue = "amq.rabbitmq.reply-to"
	// callPatience bounds a call whose context has no deadline.
	callPatience = 10 * time.Second
)

// Caller asks questions that a [Responder] answers. It is safe for concurrent use.
type Caller struct {
	conn    *Connection
	opening chan struct{} // held by the one call that looks after line
	line    *line         // nil before the first call
}

// NewCaller returns a caller on conn.
func NewCaller(conn *Connection) *Caller {
	return &Caller{conn: conn, opening: make(chan struct{}, 1)}
}

// Call sends question and reads the answer into the pointer answer. Without a deadline in ctx, Call waits 10 s. The question
// expires when the call does: no responder takes it afterwards, but a responder that has taken it may still act upon it.
//
// An answer that is an error has the responder's code and message. No answer in time, no queue for the question, and a lost
// connection are [attune.CodeUnavailable]: a responder may have acted upon the question, so ask only questions that may be
// repeated.
func (c *Caller) Call(ctx context.Context, question attune.Message, answer any) error {
	if _, has := ctx.Deadline(); !has {
		limited, cancel := context.WithTimeout(ctx, callPatience)
		defer cancel()
		ctx = limited
	}
	envelope, err := encode(question)
	if err != nil {
		return err
	}
	if err := envelope.validate(); err != nil {
		return err
	}
	own, err := c.open(ctx)
	if err != nil {
		return err
	}
	reply, err := own.ask(ctx, envelope)
	if err != nil {
		return unavailable(err, "no answer to %q (message %q)", envelope.RoutingKey, envelope.MessageID)
	}
	return readAnswer(reply, answer)
}

func readAnswer(reply amqp.Delivery, answer any) error {
	if code, is := reply.Headers[HeaderReason].(string); is {
		text, _ := reply.Headers[HeaderError].(string)
		return attune.Errorf(attune.Code(code), "%s", text)
	}
	if err := json.Unmarshal(reply.Body, answer); err != nil {
		return attune.WrapError(attune.CodeInternal, err, "answer is not the JSON of %T", answer)
	}
	return nil
}

// open returns the line, or a new one if it is dead.
func (c *Caller) open(ctx context.Context) (*line, error) {
	select {
	case c.opening <- struct{}{}:
		defer func() { <-c.opening }()
	case <-ctx.Done():
		return nil, unavailable(context.Cause(ctx), "wait for a channel")
	}
	if c.line != nil && !c.line.ch.lost() {
		return c.line, nil
	}
	ch, err := c.conn.open(ctx)
	if err != nil {
		return nil, err
	}
	opened := &line{ch: ch, waiting: make(map[string]chan<- amqp.Delivery)}
	if _, err := within(ctx, func() (struct{}, error) { return struct{}{}, opened.listen() }, func(struct{}) {}); err != nil {
		go ch.discard()
		return nil, unavailable(ch.reason(err), "listen for answers")
	}
	c.line = opened
	return opened, nil
}

var errNobody = errors.New("no queue takes the question")

// line is a channel with the questions that are open on it.
type line struct {
	ch *channel

	mu      sync.Mutex
	last    uint64
	waiting map[string]chan<- amqp.Delivery // by correlation id; closed when the question was returned
}

// listen hands each answer and each returned question to the call that waits for it, until the channel ends.
func (l *line) listen() error {
	answers, err := l.ch.Consume(replyQueue, "", true, false, false, false, nil)
	if err != nil {
		return err
	}
	returns := l.ch.NotifyReturn(make(chan amqp.Return, 1))
	go func() {
		for answer := range answers {
			if asker := l.take(answer.CorrelationId); asker != nil {
				asker <- answer
			}
		}
	}()
	go func() {
		for returned := range returns {
			if asker := l.take(returned.CorrelationId); asker != nil {
				close(asker)
			}
		}
	}()
	return nil
}

// ask sends a question and waits for its answer.
func (l *line) ask(ctx context.Context, envelope Envelope) (amqp.Delivery, error) {
	id, answered := l.register()
	defer l.take(id)
	out := envelope.outgoing()
	out.publishing.ReplyTo, out.publishing.CorrelationId = replyQueue, id
	out.publishing.Expiration = expiration(ctx)
	_, err := within(ctx, func() (struct{}, error) {
		return struct{}{}, l.ch.PublishWithContext(ctx, out.exchange, out.key, true, false, out.publishing)
	}, func(struct{}) {})
	if err != nil {
		return amqp.Delivery{}, l.ch.reason(err)
	}
	select {
	case answer, open := <-answered:
		if !open {
			return amqp.Delivery{}, errNobody
		}
		return answer, nil
	case <-l.ch.gone:
		return amqp.Delivery{}, l.ch.why
	case <-ctx.Done():
		return amqp.Delivery{}, context.Cause(ctx)
	}
}

func (l *line) register() (string, <-chan amqp.Delivery) {
	answered := make(chan amqp.Delivery, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	id := strconv.FormatUint(l.last, 10)
	l.waiting[id] = answered
	return id, answered
}

// take ends a question. It returns the channel of the waiting call, or nil when the question has already ended.
func (l *line) take(id string) chan<- amqp.Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	asker := l.waiting[id]
	delete(l.waiting, id)
	return asker
}

// expiration is the time left, in the broker's milliseconds.
func expiration(ctx context.Context) string {
	deadline, _ := ctx.Deadline()
	return strconv.FormatInt(max(1, time.Until(deadline).Milliseconds()), 10)
}
