package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func (b *bundle) waiting(t *testing.T, id attune.EnforcementID) attune.Wait {
	t.Helper()
	wait, err := b.queues.Waiting(t.Context(), queueKey, id)
	require.NoError(t, err)
	return wait
}

func TestQueues_Waiting(t *testing.T) {
	t.Parallel()

	t.Run("only what waits has a position", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ids := b.created(t, deploy, 5)
		tickets := b.admit(t, ids[:4]...)
		b.request(t, tickets[0])
		b.settle(t, tickets[2], attune.EnforcementCancelled, attune.ReasonCancelled)
		for id, want := range map[attune.EnforcementID]int64{ids[0]: 0, ids[1]: 1, ids[2]: 0, ids[3]: 2, ids[4]: 0, 4711: 0} {
			require.Equal(t, want, b.waiting(t, id).Position(), "enforcement %d", id)
		}
	})

	t.Run("holders, tickets in front and grants are read", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ids := b.created(t, deploy, 16)
		tickets := b.admit(t, ids...)
		messages := []attune.ExecutionRequestedMessage{b.request(t, tickets[0]), b.request(t, tickets[1])}
		b.finish(t, reportOf(messages[0]))
		wait := b.waiting(t, ids[15])
		require.WithinDuration(t, time.Now(), wait.At, time.Minute)
		require.Equal(t, tickets[15].Sequence, wait.Ticket.Sequence)
		require.Equal(t, deploy, wait.ActionRef)
		require.Equal(t, attune.LevelCount{Ahead: 13, Active: 1}, wait.Queue)
		require.Equal(t, wait.Queue, wait.Action)
		require.Equal(t, attune.QueueOpen, wait.Mode)
		require.Positive(t, wait.Policy.Revision)
		require.Nil(t, wait.Override)
		require.Len(t, wait.Holders, 1)
		require.Equal(t, ids[1], wait.Holders[0].Enforcement)
		require.Equal(t, messages[1].Execution, wait.Holders[0].Execution)
		require.Len(t, wait.InFront, attune.MaxWaitList)
		require.Equal(t, ids[14], wait.InFront[0].Enforcement, "the nearest first")
		require.Len(t, wait.Latest, 2)
		require.EqualValues(t, 2, wait.Latest[0].Number)
		require.Nil(t, wait.Latest[0].ReleasedAt)
		require.NotNil(t, wait.Latest[1].ReleasedAt)
	})
}
