package rabbitmq_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

func TestConsumer_LostConnection(t *testing.T) {
	t.Parallel()

	t.Run("a late success acknowledges nothing on the new channel", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.publish(t, sequence(1, 5)...)
		address, proxy := b.throughProxy(t)
		lost, release := make(chan error), make(chan struct{})
		var calls atomic.Int64
		var handled record[attune.EnforcementID]
		b.consume(t, b.connect(t, address), 5, func(ctx context.Context, batch createdBatch) error {
			if calls.Add(1) <= 3 {
				lost <- nil
				<-ctx.Done()
				lost <- context.Cause(ctx)
				<-release
				return nil // late: the channel of these deliveries has ended
			}
			handled.add(ids(batch)...)
			return nil
		})
		for range 3 {
			require.NoError(t, receive(t, lost))
			proxy.Cut()
			require.Error(t, receive(t, lost), "the context of the handler has ended")
			release <- struct{}{}
		}
		require.ElementsMatch(t, sequence(1, 5), handled.requireLen(t, 5))
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 0)
	})

	t.Run("the standby consumer takes over", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		address, proxy := b.throughProxy(t)
		var first, second record[attune.EnforcementID]
		stop := b.consume(t, b.connect(t, address), 10, func(_ context.Context, batch createdBatch) error {
			first.add(ids(batch)...)
			return nil
		})
		b.publish(t, 1)
		first.requireLen(t, 1)
		b.consume(t, b.conn, 10, func(_ context.Context, batch createdBatch) error {
			second.add(ids(batch)...)
			return nil
		})
		b.requireLogged(t, "consuming", 2)
		for id := attune.EnforcementID(2); id <= 20; id++ {
			b.publish(t, id)
		}
		require.Equal(t, sequence(1, 20), first.requireLen(t, 20))
		require.Empty(t, second.all(), "one consumer at a time")

		proxy.Close()
		b.publish(t, sequence(21, 30)...)
		require.Eventually(t, func() bool { // the last messages may come again: their acknowledgement was on the way
			fresh := slices.DeleteFunc(second.all(), func(id attune.EnforcementID) bool { return id <= 20 })
			return slices.Equal(fresh, sequence(21, 30))
		}, testTimeout, tick, "want 21 to 30")
		stop()
	})

	t.Run("a stopped consumer returns the unhandled messages", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.publish(t, sequence(1, 5)...)
		entered := make(chan struct{}, 1)
		stop := b.consume(t, b.conn, 5, func(ctx context.Context, _ createdBatch) error {
			entered <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})
		receive(t, entered)
		stop()
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 5)
		b.requireDepth(t, rabbitmq.QueueDead, 0)
	})

	t.Run("a consumer waits for a missing queue", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.raw(t).QueueDelete(rabbitmq.QueueEnforcementCreated, false, false, false)
		require.NoError(t, err)
		var handled record[attune.EnforcementID]
		b.consume(t, b.conn, 5, func(_ context.Context, batch createdBatch) error {
			handled.add(ids(batch)...)
			return nil
		})
		b.declareAgain(t)
		b.publish(t, 1)
		handled.requireLen(t, 1)
	})

	t.Run("a consumer notices a deleted queue", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var handled record[attune.EnforcementID]
		b.consume(t, b.conn, 5, func(_ context.Context, batch createdBatch) error {
			handled.add(ids(batch)...)
			return nil
		})
		b.publish(t, 1)
		handled.requireLen(t, 1)
		_, err := b.raw(t).QueueDelete(rabbitmq.QueueEnforcementCreated, false, false, false)
		require.NoError(t, err)
		b.requireLogged(t, "stopped consuming", 1)
		b.declareAgain(t)
		b.publish(t, 2)
		require.Equal(t, sequence(1, 2), handled.requireLen(t, 2))
	})
}

// declareAgain declares a deleted queue. A busy broker that has not finished the deletion ends the connection with an
// internal error.
func (b *testBundle) declareAgain(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return rabbitmq.Declare(t.Context(), b.conn, topology(t)) == nil }, testTimeout, tick)
}
