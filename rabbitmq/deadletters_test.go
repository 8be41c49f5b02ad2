package rabbitmq_test

import (
	"context"
	"sync/atomic"
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
		require.NoError(t, b.publisher.Publish(t.Context(), attune.ExecutionCompletedMessage{Execution: 1, Attempt: 1}))
		b.request(t, 2, 2)
		for i, queue := range []string{rabbitmq.QueueExecutionCompleted, poolQueue} {
			delivery, found, err := raw.Get(queue, false)
			require.NoError(t, err)
			require.True(t, found)
			require.NoError(t, delivery.Reject(false))
			b.requireDepth(t, rabbitmq.QueueDead, i+1) // each queue moves its own in its own time
		}
		letters := b.deadLetters(t, 2)
		require.Equal(t, "execution.completed", letters[0].RoutingKey)
		require.Equal(t, "execution.requested.default", letters[1].RoutingKey)
	})

	t.Run("are looked at in place", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.publishRaw(t, attune.KeyEnforcementCreated, "broken", `{`)
		b.consume(t, b.conn, 5, func(context.Context, createdBatch) error { return nil })
		for range 30 { // more often than RabbitMQ 4 delivers a message by default
			require.Len(t, b.deadLetters(t, 1), 1)
		}
	})

	t.Run("are replayed with the key they had", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var repaired atomic.Bool
		var handled record[attune.EnforcementID]
		b.consume(t, b.conn, 5, func(_ context.Context, batch createdBatch) error {
			if !repaired.Load() {
				return attune.Errorf(attune.CodeInternal, "a bug")
			}
			handled.add(ids(batch)...)
			return nil
		})
		b.publish(t, 1, 2, 3) // through the retry queue, where routing keys are lost
		b.requireDepth(t, rabbitmq.QueueDead, 3)
		repaired.Store(true)
		count, err := rabbitmq.Replay(t.Context(), b.conn, b.publisher, 2)
		require.NoError(t, err)
		require.Equal(t, 2, count)
		handled.requireLen(t, 2)
		count, err = rabbitmq.Replay(t.Context(), b.conn, b.publisher, 100)
		require.NoError(t, err)
		require.Equal(t, 1, count)
		require.ElementsMatch(t, sequence(1, 3), handled.requireLen(t, 3))
		b.requireDepth(t, rabbitmq.QueueDead, 0)
	})

	t.Run("are not replayed in a circle", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.publishRaw(t, attune.KeyEnforcementCreated, "broken", `{`)
		b.consume(t, b.conn, 5, func(context.Context, createdBatch) error { return nil })
		b.requireDepth(t, rabbitmq.QueueDead, 1)
		count, err := rabbitmq.Replay(t.Context(), b.conn, b.publisher, 100)
		require.NoError(t, err)
		require.Equal(t, 1, count)
		b.requireDepth(t, rabbitmq.QueueDead, 1)
	})

	t.Run("stay when nobody takes them", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		taker := rabbitmq.NewTaker[requested](b.conn, poolQueue)
		b.request(t, 1, 1)
		require.NoError(t, take(t, taker).Reject(false))
		b.requireDepth(t, rabbitmq.QueueDead, 1)
		require.NoError(t, b.raw(t).QueueUnbind(poolQueue, "execution.requested.default", rabbitmq.Exchange, nil))
		count, err := rabbitmq.Replay(t.Context(), b.conn, b.publisher, 100)
		require.Zero(t, count)
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.ErrorContains(t, err, `replay message "execution/1/1/requested"`)
		b.deadLetters(t, 1)
	})
}
