package rabbitmq_test

import (
	"context"
	"errors"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

// TestArrived receives reports of workers that lie about their routing key.
func TestArrived(t *testing.T) {
	t.Parallel()
	const mine, other = attune.KeyExecutionCompleted + ".gpu", attune.KeyExecutionCompleted + ".default"
	b := setup(t)
	var seen record[string]
	b.run(t, rabbitmq.NewConsumer(b.conn, rabbitmq.ConsumerConfig{Queue: rabbitmq.QueueExecutionCompleted, Publisher: b.publisher},
		func(_ context.Context, batch []attune.Signed[attune.ExecutionCompletedMessage]) error {
			for _, signed := range batch {
				seen.add(signed.RoutingKey())
			}
			switch len(seen.all()) {
			case 1:
				return errors.New("for the retry queue")
			case 2:
				return attune.Errorf(attune.CodeInvalid, "for the dead-letter queue")
			default:
				return nil
			}
		}).Run)
	conn, err := amqp.Dial(asUser(t, b.url, poolWorker(t)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	send := func(headers amqp.Table) {
		ch, err := conn.Channel()
		require.NoError(t, err)
		require.NoError(t, ch.PublishWithContext(t.Context(), rabbitmq.WorkersExchange, mine, false, false,
			amqp.Publishing{MessageId: "m", Body: []byte(`{}`), Headers: headers}))
	}

	send(amqp.Table{rabbitmq.HeaderRoutingKey: other})
	require.Equal(t, mine, seen.requireLen(t, 1)[0], "a header of the sender does not count")
	require.Equal(t, mine, seen.requireLen(t, 2)[1], "the key is kept over a retry")
	require.Equal(t, mine, b.deadLetters(t, 1)[0].RoutingKey)
	for _, header := range []string{"CC", "BCC"} { // the broker sends a copy for each key in these headers
		send(amqp.Table{header: []any{other}})
	}
	for _, key := range seen.requireLen(t, 3)[2:] {
		require.Equal(t, mine, key)
	}
}

// TestArrived_DeadLettered receives a report that another queue has dead-lettered with the routing key of another pool.
func TestArrived_DeadLettered(t *testing.T) {
	t.Parallel()
	const other = attune.KeyExecutionCompleted + ".default"
	b := setup(t)
	keys := make(chan string, 10)
	b.run(t, rabbitmq.NewConsumer(b.conn, rabbitmq.ConsumerConfig{Queue: rabbitmq.QueueExecutionCompleted, Publisher: b.publisher},
		func(_ context.Context, batch []attune.Signed[attune.ExecutionCompletedMessage]) error {
			for _, signed := range batch {
				keys <- signed.RoutingKey()
			}
			return errors.New("for the retry queue")
		}).Run)
	conn, err := amqp.Dial(asUser(t, b.url, poolWorker(t)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	own, err := ch.QueueDeclare("", false, true, true, false, amqp.Table{
		"x-dead-letter-exchange": rabbitmq.WorkersExchange, "x-dead-letter-routing-key": other, "x-message-ttl": int32(0),
	})
	require.NoError(t, err)
	require.NoError(t, ch.QueueBind(own.Name, attune.KeyExecutionCancel, rabbitmq.Exchange, false, nil))

	require.NoError(t, b.raw(t).PublishWithContext(t.Context(), rabbitmq.Exchange, attune.KeyExecutionCancel, false, false,
		amqp.Publishing{Body: []byte(`{}`)}))
	require.Empty(t, receive(t, keys), "the broker has checked no right for this key")
	require.Equal(t, rabbitmq.QueueExecutionCompleted, receive(t, keys), "a retry does not make the key a right one")
}
