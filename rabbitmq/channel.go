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
	life context.Context // ends, with the reason as its cause, when the channel does
}

func openChannel(ctx context.Context, link *amqp.Connection) (*channel, error) {
	return within(ctx, func() (*channel, error) {
		opened, err := link.Channel()
		if err != nil {
			return nil, err
		}
		closed := opened.NotifyClose(make(chan *amqp.Error, 1))
		life, end := context.WithCancelCause(context.Background())
		go func() { end(reasonOf(<-closed)) }()
		return &channel{Channel: opened, life: life}, nil
	}, func(late *channel) { _ = late.Close() })
}

// bind returns a context that ends with ctx or with the channel, whichever is first.
func (c *channel) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	bound, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(context.Cause(c.life)) })
	return bound, func() {
		stop()
		cancel(context.Canceled)
	}
}

// reason returns why the channel ended, or otherwise if it lives. The library reports an end in many ways, some of them
// before the reason is known.
func (c *channel) reason(otherwise error) error {
	if !c.IsClosed() {
		return otherwise
	}
	<-c.life.Done()
	return context.Cause(c.life)
}

// discard closes the channel. It waits for the broker, which has requeued what was not settled when it answers, but not
// for ever: a close that gets no answer ends with the connection.
func (c *channel) discard() {
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	_, _ = within(ctx, func() (struct{}, error) { return struct{}{}, c.Close() }, func(struct{}) {})
}
