package rabbitmq

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
)

// Declare creates the missing parts of topology and leaves the existing ones alone, so every process may declare the
// parts that it needs. An existing exchange or queue with other settings is [attune.CodeConflict]; the message names it
// and the remedy. The connection repeats the declaration on every new link, because a broker may come back without its
// queues.
func Declare(ctx context.Context, conn *Connection, topology Topology) error {
	link, err := conn.wait(ctx)
	if err != nil {
		return err
	}
	if err := declare(ctx, link, topology); err != nil {
		return err
	}
	conn.mu.Lock()
	defer conn.mu.Unlock()
	conn.declared = append(conn.declared, topology)
	return nil
}

func (c *Connection) redeclare(ctx context.Context, link *amqp.Connection) error {
	c.mu.Lock()
	declared := c.declared
	c.mu.Unlock()
	for _, topology := range declared {
		if err := declare(ctx, link, topology); err != nil {
			return err
		}
	}
	return nil
}

func declare(ctx context.Context, link *amqp.Connection, topology Topology) error {
	ch, err := openChannel(ctx, link)
	if err != nil {
		return unavailable(err, "declare the broker topology")
	}
	defer ch.discard()
	_, err = within(ctx, func() (struct{}, error) { return struct{}{}, ch.declare(topology) }, func(struct{}) {})
	return err
}

func (c *channel) declare(topology Topology) error {
	for _, e := range topology.Exchanges {
		if err := c.ExchangeDeclare(e.Name, e.Kind, true, false, false, false, nil); err != nil {
			return declareError(err, fmt.Sprintf("exchange %q", e.Name))
		}
	}
	for _, q := range topology.Queues {
		if _, err := c.QueueDeclare(q.Name, true, false, false, false, amqp.Table(q.Arguments)); err != nil {
			return declareError(err, fmt.Sprintf("queue %q", q.Name))
		}
	}
	for _, b := range topology.Bindings {
		if err := c.QueueBind(b.Queue, b.Key, b.Exchange, false, nil); err != nil {
			return declareError(err, fmt.Sprintf("binding of queue %q to exchange %q", b.Queue, b.Exchange))
		}
	}
	return nil
}

func declareError(err error, what string) error {
	if replyCode(err) == amqp.PreconditionFailed {
		return attune.WrapError(attune.CodeConflict, err,
			"%s exists on the broker with other settings: wait until it is empty, delete it, and start again", what)
	}
	return unavailable(err, "declare %s", what)
}

// Depth is the number of messages and consumers of a queue.
type Depth struct {
	Ready     int // messages that wait for a consumer
	Consumers int // active ones; standby consumers of a single-active-consumer queue may not count
}

// inspections is how often [Inspect] asks for the depth of a queue that seems empty and without consumers. A broker
// reports a queue like that when the queue is too busy to answer within 250 ms.
const inspections = 3

// Inspect returns the depth of a queue. An unknown queue is [attune.CodeNotFound].
func Inspect(ctx context.Context, conn *Connection, queue string) (Depth, error) {
	ch, err := conn.open(ctx)
	if err != nil {
		return Depth{}, err
	}
	defer ch.discard()
	var depth Depth
	for range inspections {
		found, err := within(ctx, func() (amqp.Queue, error) {
			return ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		}, func(amqp.Queue) {})
		switch {
		case replyCode(err) == amqp.NotFound:
			return Depth{}, attune.WrapError(attune.CodeNotFound, err, "queue %q does not exist", queue)
		case err != nil:
			return Depth{}, unavailable(err, "inspect queue %q", queue)
		}
		if depth = (Depth{Ready: found.Messages, Consumers: found.Consumers}); depth != (Depth{}) {
			break
		}
	}
	return depth, nil
}
