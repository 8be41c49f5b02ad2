package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestExecutions_ExpireLeases ends one attempt whose worker is lost, under every policy: the queue hears of it by the report in
// the outbox, which a worker's late report neither overtakes nor changes.
func TestExecutions_ExpireLeases(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy      *attune.Policy
		cancelled   bool
		effect      attune.CompletionEffect
		status      attune.ExecutionStatus
		enforcement attune.EnforcementStatus
		released    bool
	}{
		"no further attempt follows": {
			effect: attune.CompletionRepeated, status: attune.ExecutionAbandoned, enforcement: attune.EnforcementExecuted, released: true,
		},
		"the policy is hold": {
			policy: retries(attune.RetryHold),
			effect: attune.CompletionRetrying, status: attune.ExecutionRetrying, enforcement: attune.EnforcementGranted,
		},
		"the policy is back": {
			policy: retries(attune.RetryBack),
			effect: attune.CompletionRequeued, status: attune.ExecutionRetrying, enforcement: attune.EnforcementQueued, released: true,
		},
		"the policy is park": {
			policy: retries(attune.RetryPark),
			effect: attune.CompletionParked, status: attune.ExecutionRetrying, enforcement: attune.EnforcementParked, released: true,
		},
		"a cancel was requested": {
			policy: retries(attune.RetryHold), cancelled: true,
			effect: attune.CompletionRepeated, status: attune.ExecutionAbandoned, enforcement: attune.EnforcementExecuted, released: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if test.policy != nil {
				b.policy(t, test.policy)
			}
			ticket, message := b.runFirst(t)
			if test.cancelled {
				_, err := b.executions.Cancel(t.Context(), message.Execution, ada)
				require.NoError(t, err)
			}
			b.runOut(t, message.Execution)
			before := b.execution(t, message.Execution)
			b.takeOutbox(t)

			require.Equal(t, 1, b.expireLeases(t, 10))
			execution, enforcement := b.execution(t, message.Execution), b.enforcement(t, ticket.Enforcement)
			require.Equal(t, test.status, execution.Status)
			require.Equal(t, test.enforcement, enforcement.Status)
			require.Equal(t, attune.ReasonWorkerLost, execution.Reason)
			require.Equal(t, "worker-1", execution.Worker)
			require.Nil(t, execution.LeaseUntil)
			want := attune.ExecutionEndedMessage{
				Installation: message.Installation, Execution: message.Execution, Attempt: 1, Status: attune.ExecutionAbandoned,
			}
			for _, told := range []string{`"worker-1"`, before.LeaseUntil.Format(time.RFC3339)} {
				require.Contains(t, execution.Error, told)
			}
			b.requireAccounts(t, ticket, test.released, test.enforcement == attune.EnforcementQueued)

			rows := b.count(t, `SELECT count(*) FROM outbox`)
			announced := b.count(t, `SELECT count(*) FROM outbox WHERE routing_key = 'enforcement.created'`)
			reports := b.reported(t)
			require.Len(t, reports, 1)
			require.Equal(t, rows, 1+announced)
			require.Equal(t, test.enforcement == attune.EnforcementQueued, announced == 1)
			require.Empty(t, cmp.Diff(want, reports[0]))
			if execution.FinishedAt != nil {
				require.False(t, execution.FinishedAt.Before(*before.LeaseUntil))
			}

			b.requireNoChange(t, func() {
				require.Zero(t, b.expireLeases(t, 10))
				told, late := b.end(t, reports[0])[0], b.finish(t, reportOf(message))[0]
				require.Equal(t, test.effect, told.Effect)
				require.Equal(t, queueKey, told.Queue)
				require.Equal(t, ticket.Enforcement, told.Ticket.Enforcement)
				require.Empty(t, cmp.Diff(told, late))
				require.Equal(t, []attune.AttemptID{attemptOf(message)}, b.renew(t, attemptOf(message)))
				require.False(t, b.claim(t, message, "worker-1").Granted)
			})
		})
	}
}

