package fxmodules

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/rabbitmq"
)

// patience is the deadline of everything a test waits for.
const patience = 2 * time.Minute

const tick = 20 * time.Millisecond

func TestMain(m *testing.M) { testenv.Main(m) }

// TestPublisher_CancelThatNobodyHears must not stop the outbox: no worker is subscribed, and the row behind it goes out.
func TestPublisher_CancelThatNobodyHears(t *testing.T) {
	t.Parallel()
	conn := rabbitmq.NewConnection(rabbitmq.Config{URL: testenv.AMQP(t), Name: "test", Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- conn.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	require.NoError(t, conn.WaitReady(t.Context()))
	topology, err := rabbitmq.NewTopology()
	require.NoError(t, err)
	require.NoError(t, rabbitmq.Declare(t.Context(), conn, topology))
	p := newPublisher(brokers{consume: conn, publish: conn})

	cancelRow := attune.OutboxRow{ID: 1, RoutingKey: attune.KeyExecutionCancel, MessageID: "a", Body: []byte(`{}`)}
	createdRow := attune.OutboxRow{ID: 2, RoutingKey: attune.KeyEnforcementCreated, MessageID: "b", Body: []byte(`{"enforcement_id":1}`)}
	require.NoError(t, p.PublishRows(t.Context(), []attune.OutboxRow{cancelRow, createdRow}))
	require.Eventually(t, func() bool { // a busy broker may say that there is none
		depth, err := rabbitmq.Inspect(t.Context(), conn, rabbitmq.QueueEnforcementCreated)
		return err == nil && depth.Ready == 1
	}, patience, tick)

	lost := attune.OutboxRow{ID: 3, RoutingKey: "execution.requested.nowhere", MessageID: "c", Body: []byte(`{}`)}
	err = p.PublishRows(t.Context(), []attune.OutboxRow{cancelRow, lost})
	require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err), "anything else that nobody takes is an error")
}
