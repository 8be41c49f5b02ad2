package rabbitmq

import (
	"context"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// closePatience bounds the wait for the broker's answer to a close. A connection that the broker has blocked does not
// answer until its alarm is over.
const closePatience = 5 * time.Second

// channel is an AMQP channel that says when it is gone. It is used by one goroutine at a time, apart from
// acknowledgements, and never reopened.
type channel struct {
	*amqp.Channel
	gone chan struct{} // closed when the channel is
	why  error         // set before that
}

func openChannel(ctx context.Context, link *amqp.Connection) (*channel, error) {
	return within(ctx, func() (*channel, error) {
		opened, err := link.Channel()
		if err != nil {
			return nil, err
		}
		closed := opened.NotifyClose(make(chan *amqp.Error, 1))
		c := &channel{Channel: opened, gone: make(chan struct{})}
		go func() {
			c.why = reasonOf(<-closed)
			close(c.gone)
		}()
		return c, nil
	}, func(late *channel) { _ = late.Close() })
}

// lost reports whether the channel is gone.
func (c *channel) lost() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// reason returns why the channel is gone, or otherwise if it is not. The library reports an end in many ways, some of them
// before the reason is known.
func (c *channel) reason(otherwise error) error {
	if !c.IsClosed() {
		return otherwise
	}
	<-c.gone
	return c.why
}

// bind returns a context that ends with ctx or with the channel, whichever is first.
func (c *channel) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	bound, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-c.gone:
			cancel(c.why)
		case <-bound.Done():
		}
	}()
	return bound, func() { cancel(context.Canceled) }
}

// discard closes the channel. It waits for the broker, which has requeued what was not settled when it answers, but not
// for ever: a close that gets no answer ends with the connection.
func (c *channel) discard() {
	closed := make(chan struct{})
	go func() {
		_ = c.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closePatience):
	}
}
