package postgres_test

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func (b *bundle) parked(t *testing.T) (attune.Ticket, attune.ExecutionRequestedMessage) {
	t.Helper()
	ticket, message := b.runFirst(t)
	require.Equal(t, attune.CompletionParked, b.fail(t, message).Effect)
	b.takeOutbox(t)
	return ticket, message
}

// requireEndedLike checks that an execution has the status and the output of its last attempt.
func (b *bundle) requireEndedLike(t *testing.T, report attune.ExecutionCompletedMessage) {
	t.Helper()
	execution := b.execution(t, report.Execution)
	require.Equal(t, report.Status, execution.Status)
	require.Empty(t, execution.AttemptStatus)
	require.Nil(t, execution.RetryAt)
	require.Equal(t, report.Reason, execution.Reason)
	require.Equal(t, report.Stdout, execution.Stdout)
	require.Equal(t, report.ExitCode, execution.ExitCode)
	require.Equal(t, b.enforcement(t, execution.Enforcement).FinishedAt, execution.FinishedAt, "both at the same time")
	require.NotNil(t, execution.FinishedAt)
	require.Len(t, b.attempts(t, report.Execution), 1)
	require.NoError(t, addsUp(b.stats(t)))
}

func TestQueues_RecordEndsRetrying(t *testing.T) {
	t.Parallel()
	ends := map[attune.EnforcementStatus]attune.Reason{
		attune.EnforcementRejected:  attune.ReasonDroppedOldest,
		attune.EnforcementCancelled: attune.ReasonCancelled,
		attune.EnforcementExpired:   attune.ReasonQueueTimeout,
	}
	for status, reason := range ends {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			b := setupRetries(t, attune.RetryBack)
			ticket, message := b.runFirst(t)
			report := endOf(message, attune.ExecutionTimedOut)
			requeued := b.finish(t, report)[0]
			b.requireNoChange(t, func() { b.settle(t, ticket, status, reason) }) // the ticket of the former place changes nothing

			b.settle(t, requeued.Ticket, status, reason)
			enforcement := b.enforcement(t, ticket.Enforcement)
			require.Equal(t, status, enforcement.Status)
			require.Equal(t, reason, enforcement.Reason)
			require.Equal(t, requeued.Ticket.Sequence, enforcement.Sequence)
			require.Zero(t, enforcement.GrantNumber)
			b.requireEndedLike(t, report)
			stats := b.stats(t)
			require.Equal(t, []int64{2, 1, 1}, []int64{stats.TotalEnqueued, stats.TotalCompleted, stats.TotalDropped})
			require.Equal(t, attune.ExecutionTimedOut, b.grants(t, attune.Page{})[0].Outcome)

			b.requireNoChange(t, func() {
				b.settle(t, requeued.Ticket, attune.EnforcementExpired, attune.ReasonQueueTimeout)
				repeated := b.finish(t, report)[0]
				require.Equal(t, attune.CompletionRepeated, repeated.Effect)
				request, err := b.executions.Request(t.Context(), queueKey, b.nextGrant(t, requeued.Ticket))
				require.NoError(t, err)
				require.True(t, request.Ended)
			})
		})
	}
}

func TestExecutions_CancelRetrying(t *testing.T) {
	t.Parallel()

	t.Run("a retry in place is cancelled at once", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryHold)
		ticket, message := b.runFirst(t)
		retrying := b.fail(t, message)
		b.takeOutbox(t)
		execution, err := b.executions.Cancel(t.Context(), message.Execution, ada)
		require.NoError(t, err)
		require.Equal(t, attune.ExecutionCancelled, execution.Status)
		require.Equal(t, attune.ReasonCancelled, execution.Reason)
		require.Empty(t, execution.AttemptStatus)
		require.Nil(t, execution.RetryAt)
		require.Equal(t, 1, execution.Attempt)
		require.Equal(t, attune.EnforcementExecuted, b.enforcement(t, ticket.Enforcement).Status)
		require.Equal(t, execution.FinishedAt, b.grants(t, attune.Page{})[0].ReleasedAt)
		require.Len(t, b.attempts(t, message.Execution), 1, "how the attempt has ended is not forgotten")
		require.EqualValues(t, 1, b.stats(t).TotalCompleted)

		rows := b.takeOutbox(t)
		require.Len(t, rows, 1)
		var report attune.ExecutionEndedMessage
		require.NoError(t, json.Unmarshal(rows[0].Body, &report))
		again := b.grants(t, attune.Page{})[0].Grant
		again.Ticket = retrying.Ticket
		b.requireNoChange(t, func() {
			completion := b.end(t, report)[0]
			require.Equal(t, attune.CompletionRepeated, completion.Effect, "which releases the slot")
			require.Equal(t, ticket, completion.Ticket)
			_, err := b.executions.Cancel(t.Context(), message.Execution, ada)
			requireCode(t, attune.CodeConflict, err, "cancelled")
			request, err := b.executions.Request(t.Context(), queueKey, again)
			require.NoError(t, err)
			require.True(t, request.Ended)
		})
	})

	t.Run("a retry in line is not cancelled here", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryBack)
		_, message := b.runFirst(t)
		b.fail(t, message)
		b.requireNoChange(t, func() {
			_, err := b.executions.Cancel(t.Context(), message.Execution, ada)
			requireCode(t, attune.CodeConflict, err, message.Execution, `queue "demo.deploy"`, "cancel enforcement", message.Enforcement)
		})
	})

	t.Run("a parked enforcement is given up", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryPark)
		ticket, message := b.parked(t)
		execution, err := b.executions.Cancel(t.Context(), message.Execution, ada)
		require.NoError(t, err)
		require.Equal(t, attune.ExecutionFailed, execution.Status)
		require.Equal(t, attune.EnforcementExecuted, b.enforcement(t, ticket.Enforcement).Status)
		b.requireEndedLike(t, failed(message))
		require.Empty(t, b.takeOutbox(t), "its slot is free already")
		b.requireNoChange(t, func() {
			_, err := b.executions.Cancel(t.Context(), message.Execution, ada)
			requireCode(t, attune.CodeConflict, err, "failed")
		})
	})
}