// requireAccounts checks what the queue and the log of grants say of the only ticket after its attempt has ended.
func (b *bundle) requireAccounts(t *testing.T, ticket attune.Ticket, released, waiting bool) {
	t.Helper()
	stats, grants := b.stats(t), b.grants(t, attune.Page{})
	require.NoError(t, addsUp(stats))
	require.Len(t, grants, 1)
	require.Equal(t, ticket.Enforcement, grants[0].Enforcement)
	require.Equal(t, released, grants[0].ReleasedAt != nil)
	require.Equal(t, released, stats.TotalCompleted == 1)
	require.Equal(t, released, stats.ActiveCount == 0)
	require.Equal(t, waiting, stats.QueueLength == 1)
	if execution := b.execution(t, 1); execution.FinishedAt != nil {
		require.Equal(t, execution.FinishedAt, grants[0].ReleasedAt)
	}
}

func TestExecutions_ExpireLeasesOfSome(t *testing.T) {
	t.Parallel()

	t.Run("an unexpired lease stays", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		messages := b.running(t, 2)
		b.requested(t, 1)
		b.exec(t, shifted(`- interval '1 year'`))
		b.finish(t, reportOf(messages[0]))
		b.requireNoChange(t, func() { require.Zero(t, b.expireLeases(t, 10)) })
	})

	t.Run("the oldest leases expire first, up to the limit", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		messages := b.running(t, 5)
		for i, message := range messages {
			b.exec(t, `UPDATE executions SET lease_until = lease_until - interval '1 hour' - $2::integer * interval '1 minute'
				WHERE id = $1`, message.Execution, i)
		}
		b.takeOutbox(t)
		for _, want := range [][]attune.ExecutionRequestedMessage{{messages[4], messages[3]}, {messages[2], messages[1]}, {messages[0]}, nil} {
			require.Equal(t, len(want), b.expireLeases(t, 2))
			reports := b.reported(t)
			require.Len(t, reports, len(want))
			for i, report := range reports {
				require.Equal(t, want[i].Execution, report.Execution)
			}
		}
		require.EqualValues(t, 5, b.stats(t).TotalCompleted)
	})

	t.Run("an earlier report counts", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.running(t, 1)[0]
		b.runOut(t, message.Execution)
		b.takeOutbox(t)
		require.Equal(t, attune.CompletionFinished, b.finish(t, reportOf(message))[0].Effect)
		b.requireNoChange(t, func() { require.Zero(t, b.expireLeases(t, 10)) })
		require.Equal(t, attune.ExecutionSucceeded, b.execution(t, message.Execution).Status)
		require.Empty(t, b.takeOutbox(t))
	})

	t.Run("a report after the request of the next attempt is stale", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryHold)
		_, first := b.runFirst(t)
		b.runOut(t, first.Execution)
		require.Equal(t, 1, b.expireLeases(t, 10))
		reports := b.reported(t)
		require.Len(t, reports, 1)
		second := b.run(t, grant(b.end(t, reports[0])[0].Ticket))
		require.Equal(t, 2, second.Attempt)
		b.requireNoChange(t, func() {
			for _, completion := range append(b.finish(t, reportOf(first)), b.end(t, reports[0])...) {
				require.Equal(t, attune.CompletionStale, completion.Effect)
			}
			require.Zero(t, b.expireLeases(t, 10))
		})
		attempts := b.attempts(t, first.Execution)
		require.Len(t, attempts, 1)
		require.Equal(t, attune.ExecutionAbandoned, attempts[0].Status)
		require.Equal(t, attune.ReasonWorkerLost, attempts[0].Reason)
		require.Equal(t, "worker-1", attempts[0].Worker)
	})

	t.Run("the last attempt ends the execution", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryHold)
		ticket, message := b.runFirst(t)
		for attempt := 1; attempt <= 3; attempt++ {
			b.runOut(t, message.Execution)
			require.Equal(t, 1, b.expireLeases(t, 10))
			if attempt < 3 {
				ticket.Attempt = attempt + 1
				message = b.run(t, grant(ticket))
			}
		}
		require.Equal(t, attune.ExecutionAbandoned, b.execution(t, message.Execution).Status)
		require.Len(t, b.attempts(t, message.Execution), 2)
		require.Len(t, b.reported(t), 3)
	})

	t.Run("a limit below 1 is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, limit := range []int{0, -1} {
			_, err := b.executions.ExpireLeases(t.Context(), limit)
			requireCode(t, attune.CodeInvalid, err, "limit", limit)
		}
	})
}
