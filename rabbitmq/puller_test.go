package rabbitmq_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

type requested = attune.ExecutionRequestedMessage

var poolQueue = rabbitmq.QueueExecutionRequested("default")

func (b *testBundle) request(t *testing.T, from, to int) {
	t.Helper()
	var messages []attune.Message
	for id := from; id <= to; id++ {
		messages = append(messages, requested{Execution: attune.ExecutionID(id), Attempt: 1, Pool: "default"})
	}
	require.NoError(t, b.publisher.Publish(t.Context(), messages...))
}

func pull(t *testing.T, puller *rabbitmq.Puller[requested]) rabbitmq.Delivery[requested] {
	t.Helper()
	delivery, err := puller.Pull(deadline(t))
	require.NoError(t, err)
	return delivery
}

func TestPuller(t *testing.T) {
	t.Parallel()

	t.Run("a puller takes one message per Pull", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		busy := rabbitmq.NewPuller[requested](b.conn, poolQueue)
		other := rabbitmq.NewPuller[requested](b.connect(t, b.url), poolQueue)
		b.request(t, 1, 5)
		first, second := pull(t, busy), pull(t, busy)
		b.requireDepth(t, poolQueue, 3) // a full worker takes no more
		require.NoError(t, first.Ack())
		b.requireDepth(t, poolQueue, 3) // the same after the acknowledgement
		rest := []attune.ExecutionID{}
		for range 3 {
			delivery := pull(t, other)
			rest = append(rest, delivery.Message.Execution)
			require.NoError(t, delivery.Ack())
		}
		require.Equal(t, []attune.ExecutionID{1, 2}, []attune.ExecutionID{first.Message.Execution, second.Message.Execution})
		require.Equal(t, []attune.ExecutionID{3, 4, 5}, rest)
		require.NoError(t, second.Ack())
	})

	t.Run("a Pull waits for a message", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		puller := rabbitmq.NewPuller[requested](b.conn, poolQueue)
		taken := make(chan rabbitmq.Delivery[requested])
		go func() {
			delivery, _ := puller.Pull(t.Context())
			taken <- delivery
		}()
		b.request(t, 1, 1)
		require.NoError(t, receive(t, taken).Ack())
		b.requireDepth(t, poolQueue, 0)
	})

	t.Run("each of many concurrent Pulls gets its own message", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		puller := rabbitmq.NewPuller[requested](b.conn, poolQueue)
		var got record[attune.ExecutionID]
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 25 {
					delivery, err := puller.Pull(deadline(t))
					if err != nil || delivery.Ack() != nil {
						return
					}
					got.add(delivery.Message.Execution)
				}
			})
		}
		b.request(t, 1, 200)
		wg.Wait()
		ids := got.all()
		slices.Sort(ids)
		require.Len(t, ids, 200)
		require.Len(t, slices.Compact(ids), 200, "each message once")
		b.requireDepth(t, poolQueue, 0)
	})

	t.Run("a message for an ended Pull returns to the queue", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		fickle := rabbitmq.NewPuller[requested](b.conn, poolQueue)
		other := rabbitmq.NewPuller[requested](b.connect(t, b.url), poolQueue)
		for id := range 30 {
			ctx, cancel := context.WithCancel(t.Context())
			outcome := make(chan error)
			go func() {
				delivery, err := fickle.Pull(ctx)
				if err == nil {
					err = delivery.Reject(true)
				}
				outcome <- err
			}()
			b.request(t, id, id) // confirmed: on its way to the waiting Pull
			cancel()
			if err := receive(t, outcome); err != nil {
				require.ErrorIs(t, err, context.Canceled)
			}
			delivery := pull(t, other)
			require.Equal(t, attune.ExecutionID(id), delivery.Message.Execution)
			require.NoError(t, delivery.Ack())
		}
		b.requireDepth(t, poolQueue, 0)
	})

	t.Run("a second settlement is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		puller := rabbitmq.NewPuller[requested](b.conn, poolQueue)
		b.request(t, 1, 2)
		first := pull(t, puller)
		require.NoError(t, first.Ack())
		require.Equal(t, attune.CodeConflict, attune.CodeOf(first.Ack()))
		require.Equal(t, attune.CodeConflict, attune.CodeOf(first.Reject(true)))
		require.NoError(t, pull(t, puller).Ack(), "the channel survives")
		b.requireDepth(t, poolQueue, 0)
	})

	t.Run("a rejected message returns to the queue or becomes a dead letter", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		puller := rabbitmq.NewPuller[requested](b.conn, poolQueue)
		b.request(t, 1, 1)
		first := pull(t, puller)
		require.NoError(t, first.Reject(true))
		again := pull(t, puller)
		require.Equal(t, first.Message, again.Message)
		require.NoError(t, again.Reject(false))
		letter := b.deadLetters(t, 1)[0]
		require.Equal(t, "execution.requested.default", letter.RoutingKey)
		require.Equal(t, poolQueue, letter.Queue)
		require.Equal(t, "rejected", letter.Reason)
		require.Equal(t, "execution/1/1/requested", letter.MessageID)
		require.False(t, letter.FailedAt.IsZero())
	})

	t.Run("an unreadable message becomes a dead letter", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		puller := rabbitmq.NewPuller[requested](b.conn, poolQueue)
		b.publishRaw(t, "execution.requested.default", "broken", `[]`)
		b.request(t, 2, 2)
		delivery := pull(t, puller)
		require.Equal(t, attune.ExecutionID(2), delivery.Message.Execution)
		require.NoError(t, delivery.Ack())
		require.Equal(t, "broken", b.deadLetters(t, 1)[0].MessageID)
	})

	t.Run("a late acknowledgement reaches no other delivery", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		address, proxy := b.throughProxy(t)
		puller := rabbitmq.NewPuller[requested](b.connect(t, address), poolQueue)
		b.request(t, 1, 1)
		late := pull(t, puller)
		proxy.Cut()
		again := pull(t, puller) // the same delivery tag on the new channel
		require.Equal(t, late.Message, again.Message)
		err := late.Ack()
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.ErrorContains(t, err, `acknowledge message "execution/1/1/requested": it will be delivered again`)
		proxy.Cut()
		last := pull(t, puller)
		require.Equal(t, late.Message, last.Message, "the message is still unacknowledged")
		require.NoError(t, last.Ack())
		b.requireDepth(t, poolQueue, 0)
	})

	t.Run("a Pull returns when its context ends, connected or not", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for name, conn := range map[string]*rabbitmq.Connection{
			"connected": b.conn, "not connected": rabbitmq.NewConnection(rabbitmq.Config{URL: "amqp://127.0.0.1:1/"}),
		} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), quickRetry, errors.New("draining"))
			_, err := rabbitmq.NewPuller[requested](conn, poolQueue).Pull(ctx)
			cancel()
			require.EqualError(t, err, "draining", name)
		}
	})
}
