package rabbitmq

import (
	"context"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// closeTimeout bounds the wait for the broker's reply to a close. The broker does not reply on a connection that it has
// blocked until its alarm is over.
const closeTimeout = 5 * time.Second

// channel is an AMQP channel that reports its end. One goroutine at a time uses a channel, except for acknowledgements. A
// channel is never reopened.
type channel struct {
	*amqp.Channel
	done  chan struct{} // closed when the channel has ended
	cause error         // why the channel has ended; written before done is closed, read after
}

func openChannel(ctx context.Context, link *amqp.Connection) (*channel, error) {
	return within(ctx, func() (*channel, error) {
		opened, err := link.Channel()
		if err != nil {
			return nil, err
		}
		closed := opened.NotifyClose(make(chan *amqp.Error, 1))
		c := &channel{Channel: opened, done: make(chan struct{})}
		go func() {
			c.cause = reasonOf(<-closed)
			close(c.done)
		}()
		return c, nil
	}, func(late *channel) { _ = late.Close() })
}

// lost reports whether the channel has ended.
func (c *channel) lost() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// reason returns why the channel has ended, or fallback if the channel is open. The library reports the end of a channel
// with various errors, some of them before the reason is known.
func (c *channel) reason(fallback error) error {
	if !c.IsClosed() {
		return fallback
	}
	<-c.done
	return c.cause
}

// bind returns a context that ends with ctx or with the channel, whichever ends first.
func (c *channel) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	bound, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-c.done:
			cancel(c.cause)
		case <-bound.Done():
		}
	}()
	return bound, func() { cancel(context.Canceled) }
}

// discard closes the channel and waits for the broker's reply, for closeTimeout at most. When the broker replies, it has
// requeued the unsettled deliveries. A close without a reply takes effect when the connection ends.
func (c *channel) discard() {
	closed := make(chan struct{})
	go func() {
		_ = c.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
	}
}
