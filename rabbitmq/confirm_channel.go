package rabbitmq

import (
	"cmp"
	"context"
	"errors"

	amqp "github.com/rabbitmq/amqp091-go"
)

// confirmWindow is how many messages are on their way on one channel at most. It is also the room for returned ones: the library
// drops a return that finds no room for 5 s.
const confirmWindow = 1024

var (
	errUnroutable = errors.New("no queue is bound with this routing key")
	errRefused    = errors.New("the broker refused the message")
)

// confirmChannel is a channel in confirm mode. It belongs to one call at a time.
//
// The broker sends a basic.return before the basic.ack of the same message, and the library hands both on in that order:
// when a message is confirmed, its return, if there is one, is already in returns.
type confirmChannel struct {
	conn    *Connection
	ch      *channel // nil before the first use and after a failure
	returns chan amqp.Return
}

// publish sends batch and waits. It returns the places of the messages that were not published, and why. After an error
// that leaves confirmations open the channel is given up, so that the next call cannot meet them.
func (l *confirmChannel) publish(ctx context.Context, batch []outgoing) ([]int, error) {
	var returned []int
	for start := 0; start < len(batch); start += confirmWindow {
		window := batch[start:min(start+confirmWindow, len(batch))]
		failed, err := l.window(ctx, window)
		for _, i := range failed {
			returned = append(returned, start+i)
		}
		if err != nil && !errors.Is(err, errUnroutable) {
			for i := start + len(window); i < len(batch); i++ {
				returned = append(returned, i)
			}
			return returned, err
		}
	}
	if len(returned) > 0 {
		return returned, errUnroutable
	}
	return nil, nil
}

func (l *confirmChannel) window(ctx context.Context, batch []outgoing) ([]int, error) {
	if err := l.open(ctx); err != nil {
		return everyIndex(batch), err
	}
	confirmations := make([]*amqp.DeferredConfirmation, 0, len(batch))
	var sendErr error
	for _, out := range batch {
		confirmation, err := l.ch.PublishWithDeferredConfirm(out.exchange, out.key, !out.optional, false, out.publishing)
		if err != nil {
			sendErr = err
			break
		}
		confirmations = append(confirmations, confirmation)
	}
	failed, waitErr := l.await(ctx, confirmations)
	for i := len(confirmations); i < len(batch); i++ {
		failed = append(failed, i)
	}
	returned := l.drain(batch)
	failed = append(failed, returned...)
	switch {
	case waitErr != nil || sendErr != nil:
		return failed, l.abandon(cmp.Or(waitErr, sendErr))
	case len(returned) > 0:
		return failed, errUnroutable
	}
	return nil, nil
}

// await returns the places of the messages that were not confirmed, and why the first of them was not.
func (l *confirmChannel) await(ctx context.Context, confirmations []*amqp.DeferredConfirmation) ([]int, error) {
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

// drain takes the returned messages among the confirmed ones of batch. Returns come in the order of publishing, so that copies of
// a message find their places.
func (l *confirmChannel) drain(batch []outgoing) []int {
	var places []int
	next := 0
	for len(l.returns) > 0 {
		returned := <-l.returns
		for i := next; i < len(batch); i++ {
			if batch[i].key == returned.RoutingKey && batch[i].publishing.MessageId == returned.MessageId {
				places, next = append(places, i), i+1
				break
			}
		}
	}
	return places
}

func (l *confirmChannel) open(ctx context.Context) error {
	if l.ch != nil && !l.ch.lost() {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	ch, err := l.conn.openAfter(waiting, ctx)
	if err != nil {
		return err
	}
	_, err = within(ctx, func() (struct{}, error) { return struct{}{}, ch.Confirm(false) }, func(struct{}) {})
	if err != nil {
		go ch.discard()
		return unavailable(err, "ask for publisher confirms")
	}
	l.ch, l.returns = ch, ch.NotifyReturn(make(chan amqp.Return, confirmWindow))
	return nil
}

// abandon gives up the channel and returns why: when the channel ends, the library counts everything open as refused, so
// its end explains more than err.
func (l *confirmChannel) abandon(err error) error {
	err = l.ch.reason(err)
	go l.ch.discard()
	l.ch = nil
	return err
}
