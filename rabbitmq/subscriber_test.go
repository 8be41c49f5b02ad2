package rabbitmq_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

func TestSubscriber(t *testing.T) {
	t.Parallel()

	subscribe := func(t *testing.T, b *testBundle, conn *rabbitmq.Connection) *record[attune.ExecutionID] {
		t.Helper()
		var heard record[attune.ExecutionID]
		subscriber := rabbitmq.NewSubscriber(conn, attune.KeyExecutionCancel,
			func(_ context.Context, message attune.ExecutionCancelMessage) {
				heard.add(message.Execution)
				if message.Execution == 13 {
					panic("unlucky")
				}
			})
		b.run(t, subscriber.Run)
		return &heard
	}

	t.Run("each subscriber receives every message, after a panic too", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		one, two := subscribe(t, b, b.conn), subscribe(t, b, b.connect(t, b.url))
		b.requireLogged(t, "consuming", 2)
		b.publishRaw(t, attune.KeyExecutionCancel, "broken", `{`)
		require.NoError(t, b.publisher.Publish(t.Context(),
			attune.ExecutionCancelMessage{Execution: 1, Attempt: 1}, attune.ExecutionCancelMessage{Execution: 13, Attempt: 1},
			attune.ExecutionCancelMessage{Execution: 2, Attempt: 1}))
		require.Equal(t, []attune.ExecutionID{1, 13, 2}, one.requireLen(t, 3))
		require.Equal(t, []attune.ExecutionID{1, 13, 2}, two.requireLen(t, 3))
	})

	t.Run("a subscriber subscribes again on a new connection", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		address, proxy := b.throughProxy(t)
		heard := subscribe(t, b, b.connect(t, address))
		b.requireLogged(t, "consuming", 1)
		proxy.Cut()
		b.requireLogged(t, "consuming", 2)
		require.NoError(t, b.publisher.Publish(t.Context(), attune.ExecutionCancelMessage{Execution: 1, Attempt: 1}))
		require.Equal(t, []attune.ExecutionID{1}, heard.requireLen(t, 1))
	})

	t.Run("without a subscriber, publishing fails", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		err := b.publisher.Publish(t.Context(), attune.ExecutionCancelMessage{Execution: 1, Attempt: 1})
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.ErrorContains(t, err, `no queue takes "execution.cancel"`)
	})
}
