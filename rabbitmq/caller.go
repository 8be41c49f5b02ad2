package rabbitmq

import (
	"cmp"
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
	// maxReplies bounds the replies to one request that wait for their caller. The broker may deliver more, and they are dropped.
	maxReplies = 8
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
	var failure error
	err := c.Ask(ctx, request, func(body []byte, err error) bool {
		if failure = err; failure == nil {
			failure = readReply(body, reply)
		}
		return true
	})
	return cmp.Or(err, failure)
}

// Ask is [Caller.Call] for a caller that does not believe every reply. It passes each reply to accept, or the error of an error reply, and
// returns nil when accept returns true: until then it waits for another reply.
func (c *Caller) Ask(ctx context.Context, request attune.Message, accept func(body []byte, err error) bool) error {
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
	if err := calls.roundTrip(ctx, envelope, func(d amqp.Delivery) bool { return accept(d.Body, errorOf(d)) }); err != nil {
		return unavailable(err, "no reply to %q (message %q)", envelope.RoutingKey, envelope.MessageID)
	}
	return nil
}

// errorOf returns the error of an error reply, and nil for another reply.
func errorOf(reply amqp.Delivery) error {
	code, failed := reply.Headers[HeaderReason].(string)
	if !failed {
		return nil
	}
	text, _ := reply.Headers[HeaderError].(string)
	return attune.Errorf(attune.Code(code), "%s", text)
}

func readReply(body []byte, reply any) error {
	if err := json.Unmarshal(body, reply); err != nil {
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
	opened := &callChannel{ch: ch, waiters: make(map[string]waiter)}
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

	mu      sync.Mutex        // guards the fields below
	last    uint64            // the last correlation id
	waiters map[string]waiter // by correlation id
}

// waiter is a call that waits for its reply.
type waiter struct {
	replies  chan amqp.Delivery
	returned chan struct{} // has an element when no queue takes the request
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
			if waiter, waits := c.waiter(reply.CorrelationId); waits {
				select {
				case waiter.replies <- reply:
				default: // too many replies: at most one of them is right
				}
			}
		}
	}()
	go func() {
		for returned := range returns {
			if waiter, waits := c.waiter(returned.CorrelationId); waits {
				select {
				case waiter.returned <- struct{}{}:
				default:
				}
			}
		}
	}()
	return nil
}

// roundTrip sends a request and waits for a reply that accept takes.
func (c *callChannel) roundTrip(ctx context.Context, envelope Envelope, accept func(amqp.Delivery) bool) error {
	id, waiter := c.register()
	defer c.remove(id)
	out := envelope.outgoing()
	out.publishing.ReplyTo, out.publishing.CorrelationId = replyQueue, id
	out.publishing.Expiration = expiration(ctx)
	_, err := within(ctx, func() (struct{}, error) {
		return struct{}{}, c.ch.PublishWithContext(ctx, out.exchange, out.key, true, false, out.publishing)
	}, func(struct{}) {})
	if err != nil {
		return c.ch.reason(err)
	}
	for {
		select {
		case reply := <-waiter.replies:
			if accept(reply) {
				return nil
			}
		case <-waiter.returned:
			return errNoQueue
		case <-c.ch.done:
			return c.ch.cause
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *callChannel) register() (string, waiter) {
	w := waiter{replies: make(chan amqp.Delivery, maxReplies), returned: make(chan struct{}, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	id := strconv.FormatUint(c.last, 10)
	c.waiters[id] = w
	return id, w
}

// waiter returns the call that waits for the reply to a request.
func (c *callChannel) waiter(id string) (waiter, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, waits := c.waiters[id]
	return w, waits
}

func (c *callChannel) remove(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiters, id)
}

// expiration returns the time until the deadline in milliseconds, the unit of the broker.
func expiration(ctx context.Context) string {
	deadline, _ := ctx.Deadline()
	return strconv.FormatInt(max(1, time.Until(deadline).Milliseconds()), 10)
}
