package rabbitmq_test

import (
	"context"
	"testing"

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
