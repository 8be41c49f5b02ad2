package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

func TestQueues_Rebuild(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tickets := b.admit(t, b.created(t, deploy, 8)...)
	b.admitOther(t)
	grants := make([]attune.Grant, 4)
	var messages []attune.ExecutionRequestedMessage
	for i := range grants {
		grants[i] = grant(tickets[i])
		messages = append(messages, b.request(t, tickets[i]))
	}
	require.True(t, b.claim(t, messages[1], "worker-1").Granted)
	b.finish(t, reportOf(messages[0]), reportOf(messages[2]))
	b.settle(t, tickets[5], attune.EnforcementCancelled, attune.ReasonCancelled)

	snapshot := b.rebuild(t)
	want := attune.QueueSnapshot{
		Policy: policy.Defaults(), Mode: attune.QueueOpen, Generation: 1, LastSequence: 8, LastGrant: 4,
		Holders: []attune.Grant{grants[1], grants[3]}, Waiting: []attune.Ticket{tickets[4], tickets[6], tickets[7]},
	}
	want.Policy.Revision = 1
	for i := range want.Holders {
		want.Holders[i].Generation = 1 // taken over
	}
	ignoreClock := cmpopts.IgnoreFields(attune.Grant{}, "GrantedAt") // the grants were requested a moment after they were made here
	require.Empty(t, cmp.Diff(want, snapshot, ignoreClock))
	for _, holder := range snapshot.Holders {
		require.Equal(t, *b.enforcement(t, holder.Enforcement).GrantedAt, holder.GrantedAt)
	}

	inRange, err := b.queues.Tickets(t.Context(), queueKey, 3, 7)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]attune.Ticket{tickets[4], tickets[6]}, inRange))
	none, err := b.queues.Tickets(t.Context(), "demo.unknown", 1, 100)
	require.NoError(t, err)
	require.Empty(t, none)
}

// TestQueues_RebuildUnused has somebody set a queue by hand before its first use: what the change is from must be right.
func TestQueues_RebuildUnused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.policy(t, &attune.Policy{Limit: new(7)})
	want := attune.QueueSnapshot{Policy: policy.Defaults(), Mode: attune.QueueOpen, Generation: 1}
	want.Policy.Revision, want.Policy.Limit = 1, 7
	require.Empty(t, cmp.Diff(want, b.rebuild(t), cmpopts.EquateEmpty()))
	require.Equal(t, 7, b.stats(t).MaxConcurrent)

	b.policy(t, &attune.Policy{Limit: new(8)})
	want.Policy.Revision, want.Policy.Limit, want.Generation = 2, 8, 2
	require.Empty(t, cmp.Diff(want, b.rebuild(t), cmpopts.EquateEmpty()))

	unknown, err := b.queues.Rebuild(t.Context(), "demo.unknown")
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(attune.QueueSnapshot{Policy: policy.Defaults(), Mode: attune.QueueOpen}, unknown))
	_, err = b.queues.Stats(t.Context(), "demo.unknown")
	requireCode(t, attune.CodeNotFound, err, "demo.unknown")
}

// admitOther puts something into another queue, which must not show up anywhere else.
func (b *bundle) admitOther(t *testing.T) {
	t.Helper()
	admissions, err := b.enforcements.Admit(t.Context(), b.created(t, notify, 2))
	require.NoError(t, err)
	require.Len(t, admissions[0].Tickets, 2)
}

func TestQueues_Stats(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.queues.Stats(t.Context(), queueKey)
	requireCode(t, attune.CodeNotFound, err, `"demo.deploy"`)

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
	require.Empty(t, cmp.Diff(attune.QueueStats{
		Queue: queueKey, ActionID: action.ID, Action: deploy, QueueLength: 2, ActiveCount: 1, MaxConcurrent: 1, Mode: attune.QueueOpen,
		OldestEnqueuedAt: &tickets[3].EnqueuedAt, TotalEnqueued: 5, TotalCompleted: 1, TotalDropped: 1,
		LastUpdated: stats.LastUpdated,
	}, stats))
	byAction, err := b.queues.ActionStats(t.Context(), deploy)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(stats, byAction))

	// A grant changes the counts, so it changes when they were last updated.
	granted := b.execution(t, b.request(t, tickets[3]).Execution)
	require.Equal(t, granted.RequestedAt, *b.stats(t).LastUpdated)
}

func TestQueues_ActionStatsBeforeFirstUse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pack := demoPack()
	pack.Digest, pack.Policy = "demo-2", &attune.Policy{Limit: new(4)}
	b.install(t, pack)
	action, err := b.packs.Action(t.Context(), deploy)
	require.NoError(t, err)

	stats, err := b.queues.ActionStats(t.Context(), deploy)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(attune.QueueStats{Queue: queueKey, ActionID: action.ID, Action: deploy, MaxConcurrent: 4, Mode: attune.QueueOpen}, stats))
	_, err = b.queues.ActionStats(t.Context(), "demo.unknown")
	requireCode(t, attune.CodeNotFound, err, `"demo.unknown"`)
}

func TestQueues_List(t *testing.T) {
	t.Parallel()
	b := setup(t)
	none, err := b.queues.List(t.Context(), attune.Page{})
	require.NoError(t, err)
	require.Empty(t, none)

	b.admit(t, b.created(t, deploy, 1)...)
	b.admitOther(t)
	all, err := b.queues.List(t.Context(), attune.Page{})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Greater(t, all[0].ActionID, all[1].ActionID)
	next, err := b.queues.List(t.Context(), attune.Page{Before: int64(all[0].ActionID), Limit: 5})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(all[1:], next))
	require.WithinDuration(t, time.Now(), *all[0].OldestEnqueuedAt, time.Minute)
}