func TestEnforcements_Retry(t *testing.T) {
	t.Parallel()

	t.Run("a parked enforcement returns to the line", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryPark)
		ticket, message := b.parked(t)
		b.admit(t, b.created(t, deploy, 1)...)
		b.takeOutbox(t)
		for attempt := 2; attempt <= 3; attempt++ {
			enforcement, err := b.enforcements.Retry(t.Context(), ticket.Enforcement, ada)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(b.enforcement(t, ticket.Enforcement), enforcement))
			require.Equal(t, attune.EnforcementQueued, enforcement.Status)
			require.EqualValues(t, 1+attempt, enforcement.Sequence)
			require.Zero(t, enforcement.GrantNumber)
			require.Equal(t, []attune.EnforcementID{ticket.Enforcement}, b.announced(t))
			require.NoError(t, addsUp(b.stats(t)))

			next := b.admit(t, ticket.Enforcement)
			require.Equal(t, []attune.Ticket{{
				Enforcement: ticket.Enforcement, Sequence: enforcement.Sequence, EnqueuedAt: *enforcement.QueuedAt, Attempt: attempt,
				Action: enforcement.ActionID,
			}}, next)
			b.requireNoChange(t, func() {
				_, err := b.enforcements.Retry(t.Context(), ticket.Enforcement, ada)
				requireCode(t, attune.CodeConflict, err, ticket.Enforcement, "queued")
				_, err = b.enforcements.GiveUp(t.Context(), ticket.Enforcement, ada)
				requireCode(t, attune.CodeConflict, err, ticket.Enforcement, "queued")
				require.Equal(t, attune.CompletionRequeued, b.fail(t, message).Effect, "a late report of the attempt before")
			})
			message = b.run(t, b.nextGrant(t, next[0]))
			completion := b.fail(t, message)
			if attempt == 2 {
				require.Equal(t, attune.CompletionParked, completion.Effect)
				b.takeOutbox(t)
			} else {
				require.Equal(t, attune.CompletionFinished, completion.Effect, "the third attempt is the last")
			}
		}
		change := attune.ExecutionChange{
			Author: ada, Kind: attune.ExecutionRetried, Attempt: 1, From: "parked", To: "queued",
		}
		again := change
		again.Attempt = 2
		require.Equal(t, []attune.ExecutionChange{change, again}, b.changesOf(t, message.Execution))
		require.Equal(t, attune.ExecutionFailed, b.execution(t, message.Execution).Status)
	})

	t.Run("an enforcement that is not parked is refused", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryPark)
		ids := b.created(t, deploy, 4)
		tickets := b.admit(t, ids[1:]...)
		b.run(t, grant(tickets[1]))
		b.finish(t, reportOf(b.run(t, grant(tickets[2]))))
		b.requireNoChange(t, func() {
			for i, status := range []attune.EnforcementStatus{"created", "queued", "granted", "executed"} {
				_, err := b.enforcements.Retry(t.Context(), ids[i], ada)
				requireCode(t, attune.CodeConflict, err, ids[i], "not parked", status)
				_, err = b.enforcements.GiveUp(t.Context(), ids[i], ada)
				requireCode(t, attune.CodeConflict, err, ids[i], "not parked", status)
			}
			_, err := b.enforcements.Retry(t.Context(), 4711, ada)
			requireCode(t, attune.CodeNotFound, err, 4711)
			_, err = b.enforcements.GiveUp(t.Context(), 4711, ada)
			requireCode(t, attune.CodeNotFound, err, 4711)
		})
	})

	t.Run("concurrent retries count as one", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryPark)
		ticket, _ := b.parked(t)
		errs := make([]error, 12)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				if i%3 == 0 {
					_, errs[i] = b.enforcements.GiveUp(t.Context(), ticket.Enforcement, ada)
				} else {
					_, errs[i] = b.enforcements.Retry(t.Context(), ticket.Enforcement, ada)
				}
			})
		}
		wg.Wait()
		winners := 0
		for _, err := range errs {
			if err == nil {
				winners++
				continue
			}
			requireCode(t, attune.CodeConflict, err, "not parked")
		}
		require.Equal(t, 1, winners)
		require.NoError(t, addsUp(b.stats(t)))
		require.LessOrEqual(t, len(b.announced(t)), 1)
	})
}

