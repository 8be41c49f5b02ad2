package rabbitmq_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

// TestPublisher_CancelWithoutSubscriber publishes a cancel request without a subscribed worker: the request must not
// block the row behind it.
func TestPublisher_CancelWithoutSubscriber(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cancelRow := attune.OutboxRow{ID: 1, RoutingKey: attune.KeyExecutionCancel, MessageID: "a", Body: []byte(`{}`)}
	createdRow := attune.OutboxRow{ID: 2, RoutingKey: attune.KeyEnforcementCreated, MessageID: "b", Body: []byte(`{"enforcement_id":1}`)}
	require.NoError(t, b.publisher.PublishRows(t.Context(), []attune.OutboxRow{cancelRow, createdRow}))
	require.Eventually(t, func() bool { // a busy broker may report an empty queue
		depth, err := rabbitmq.Inspect(t.Context(), b.conn, rabbitmq.QueueEnforcementCreated)
		return err == nil && depth.Ready == 1
	}, testTimeout, tick)

	lost := attune.OutboxRow{ID: 3, RoutingKey: "execution.requested.nowhere", MessageID: "c", Body: []byte(`{}`)}
	err := b.publisher.PublishRows(t.Context(), []attune.OutboxRow{cancelRow, lost})
	require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err), "any other unroutable message is an error")
}
