package postgres_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// grants reads the log of the deploy queue.
func (b *bundle) grants(t *testing.T, page attune.Page) []attune.LoggedGrant {
	t.Helper()
	grants, err := b.queues.Grants(t.Context(), queueKey, page)
	require.NoError(t, err)
	return grants
}

func numbersOf(grants []attune.LoggedGrant) []int64 {
	numbers := make([]int64, len(grants))
	for i, grant := range grants {
		numbers[i] = grant.Number
	}
	return numbers
}

func TestQueues_Grants(t *testing.T) {
	t.Parallel()

	t.Run("the log has every grant from request to release", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ticket := b.admit(t, b.created(t, deploy, 2)...)[1]
		require.Empty(t, b.grants(t, attune.Page{}))
		given := grant(ticket)
		given.Number, given.Limit, given.Revision, given.Freed = 41, 17, 23, []int64{5, 3}
		var message *attune.ExecutionRequestedMessage
		for range 3 { // repeated, perhaps after the policy has changed: the first call counts
			request, err := b.executions.Request(t.Context(), queueKey, given)
			require.NoError(t, err)
			message = request.Message
			repeated := given
			repeated.Limit, repeated.Revision, repeated.Freed = 1, 99, nil
			_, err = b.executions.Request(t.Context(), queueKey, repeated)
			require.NoError(t, err)
		}
		want := attune.LoggedGrant{
			Grant: given, RequestedAt: b.execution(t, message.Execution).RequestedAt, Outcome: attune.ExecutionRequested,
		}
		require.Empty(t, cmp.Diff([]attune.LoggedGrant{want}, b.grants(t, attune.Page{})))

		require.True(t, b.claim(t, *message, "worker-1").Granted)
		want.Outcome = attune.ExecutionRunning
		require.Empty(t, cmp.Diff([]attune.LoggedGrant{want}, b.grants(t, attune.Page{})))

		report := reportOf(*message)
		report.Status, report.Reason = attune.ExecutionFailed, attune.ReasonExitCode
		b.finish(t, report, reportOf(*message))
		b.finish(t, reportOf(*message))
		want.Outcome, want.ReleasedAt = attune.ExecutionFailed, b.execution(t, message.Execution).FinishedAt
		require.NotNil(t, want.ReleasedAt)
		require.Empty(t, cmp.Diff([]attune.LoggedGrant{want}, b.grants(t, attune.Page{})))
	})

	t.Run("only ended executions are released, at the time of their end", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		messages := b.requested(t, 4)
		b.finish(t, reportOf(messages[2]), reportOf(messages[0]))
		_, err := b.executions.Cancel(t.Context(), messages[1].Execution, ada)
		require.NoError(t, err)
		logged := b.grants(t, attune.Page{})
		require.Equal(t, []int64{4, 3, 2, 1}, numbersOf(logged))
		outcomes := []attune.ExecutionStatus{
			attune.ExecutionRequested, attune.ExecutionSucceeded, attune.ExecutionCancelled, attune.ExecutionSucceeded,
		}
		for i, grant := range logged {
			execution := b.execution(t, messages[grant.Number-1].Execution)
			require.Equal(t, outcomes[i], grant.Outcome)
			require.Equal(t, execution.RequestedAt, grant.RequestedAt)
			require.Equal(t, execution.FinishedAt, grant.ReleasedAt)
		}
	})

	t.Run("grants are paged by queue", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.requested(t, 5)
		require.Equal(t, []int64{5, 4}, numbersOf(b.grants(t, attune.Page{Limit: 2})))
		require.Equal(t, []int64{3, 2}, numbersOf(b.grants(t, attune.Page{Before: 4, Limit: 2})))
		require.Empty(t, b.grants(t, attune.Page{Before: 1}))
		none, err := b.queues.Grants(t.Context(), "demo.notify", attune.Page{})
		require.NoError(t, err)
		require.Empty(t, none)
	})

	t.Run("a refused grant is not logged", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		tickets := b.admit(t, b.created(t, deploy, 2)...)
		b.settle(t, tickets[0], attune.EnforcementExpired, attune.ReasonQueueTimeout)
		request, err := b.executions.Request(t.Context(), queueKey, grant(tickets[0]))
		require.NoError(t, err)
		require.True(t, request.Ended)
		_, err = b.executions.Request(t.Context(), "demo.other", grant(tickets[1]))
		requireCode(t, attune.CodeConflict, err)
		require.Zero(t, b.count(t, `SELECT count(*) FROM grants`))
	})
}