func TestEnforcements_GiveUp(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryPark)
	ticket, message := b.parked(t)
	parked := b.enforcement(t, ticket.Enforcement)
	enforcement, err := b.enforcements.GiveUp(t.Context(), ticket.Enforcement, ada)
	require.NoError(t, err)
	parked.Status, parked.FinishedAt = attune.EnforcementExecuted, enforcement.FinishedAt
	require.Empty(t, cmp.Diff(parked, enforcement))
	b.requireEndedLike(t, failed(message))
	require.EqualValues(t, 1, b.stats(t).TotalCompleted, "the slot was counted when it was given back")
	require.Empty(t, b.takeOutbox(t))
	require.Equal(t, []attune.ExecutionChange{{
		Author: ada, Kind: attune.ExecutionGivenUp, Attempt: 1, From: "parked", To: "executed",
	}}, b.changesOf(t, message.Execution))
	b.requireNoChange(t, func() {
		_, err := b.enforcements.GiveUp(t.Context(), ticket.Enforcement, ada)
		requireCode(t, attune.CodeConflict, err, ticket.Enforcement, "executed")
		require.Equal(t, attune.CompletionRepeated, b.fail(t, message).Effect)
	})
}

// TestConstraints checks that the tables refuse every row that contradicts its status.
func TestConstraints(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryPark)
	b.parked(t)
	b.runFirst(t)
	tests := []struct{ name, sql, constraint string }{
		{"a status is unknown", `UPDATE enforcements SET status = 'lost', grant_number = NULL, granted_at = NULL`, "enforcements_status"},
		{"a parked enforcement has no grant", `UPDATE enforcements SET grant_number = NULL, granted_at = NULL WHERE status = 'parked'`, "enforcements_grant"},
		{"a parked enforcement has no place", `UPDATE enforcements SET sequence = NULL, queued_at = NULL WHERE status = 'parked'`, "enforcements_place"},
		{"a parked enforcement has no queue", `UPDATE enforcements SET queue_id = NULL WHERE status = 'parked'`, "enforcements_queue"},
		{"a finished enforcement keeps encrypted parameters", `UPDATE enforcements SET status = 'executed', finished_at = clock_timestamp()`, "enforcements_encrypted_until_end"},
		{"a lane is below 0", `UPDATE enforcements SET lane = -1`, "enforcements_lane_check"},
		{"a lane has a number and no name", `UPDATE enforcements SET lane = 1`, "enforcements_lane_number"},
		{"a placed enforcement has a lane without a number", `UPDATE enforcements SET lane_name = '=a'`, "enforcements_lane_number"},
		{"an enforcement in a lane has no queue", `INSERT INTO enforcements (event_id, action_id, status, reason, lane_name, finished_at)
			SELECT event_id, action_id, 'rejected', 'criteria_failed', '=a', now() FROM enforcements`, "enforcements_lane_name"},
		{"a policy of a queue is recorded twice", `INSERT INTO queue_policies SELECT * FROM queue_policies`, "queue_policies_pkey"},
		{"a parked enforcement is finished", `UPDATE enforcements SET finished_at = now(), encrypted = NULL WHERE status = 'parked'`, "enforcements_end"},
		{"a queued enforcement has a grant", `UPDATE enforcements SET status = 'queued' WHERE status = 'parked'`, "enforcements_grant"},
		{"a retrying execution has no attempt status", `UPDATE executions SET attempt_status = '' WHERE status = 'retrying'`, "executions_retrying"},
		{"a running execution has an attempt status", `UPDATE executions SET attempt_status = 'failed' WHERE status = 'running'`, "executions_retrying"},
		{"a cancelled attempt is retried", `UPDATE executions SET attempt_status = 'cancelled' WHERE status = 'retrying'`, "executions_attempt_status_check"},
		{"a retrying execution is finished", `UPDATE executions SET finished_at = now() WHERE status = 'retrying'`, "executions_end"},
		{"a running execution has a time to retry", `UPDATE executions SET retry_at = now() WHERE status = 'running'`, "executions_retry_at"},
		{"a retrying execution has a requested cancel", `UPDATE executions SET cancel_requested_at = now() WHERE status = 'retrying'`, "executions_retry_wanted"},
		{"an attempt is recorded twice", `INSERT INTO execution_attempts SELECT * FROM execution_attempts`, "execution_attempts_pkey"},
		{"a limit is below 0", `UPDATE queues SET policy = '{"revision": 1, "limit": -1}'`, "queues_concurrency_limit_check"},
		{"a policy has no limit", `UPDATE queues SET policy = '{"revision": 1}'`, "concurrency_limit"},
		{"a policy is no document", `UPDATE policies SET document = '3'`, "policies_document_check"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := b.conn(t).Exec(t.Context(), test.sql)
			require.ErrorContains(t, err, `"`+test.constraint+`"`)
		})
	}
}
