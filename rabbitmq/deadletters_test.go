package rabbitmq_test

import (
	"context"
	"strconv"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

func TestDeadLetters(t *testing.T) {
	t.Parallel()

	t.Run("a rejected message arrives whatever its routing key", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		raw := b.raw(t)
		require.NoError(t, b.publisher.Publish(t.Context(), attune.ExecutionCompletedMessage{Execution: 1, Attempt: 1, Pool: "gpu"}))
		b.request(t, 2, 2)
		for i, queue := range []string{rabbitmq.QueueExecutionCompleted, poolQueue} {
			delivery, found, err := raw.Get(queue, false)
			require.NoError(t, err)
			require.True(t, found)
			require.NoError(t, delivery.Reject(false))
			b.requireDepth(t, rabbitmq.QueueDead, i+1) // each queue dead-letters independently
		}
		letters := b.deadLetters(t, 2)
		require.Equal(t, "execution.completed.gpu", letters[0].RoutingKey)
		require.Equal(t, "execution.requested.default", letters[1].RoutingKey)
	})

	t.Run("dead letters are read in place", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.publishRaw(t, attune.KeyEnforcementCreated, "broken", `{`)
		b.consume(t, b.conn, 5, func(context.Context, createdBatch) error { return nil })
		for range 30 { // more often than RabbitMQ 4 delivers a message by default
			require.Len(t, b.deadLetters(t, 1), 1)
		}
	})
}

// TestDeadLetters_Bounded writes more dead letters than the queue keeps.
func TestDeadLetters_Bounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	raw := b.raw(t)
	require.NoError(t, raw.Confirm(false))
	const more = 500
	var last *amqp.DeferredConfirmation
	for i := range rabbitmq.MaxDeadLetters + more {
		confirm, err := raw.PublishWithDeferredConfirm(rabbitmq.DeadExchange, attune.KeyExecutionEnded, true, false,
			amqp.Publishing{MessageId: strconv.Itoa(i), Body: []byte(`{}`)})
		require.NoError(t, err)
		last = confirm
	}
	acknowledged, err := last.WaitContext(deadline(t))
	require.NoError(t, err)
	require.True(t, acknowledged)
	b.requireDepth(t, rabbitmq.QueueDead, rabbitmq.MaxDeadLetters)
	letters, err := rabbitmq.DeadLetters(t.Context(), b.conn, 1)
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(more), letters[0].MessageID, "the oldest ones are dropped")
}
