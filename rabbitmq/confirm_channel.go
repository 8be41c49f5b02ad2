package rabbitmq

import (
	"cmp"
	"context"
	"errors"

	amqp "github.com/rabbitmq/amqp091-go"
)

// confirmWindow bounds the unconfirmed messages on one channel. It is also the buffer for returned messages: the library
// drops a return that finds no room within 5 s.
const confirmWindow = 1024

var (
	errUnroutable = errors.New("no queue is bound with this routing key")
	errRefused    = errors.New("the broker refused the message")
)

// confirmChannel is a channel in confirm mode. One call at a time uses it.
//
// The broker sends the basic.return of a message before its basic.ack, and the library delivers both in that order. So
// when a message is confirmed, its return, if any, is already in returns.
type confirmChannel struct {
	conn    *Connection
	ch      *channel // nil before the first use and after a failure
	returns chan amqp.Return
}

// publish sends batch and waits for the confirmations. It returns the indexes of the unpublished messages, and why they
// were not published. After an error with open confirmations it drops the channel, so that the next call cannot receive
// those confirmations.
func (c *confirmChannel) publish(ctx context.Context, batch []outgoing) ([]int, error) {
	var unpublished []int
	for start := 0; start < len(batch); start += confirmWindow {
		window := batch[start:min(start+confirmWindow, len(batch))]
		failed, err := c.window(ctx, window)
		for _, i := range failed {
			unpublished = append(unpublished, start+i)
		}
		if err != nil && !errors.Is(err, errUnroutable) {
			for i := start + len(window); i < len(batch); i++ {
				unpublished = append(unpublished, i)
			}
			return unpublished, err
		}
	}
	if len(unpublished) > 0 {
		return unpublished, errUnroutable
	}
	return nil, nil
}

// window publishes one window of messages and returns the indexes of the unpublished ones.
func (c *confirmChannel) window(ctx context.Context, batch []outgoing) ([]int, error) {
	if err := c.open(ctx); err != nil {
		return everyIndex(batch), err
	}
	confirmations := make([]*amqp.DeferredConfirmation, 0, len(batch))
	var sendErr error
	for _, out := range batch {
		confirmation, err := c.ch.PublishWithDeferredConfirm(out.exchange, out.key, !out.optional, false, out.publishing)
		if err != nil {
			sendErr = err
			break
		}
		confirmations = append(confirmations, confirmation)
	}
	failed, waitErr := c.await(ctx, confirmations)
	for i := len(confirmations); i < len(batch); i++ {
		failed = append(failed, i)
	}
	returned := c.drain(batch)
	failed = append(failed, returned...)
	switch {
	case waitErr != nil || sendErr != nil:
		return failed, c.abandon(cmp.Or(waitErr, sendErr))
	case len(returned) > 0:
		return failed, errUnroutable
	}
	return nil, nil
}

// await waits for the confirmations. It returns the indexes of the unconfirmed messages, and why the first of them was
// not confirmed.
func (c *confirmChannel) await(ctx context.Context, confirmations []*amqp.DeferredConfirmation) ([]int, error) {
	var failed []int
	var reason error
	for i, confirmation := range confirmations {
		_, err := confirmation.WaitContext(ctx)
		if confirmation.Acked() {
			continue
		}
		if err != nil {
			err = context.Cause(ctx)
		}
		failed = append(failed, i)
		reason = cmp.Or(reason, err, errRefused)
	}
	return failed, reason
}

// drain returns the indexes of the messages that the broker returned. Returns come in the order of publishing, so drain
// finds each copy of a message at its own index.
func (c *confirmChannel) drain(batch []outgoing) []int {
	var indexes []int
	next := 0
	for len(c.returns) > 0 {
		returned := <-c.returns
		for i := next; i < len(batch); i++ {
			if batch[i].key == returned.RoutingKey && batch[i].publishing.MessageId == returned.MessageId {
				indexes, next = append(indexes, i), i+1
				break
			}
		}
	}
	return indexes
}

func (c *confirmChannel) open(ctx context.Context) error {
	if c.ch != nil && !c.ch.lost() {
		return nil
	}
	connectCtx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	ch, err := c.conn.openAfter(connectCtx, ctx)
	if err != nil {
		return err
	}
	_, err = within(ctx, func() (struct{}, error) { return struct{}{}, ch.Confirm(false) }, func(struct{}) {})
	if err != nil {
		go ch.discard()
		return unavailable(err, "ask for publisher confirms")
	}
	c.ch, c.returns = ch, ch.NotifyReturn(make(chan amqp.Return, confirmWindow))
	return nil
}

// abandon drops the channel and returns the cause of the failure. When a channel ends, the library counts all open
// confirmations as refused, so the reason of the channel's end explains more than err.
func (c *confirmChannel) abandon(err error) error {
	err = c.ch.reason(err)
	go c.ch.discard()
	c.ch = nil
	return err
}
