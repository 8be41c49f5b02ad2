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
	// replyQueue is RabbitMQ's direct reply-to: replies arrive on the channel of the request, without a queue.
	replyQueue = "amq.rabbitmq.reply-to"
	// callTimeout bounds a call whose context has no deadline.
	callTimeout = 10 * time.Second
)

// Caller sends requests to a [Responder] and waits for the replies. It is safe for concurrent use.
type Caller struct {
	conn    *Connection
	opening chan struct{} // a lock that a context can interrupt
	current *callChannel  // nil before the first call; guarded by opening
}

// NewCaller returns a caller on conn.
func NewCaller(conn *Connection) *Caller {
	return &Caller{conn: conn, opening: make(chan struct{}, 1)}
}

// Call sends request and decodes the reply into the pointer reply. If ctx has no deadline, Call waits 10 s. The request
// expires when the call ends: no responder takes it afterwards, but a responder that has taken it may still act on it.
//
// An error reply has the responder's code and message. A timeout, a request that no queue takes, and a lost connection
// are [attune.CodeUnavailable]: a responder may have acted on the request, so send only requests that may be repeated.
func (c *Caller) Call(ctx context.Context, request attune.Message, reply any) error {
	if _, has := ctx.Deadline(); !has {
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		ctx = limited
	}
	envelope, err := encode(request)
	if err != nil {
		return err
	}
	if err := envelope.validate(); err != nil {
		return err
	}
	calls, err := c.open(ctx)
	if err != nil {
		return err
	}
	delivery, err := calls.roundTrip(ctx, envelope)
	if err != nil {
		return unavailable(err, "no reply to %q (message %q)", envelope.RoutingKey, envelope.MessageID)
	}
	return readReply(delivery, reply)
}

func readReply(delivery amqp.Delivery, reply any) error {
	if code, failed := delivery.Headers[HeaderReason].(string); failed {
		text, _ := delivery.Headers[HeaderError].(string)
		return attune.Errorf(attune.Code(code), "%s", text)
	}
	if err := json.Unmarshal(delivery.Body, reply); err != nil {
		return attune.WrapError(attune.CodeInternal, err, "the reply is not the JSON of %T", reply)
	}
	return nil
}

// open returns the current channel, or a new one if the current channel has ended.
func (c *Caller) open(ctx context.Context) (*callChannel, error) {
	select {
	case c.opening <- struct{}{}:
		defer func() { <-c.opening }()
	case <-ctx.Done():
		return nil, unavailable(context.Cause(ctx), "wait for a channel")
	}
	if c.current != nil && !c.current.ch.lost() {
		return c.current, nil
	}
	ch, err := c.conn.open(ctx)
	if err != nil {
		return nil, err
	}
	opened := &callChannel{ch: ch, waiters: make(map[string]chan<- amqp.Delivery)}
	if _, err := within(ctx, func() (struct{}, error) { return struct{}{}, opened.listen() }, func(struct{}) {}); err != nil {
		go ch.discard()
		return nil, unavailable(ch.reason(err), "listen for replies")
	}
	c.current = opened
	return opened, nil
}

var errNoQueue = errors.New("no queue takes the request")

// callChannel is a channel with the open requests on it.
type callChannel struct {
	ch *channel

	mu      sync.Mutex                      // guards the fields below
	last    uint64                          // the last correlation id
	waiters map[string]chan<- amqp.Delivery // by correlation id; a waiter is closed when its request is returned
}

// listen hands each reply and each returned request to the waiting call, until the channel ends.
func (c *callChannel) listen() error {
	replies, err := c.ch.Consume(replyQueue, "", true, false, false, false, nil)
	if err != nil {
		return err
	}
	returns := c.ch.NotifyReturn(make(chan amqp.Return, 1))
	go func() {
		for reply := range replies {
			if waiter := c.take(reply.CorrelationId); waiter != nil {
				waiter <- reply
			}
		}
	}()
	go func() {
		for returned := range returns {
			if waiter := c.take(returned.CorrelationId); waiter != nil {
				close(waiter)
			}
		}
	}()
	return nil
}

// roundTrip sends a request and waits for the reply.
func (c *callChannel) roundTrip(ctx context.Context, envelope Envelope) (amqp.Delivery, error) {
	id, replied := c.register()
	defer c.take(id)
	out := envelope.outgoing()
	out.publishing.ReplyTo, out.publishing.CorrelationId = replyQueue, id
	out.publishing.Expiration = expiration(ctx)
	_, err := within(ctx, func() (struct{}, error) {
		return struct{}{}, c.ch.PublishWithContext(ctx, out.exchange, out.key, true, false, out.publishing)
	}, func(struct{}) {})
	if err != nil {
		return amqp.Delivery{}, c.ch.reason(err)
	}
	select {
	case reply, open := <-replied:
		if !open {
			return amqp.Delivery{}, errNoQueue
		}
		return reply, nil
	case <-c.ch.done:
		return amqp.Delivery{}, c.ch.cause
	case <-ctx.Done():
		return amqp.Delivery{}, context.Cause(ctx)
	}
}

func (c *callChannel) register() (string, <-chan amqp.Delivery) {
	replied := make(chan amqp.Delivery, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	id := strconv.FormatUint(c.last, 10)
	c.waiters[id] = replied
	return id, replied
}

// take removes an open request and returns the channel of its waiting call, or nil if the request is not open.
func (c *callChannel) take(id string) chan<- amqp.Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiter := c.waiters[id]
	delete(c.waiters, id)
	return waiter
}

// expiration returns the time until the deadline in milliseconds, the unit of the broker.
func expiration(ctx context.Context) string {
	deadline, _ := ctx.Deadline()
	return strconv.FormatInt(max(1, time.Until(deadline).Milliseconds()), 10)
}
