package postgres_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// settle settles a ticket of the deploy queue.
func (b *bundle) settle(t *testing.T, ticket attune.Ticket, status attune.EnforcementStatus, reason attune.Reason) {
	t.Helper()
	settlement := attune.Settlement{Ticket: ticket, Status: status, Reason: reason}
	if status == attune.EnforcementRejected {
		settlement.Bound = full()
	}
	_, err := b.recordEnds(t.Context(), queueKey, []attune.Settlement{settlement})
	require.NoError(t, err)
}

// full returns the bound of a full queue.
func full() *attune.Bound { return &attune.Bound{Name: attune.BoundMaxQueued, Limit: 3, Count: 3} }

func TestQueues_RecordEnds(t *testing.T) {
	t.Parallel()

	t.Run("a settlement is recorded and counted once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		tickets := b.admit(t, b.created(t, deploy, 4)...)
		settlements := []attune.Settlement{
			{Ticket: tickets[0], Status: attune.EnforcementRejected, Reason: attune.ReasonQueueFull, Bound: full()},
			{Ticket: tickets[1], Status: attune.EnforcementCancelled, Reason: attune.ReasonCancelled},
			{Ticket: tickets[2], Status: attune.EnforcementExpired, Reason: attune.ReasonQueueTimeout},
		}
		counted := map[attune.Reason]int{}
		observed := b.queues.Observe(func(_ context.Context, n int, _ attune.EnforcementStatus, reason attune.Reason) { counted[reason] += n })
		for range 3 {
			held, err := observed.Record(t.Context(), queueKey, attune.QueueDecisions{Settlements: settlements})
			require.NoError(t, err)
			require.Empty(t, held)
		}
		require.Equal(t, map[attune.Reason]int{attune.ReasonQueueFull: 1, attune.ReasonCancelled: 1, attune.ReasonQueueTimeout: 1}, counted)
		for _, s := range settlements {
			enforcement := b.enforcement(t, s.Enforcement)
			require.Equal(t, s.Status, enforcement.Status)
			require.Equal(t, s.Reason, enforcement.Reason)
			require.NotNil(t, enforcement.FinishedAt)
			require.Equal(t, s.Sequence, enforcement.Sequence, "it keeps its place")
		}
		rejected := b.enforcement(t, tickets[0].Enforcement)
		require.Equal(t, &attune.GateRefusal{
			GateID: attune.GateID{Kind: attune.GateQueue, Scope: "queue", Ref: string(queueKey), Name: "max_queued"}, Limit: 3, Count: 3, Cost: 1,
		}, rejected.Refusal)
		require.Equal(t, "max_queued of queue "+string(queueKey)+" allows 3, and there are 3", rejected.Detail)
		stats := b.stats(t)
		require.EqualValues(t, 3, stats.TotalDropped)
		require.EqualValues(t, 1, stats.QueueLength)
	})

	t.Run("a refusal by a bound of a lane names the key", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ticket := b.admit(t, b.inLanes(t, deploy, "=a")...)[0]
		_, err := b.recordEnds(t.Context(), queueKey, []attune.Settlement{{
			Ticket: ticket, Status: attune.EnforcementRejected, Reason: attune.ReasonKeyQueueFull,
			Bound: &attune.Bound{Name: attune.BoundMaxQueuedPerKey, Limit: 1, Count: 1},
		}})
		require.NoError(t, err)
		require.Equal(t, "a", *b.enforcement(t, ticket.Enforcement).Refusal.Key)
	})

	t.Run("an enforcement that does not wait in the queue stays unchanged", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		tickets := b.admit(t, b.created(t, deploy, 2)...)
		b.request(t, tickets[0])
		fresh := b.created(t, deploy, 1)[0]
		expired := func(id attune.EnforcementID) []attune.Settlement {
			return []attune.Settlement{{Ticket: attune.Ticket{Enforcement: id}, Status: attune.EnforcementExpired, Reason: attune.ReasonQueueTimeout}}
		}
		for _, id := range []attune.EnforcementID{tickets[0].Enforcement, fresh, 4711} {
			held, err := b.recordEnds(t.Context(), queueKey, expired(id))
			require.NoError(t, err)
			require.Empty(t, held, "not by a ticket of another place")
		}
		_, err := b.recordEnds(t.Context(), "demo.other", expired(tickets[1].Enforcement))
		require.NoError(t, err)
		require.Equal(t, attune.EnforcementGranted, b.enforcement(t, tickets[0].Enforcement).Status)
		require.Equal(t, attune.EnforcementQueued, b.enforcement(t, tickets[1].Enforcement).Status)
		require.Equal(t, attune.EnforcementCreated, b.enforcement(t, fresh).Status)
		require.Zero(t, b.stats(t).TotalDropped)
	})

	t.Run("the grants of granted tickets are returned", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		tickets := b.admit(t, b.created(t, deploy, 3)...)
		b.request(t, tickets[0])
		b.finish(t, endOf(b.request(t, tickets[1]), attune.ExecutionSucceeded))
		settlements := make([]attune.Settlement, len(tickets))
		for i, ticket := range tickets {
			settlements[i] = attune.Settlement{Ticket: ticket, Status: attune.EnforcementExpired, Reason: attune.ReasonQueueTimeout}
		}
		held, err := b.recordEnds(t.Context(), queueKey, settlements)
		require.NoError(t, err)
		require.Len(t, held, 2)
		for i, grant := range held {
			require.True(t, grant.Same(tickets[i]), "in the order of the numbers")
			require.Equal(t, tickets[i].Sequence, grant.Number)
			require.Equal(t, 1, grant.Attempt)
		}
		require.EqualValues(t, 1, b.stats(t).TotalDropped)
	})

	t.Run("the first outcome stays", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ticket := b.admit(t, b.created(t, deploy, 1)...)[0]
		b.settle(t, ticket, attune.EnforcementExpired, attune.ReasonQueueTimeout)
		b.settle(t, ticket, attune.EnforcementCancelled, attune.ReasonCancelled)
		require.Equal(t, attune.ReasonQueueTimeout, b.enforcement(t, ticket.Enforcement).Reason)
		request, err := b.executions.Request(t.Context(), queueKey, grant(ticket))
		require.NoError(t, err)
		require.Equal(t, attune.ExecutionRequest{Ended: true}, request)
	})

	t.Run("an invalid settlement is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, s := range []attune.Settlement{
			{Status: attune.EnforcementExecuted, Reason: attune.ReasonCancelled}, {Status: attune.EnforcementExpired},
			{Status: attune.EnforcementRejected, Reason: attune.ReasonQueueFull},
			{Status: attune.EnforcementExpired, Reason: attune.ReasonQueueTimeout, Bound: full()},
		} {
			_, err := b.recordEnds(t.Context(), queueKey, []attune.Settlement{s})
			requireCode(t, attune.CodeInvalid, err)
		}
	})
}
