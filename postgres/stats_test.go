package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestQueues_Stats(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tickets := b.admit(t, b.created(t, deploy, 5)...)
	b.admitOther(t)
	message := b.request(t, tickets[0])
	b.request(t, tickets[1])
	b.finish(t, reportOf(message))
	b.settle(t, tickets[2], attune.EnforcementCancelled, attune.ReasonCancelled)
	action, err := b.packs.Action(t.Context(), deploy)
	require.NoError(t, err)

	stats := b.stats(t)
	require.NotNil(t, stats.LastUpdated)
	require.Positive(t, stats.ID)
	require.Empty(t, cmp.Diff(attune.QueueStats{
		ID: stats.ID, Queue: queueKey, ActionID: action.ID, Action: deploy, QueueLength: 2, ActiveCount: 1, MaxConcurrent: 1,
		Mode: attune.QueueOpen, OldestEnqueuedAt: &tickets[3].EnqueuedAt, TotalEnqueued: 5, TotalCompleted: 1, TotalDropped: 1,
		LastUpdated: stats.LastUpdated,
	}, stats))

	// A grant changes the counts, so it changes when they were last updated.
	granted := b.execution(t, b.request(t, tickets[3]).Execution)
	require.Equal(t, granted.RequestedAt, *b.stats(t).LastUpdated)
}

func TestQueues_List(t *testing.T) {
	t.Parallel()
	b := setup(t)
	none, err := b.queues.List(t.Context(), attune.Page{})
	require.NoError(t, err)
	require.Empty(t, none)

	b.admitOther(t)
	b.admit(t, b.created(t, deploy, 1)...)
	all, err := b.queues.List(t.Context(), attune.Page{})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, queueKey, all[0].Queue, "the queue that was made last comes first, although its action is older")
	require.Greater(t, all[0].ID, all[1].ID)
	require.Less(t, all[0].ActionID, all[1].ActionID)
	next, err := b.queues.List(t.Context(), attune.Page{Before: int64(all[0].ID), Limit: 5})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(all[1:], next))
	require.WithinDuration(t, time.Now(), *all[0].OldestEnqueuedAt, time.Minute)
}
