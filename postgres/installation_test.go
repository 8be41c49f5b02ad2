package postgres_test

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func (b *bundle) installation(t *testing.T) attune.Installation {
	t.Helper()
	installation, err := b.db.Installation(t.Context())
	require.NoError(t, err)
	return installation
}

func TestDB_RaiseWatermark(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.installation(t)
	require.NotEmpty(t, first.ID)
	require.Zero(t, first.Watermark)
	for want := range int64(3) {
		watermark, err := b.db.RaiseWatermark(t.Context(), first.ID)
		require.NoError(t, err)
		require.Equal(t, want+1, watermark)
	}
	require.Equal(t, attune.Installation{ID: first.ID, Watermark: 3}, b.installation(t))
	_, err := b.db.RaiseWatermark(t.Context(), "00000000-0000-0000-0000-000000000000")
	require.Equal(t, attune.CodeConflict, attune.CodeOf(err))
}

func TestDB_RenewInstallation(t *testing.T) {
	t.Parallel()

	t.Run("several processes renew a restored database once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		old := b.installation(t)
		_, err := b.db.RaiseWatermark(t.Context(), old.ID)
		require.NoError(t, err)
		renewed := make([]attune.Installation, 8)
		var processes sync.WaitGroup
		for i := range renewed {
			processes.Go(func() { renewed[i], _ = b.db.RenewInstallation(t.Context(), old.ID) })
		}
		processes.Wait()
		for _, r := range renewed {
			require.Equal(t, renewed[0], r)
		}
		require.NotEqual(t, old.ID, renewed[0].ID)
		require.Zero(t, renewed[0].Watermark)
		require.Equal(t, renewed[0], b.installation(t))
	})

	t.Run("the outbox gets the messages that the rows still need, and no others", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		requested := b.requested(t, 2)
		claimed := b.running(t, 1)[0]
		waiting := b.admit(t, b.created(t, deploy, 1)...)[0]
		b.takeOutbox(t)
		published := b.created(t, deploy, 2)
		b.takeOutbox(t) // published, and lost
		inOutbox := b.created(t, deploy, 1)
		_, err := b.executions.Cancel(t.Context(), claimed.Execution, ada)
		require.NoError(t, err)

		renewed, err := b.db.RenewInstallation(t.Context(), b.installation(t).ID)
		require.NoError(t, err)
		var created []attune.EnforcementID
		var requests []attune.ExecutionRequestedMessage
		for _, row := range b.takeOutbox(t) {
			var enforcement attune.EnforcementCreatedMessage
			var request attune.ExecutionRequestedMessage
			switch row.RoutingKey {
			case attune.KeyEnforcementCreated:
				require.NoError(t, json.Unmarshal(row.Body, &enforcement))
				created = append(created, enforcement.Enforcement)
			default:
				require.NoError(t, json.Unmarshal(row.Body, &request))
				require.Equal(t, request.RoutingKey(), row.RoutingKey)
				requests = append(requests, request)
			}
		}
		require.Equal(t, append(published, inOutbox...), created)
		require.NotContains(t, created, waiting.Enforcement, "the queue is rebuilt from its rows")
		for i := range requested {
			requested[i].Installation = renewed.ID
			requested[i].Parameters = json.RawMessage(`{"n":1}`) // encoded without spaces
		}
		require.Equal(t, requested, requests)
	})
}
