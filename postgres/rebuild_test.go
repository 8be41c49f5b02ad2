package postgres_test

import (
	"testing"

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
		Policy: b.ownQueue(t, 1, policy.Defaults()), Mode: attune.QueueOpen, Generation: 1, LastSequence: 8, LastGrant: 4,
		Holders: []attune.Grant{grants[1], grants[3]}, Waiting: []attune.Ticket{tickets[4], tickets[6], tickets[7]},
	}
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

	elsewhere := tickets[7]
	elsewhere.Sequence = 100
	waiting, err := b.queues.StillWaiting(t.Context(), queueKey, []attune.Ticket{tickets[6], tickets[0], tickets[5], tickets[4], elsewhere})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]attune.Ticket{tickets[4], tickets[6]}, waiting), "the others are granted, cancelled, or have another sequence")
	none, err = b.queues.StillWaiting(t.Context(), "demo.unknown", tickets)
	require.NoError(t, err)
	require.Empty(t, none)
}

// TestQueues_RebuildAccepted: the bounds of a queue apply to tickets that no workflow has seen, and to no other.
func TestQueues_RebuildAccepted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tickets := b.admit(t, b.created(t, deploy, 3)...)
	age := func(ticket attune.Ticket) {
		b.exec(t, `UPDATE enforcements SET created_at = created_at - interval '31 seconds', queued_at = queued_at - interval '31 seconds' WHERE id = $1`,
			ticket.Enforcement)
	}
	age(tickets[0])
	require.Zero(t, b.rebuild(t).Accepted, "no workflow has seen a ticket before the first generation")
	require.Equal(t, tickets[0].Sequence, b.rebuild(t).Accepted)
	age(tickets[1])
	require.Equal(t, tickets[1].Sequence, b.rebuild(t).Accepted)
	b.settle(t, tickets[1], attune.EnforcementCancelled, attune.ReasonCancelled)
	require.Equal(t, tickets[0].Sequence, b.rebuild(t).Accepted, "only waiting tickets matter")
}

// TestQueues_RebuildUnused rebuilds a queue that a person changes before its first use: the start of the change must be right.
func TestQueues_RebuildUnused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.policy(t, &attune.Policy{Limit: new(7)})
	want := attune.QueueSnapshot{Policy: b.ownQueue(t, 1, policy.Defaults()), Mode: attune.QueueOpen, Generation: 1}
	want.Policy.Limit = 7
	require.Empty(t, cmp.Diff(want, b.rebuild(t), cmpopts.EquateEmpty()))
	require.Equal(t, 7, b.stats(t).MaxConcurrent)

	b.policy(t, &attune.Policy{Limit: new(8)})
	want.Policy.Revision, want.Policy.Limit, want.Generation = 2, 8, 2
	require.Empty(t, cmp.Diff(want, b.rebuild(t), cmpopts.EquateEmpty()))

	unknown, err := b.queues.Rebuild(t.Context(), "demo.unknown")
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(attune.QueueSnapshot{Policy: policy.OwnQueue(0, policy.Defaults()), Mode: attune.QueueOpen}, unknown))
	require.Zero(t, b.count(t, `SELECT count(*) FROM queues WHERE key = 'demo.unknown'`), "it is not recorded")
}
