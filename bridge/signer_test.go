package bridge_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
)

// TestRelay_SignsCancels relays cancels, which the outbox has without a signature.
func TestRelay_SignsCancels(t *testing.T) {
	t.Parallel()
	message := attune.ExecutionCancelMessage{Installation: "i", Execution: 7, Attempt: 1}
	body, err := json.Marshal(message)
	require.NoError(t, err)
	outbox := &fakeOutbox{fail: func(int) error { return nil }, rows: []attune.OutboxRow{
		{ID: 1, RoutingKey: attune.KeyEnforcementCreated, Body: []byte(`{"enforcement_id":1}`)},
		{ID: 2, RoutingKey: attune.KeyExecutionCancel, MessageID: message.MessageID(), Body: body},
		{ID: 3, RoutingKey: attune.KeyExecutionCancel, Body: []byte(`[]`)},
	}}
	key := newBridgeKey(t)
	ctx, stop := context.WithCancel(t.Context())
	var published []attune.OutboxRow
	relay := bridge.NewRelay(outbox, rowPublisherFunc(func(rows []attune.OutboxRow) error {
		published = rows
		stop()
		return nil
	}), bridge.NewSigner(key), func(context.Context, int) {}, slog.New(slog.DiscardHandler))
	require.NoError(t, relay.Run(ctx))

	require.Len(t, published, 3)
	require.JSONEq(t, `{"enforcement_id":1}`, string(published[0].Body), "other rows stay as they are")
	var signed attune.SignedCancel
	require.NoError(t, json.Unmarshal(published[1].Body, &signed))
	got, err := attune.VerifyCancel([]attune.BridgeKey{key.Public()}, signed)
	require.NoError(t, err)
	require.Equal(t, message, got)
	require.JSONEq(t, `[]`, string(published[2].Body), "a row that is no cancel does not hold up the others")
}
