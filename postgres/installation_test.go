package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

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
	for _, step := range []struct{ remembered, want int64 }{{0, 1}, {0, 1}, {1, 2}, {1, 2}, {0, 2}, {2, 3}} {
		watermark, err := b.db.RaiseWatermark(t.Context(), first.ID, step.remembered)
		require.NoError(t, err)
		require.Equal(t, step.want, watermark, "%+v", step)
	}
	_, err := b.db.RaiseWatermark(t.Context(), first.ID, 4)
	require.Equal(t, attune.CodeConflict, attune.CodeOf(err), "restored")
	_, err = b.db.RaiseWatermark(t.Context(), "00000000-0000-0000-0000-000000000000", 3)
	require.Equal(t, attune.CodeConflict, attune.CodeOf(err))
	require.Equal(t, attune.Installation{ID: first.ID, Watermark: 3}, b.installation(t))
}

func TestDB_Exclusively(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var inside, most atomic.Int64
	var processes errgroup.Group
	for range 4 {
		processes.Go(func() error {
			return b.db.Exclusively(t.Context(), func(context.Context) error {
				most.Store(max(most.Load(), inside.Add(1)))
				inside.Add(-1)
				return nil
			})
		})
	}
	require.NoError(t, processes.Wait())
	require.EqualValues(t, 1, most.Load())

	err := b.db.Exclusively(t.Context(), func(context.Context) error {
		stopped, stop := context.WithCancel(t.Context())
		stop()
		return b.db.Exclusively(stopped, func(context.Context) error { return errors.New("two at once") })
	})
	require.ErrorIs(t, err, context.Canceled)
}

func TestDB_RenewInstallation(t *testing.T) {
	t.Parallel()

	t.Run("several processes renew a restored database once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		old := b.installation(t)
		_, err := b.db.RaiseWatermark(t.Context(), old.ID, 0)
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
		}
		require.Equal(t, requested, requests)
	})
}
