package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/postgres"
)

// TestExecutions_FinishTriedAgain checks which attempts are retried.
func TestExecutions_FinishTriedAgain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		status    attune.ExecutionStatus
		unclaimed bool
		attempts  int // of the policy
		cancel    bool
		on        *attune.RetryOn
		exitCode  *int
		again     bool
	}{
		{name: "a failed attempt is retried", status: attune.ExecutionFailed, attempts: 2, again: true},
		{name: "an attempt that timed out is retried", status: attune.ExecutionTimedOut, attempts: 2, again: true},
		{name: "an abandoned attempt is retried", status: attune.ExecutionAbandoned, attempts: 2, again: true},
		{name: "an attempt that is abandoned before its claim is retried", status: attune.ExecutionAbandoned, unclaimed: true, attempts: 2, again: true},
		{name: "a successful attempt is not retried", status: attune.ExecutionSucceeded, attempts: 2},
		{name: "a cancelled attempt is not retried", status: attune.ExecutionCancelled, attempts: 2},
		{name: "a policy without retries retries nothing", status: attune.ExecutionFailed, attempts: 1},
		{name: "an attempt with a requested cancel is not retried", status: attune.ExecutionFailed, attempts: 2, cancel: true},
		{name: "a failed attempt with an exit code of the policy is retried", status: attune.ExecutionFailed, attempts: 2,
			on: &attune.RetryOn{ExitCodes: []int{75, 111}}, exitCode: new(111), again: true},
		{name: "a failed attempt with another exit code is not retried", status: attune.ExecutionFailed, attempts: 2,
			on: &attune.RetryOn{ExitCodes: []int{75, 111}}, exitCode: new(1)},
		{name: "an end that the policy does not name is not retried", status: attune.ExecutionTimedOut, attempts: 2,
			on: &attune.RetryOn{Statuses: []attune.ExecutionStatus{attune.ExecutionFailed, attune.ExecutionAbandoned}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.policy(t, &attune.Policy{MaxAttempts: new(test.attempts), RetryOn: test.on})
			ticket := b.admit(t, b.created(t, deploy, 1)...)[0]
			message := b.request(t, ticket)
			if !test.unclaimed {
				require.True(t, b.claim(t, message, "worker-1").Granted)
			}
			if test.cancel {
				_, err := b.executions.Cancel(t.Context(), message.Execution, ada)
				require.NoError(t, err)
			}
			report := endOf(message, test.status)
			if test.exitCode != nil {
				report.ExitCode = test.exitCode
			}
			completion := b.finish(t, report)[0]
			execution := b.execution(t, message.Execution)
			if test.again {
				require.Equal(t, attune.CompletionRetrying, completion.Effect)
				require.Equal(t, attune.ExecutionRetrying, execution.Status)
				require.Equal(t, test.status, execution.AttemptStatus)
				require.Len(t, b.attempts(t, message.Execution), 1)
				return
			}
			require.Equal(t, attune.CompletionFinished, completion.Effect)
			require.Equal(t, test.status, execution.Status)
			require.Empty(t, execution.AttemptStatus)
			require.Equal(t, attune.EnforcementExecuted, b.enforcement(t, ticket.Enforcement).Status)
			require.Empty(t, b.attempts(t, message.Execution))
		})
	}
}

// TestExecutions_FinishKeepsWhatIsLeft checks the output of an attempt that is retried.
func TestExecutions_FinishKeepsWhatIsLeft(t *testing.T) {
	t.Parallel()
	for _, placement := range []attune.RetryPlacement{attune.RetryHold, attune.RetryBack, attune.RetryPark} {
		t.Run(string(placement), func(t *testing.T) {
			t.Parallel()
			b := setupRetries(t, placement)
			_, message := b.runFirst(t)
			before := b.execution(t, message.Execution)
			report := failed(message)
			b.finish(t, report)

			want := before
			want.Status, want.AttemptStatus = attune.ExecutionRetrying, attune.ExecutionFailed
			want.Reason, want.Error, want.ExitCode, want.Result = report.Reason, report.Error, report.ExitCode, report.Result
			want.Stdout, want.Stderr, want.Truncated = report.Stdout, report.Stderr, report.Truncated
			want.LeaseUntil = nil
			got := b.execution(t, message.Execution)
			require.Equal(t, placement == attune.RetryHold, got.RetryAt != nil)
			want.RetryAt = got.RetryAt
			want.Sequence = b.enforcement(t, message.Enforcement).Sequence
			require.Empty(t, cmp.Diff(want, got))

			attempts := b.attempts(t, message.Execution)
			require.Empty(t, cmp.Diff([]attune.ExecutionAttempt{{
				Attempt: 1, Status: attune.ExecutionFailed, Reason: report.Reason, Error: report.Error, ExitCode: report.ExitCode,
				Worker: "worker-1", StartedAt: before.StartedAt, FinishedAt: attempts[0].FinishedAt,
			}}, attempts))
			require.False(t, attempts[0].FinishedAt.Before(*before.StartedAt))
		})
	}
}

// TestExecutions_FinishHold keeps the slot from the first attempt to the last.
func TestExecutions_FinishHold(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryHold)
	ticket, message := b.runFirst(t)
	b.takeOutbox(t)
	given := b.grants(t, attune.Page{})[0]

	for attempt := 1; attempt <= 2; attempt++ {
		started := *b.execution(t, message.Execution).StartedAt
		completion := b.fail(t, message)
		next := ticket
		next.Attempt = attempt + 1
		require.Empty(t, cmp.Diff(attune.Completion{
			Execution: message.Execution, Queue: queueKey, Ticket: next, Effect: attune.CompletionRetrying,
			NotBefore: completion.NotBefore,
		}, completion))
		require.True(t, completion.NotBefore.Equal(*b.execution(t, message.Execution).RetryAt))
		// The delay starts between the start and the end of the report's transaction.
		delay := time.Duration(attempt) * retryDelay
		require.False(t, completion.NotBefore.Add(-delay).Before(started.Truncate(time.Millisecond)))
		require.False(t, completion.NotBefore.Add(-delay).After(b.attempts(t, message.Execution)[attempt-1].FinishedAt))

		b.requireNoChange(t, func() { require.Empty(t, cmp.Diff(completion, b.fail(t, message))) })
		enforcement := b.enforcement(t, ticket.Enforcement)
		require.Equal(t, attune.EnforcementGranted, enforcement.Status)
		require.Equal(t, given.Number, enforcement.GrantNumber)
		logged := b.grants(t, attune.Page{})
		require.Len(t, logged, 1)
		require.Equal(t, attempt, logged[0].Attempt)
		require.Nil(t, logged[0].ReleasedAt)
		require.EqualValues(t, 1, b.stats(t).ActiveCount)
		require.Zero(t, b.stats(t).TotalCompleted)
		require.Empty(t, b.announced(t))
		require.Equal(t, attune.ExecutionRetrying, b.claim(t, message, "worker-2").Status)

		again := given.Grant
		again.Ticket = completion.Ticket
		message = b.run(t, again)
		require.Equal(t, attempt+1, message.Attempt)
		given.Attempt, given.Outcome = attempt+1, attune.ExecutionRunning
		require.Empty(t, cmp.Diff([]attune.LoggedGrant{given}, b.grants(t, attune.Page{})))
		stale := message
		stale.Attempt = attempt
		b.requireNoChange(t, func() { require.Equal(t, attune.CompletionStale, b.fail(t, stale).Effect) })
	}

	require.Equal(t, attune.CompletionFinished, b.fail(t, message).Effect, "the third attempt is the last")
	execution := b.execution(t, message.Execution)
	require.Equal(t, attune.ExecutionFailed, execution.Status)
	require.Equal(t, 3, execution.Attempt)
	require.Equal(t, execution.FinishedAt, b.grants(t, attune.Page{})[0].ReleasedAt)
	require.Len(t, b.attempts(t, message.Execution), 2)
	require.EqualValues(t, 1, b.stats(t).TotalCompleted)
	require.NoError(t, addsUp(b.stats(t)))
}

// TestExecutions_FinishBack gives the slot back and goes to the end of the line.
func TestExecutions_FinishBack(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryBack)
	tickets := b.admit(t, b.created(t, deploy, 3)...)
	message := b.run(t, grant(tickets[0]))
	b.takeOutbox(t)
	place := tickets[0]
	for attempt := 1; attempt <= 2; attempt++ {
		completion := b.fail(t, message)
		enforcement := b.enforcement(t, message.Enforcement)
		next := attune.Ticket{
			Enforcement: message.Enforcement, Sequence: int64(3 + attempt), EnqueuedAt: *enforcement.QueuedAt, Attempt: attempt + 1,
			Action: enforcement.ActionID,
		}
		require.Empty(t, cmp.Diff(attune.Completion{
			Execution: message.Execution, Queue: queueKey, Ticket: next, Effect: attune.CompletionRequeued,
		}, completion))
		require.False(t, next.EnqueuedAt.Before(tickets[2].EnqueuedAt))
		require.Equal(t, attune.EnforcementQueued, enforcement.Status)
		require.Equal(t, next.Sequence, enforcement.Sequence)
		require.Zero(t, enforcement.GrantNumber)
		require.Nil(t, enforcement.GrantedAt)

		logged := b.grants(t, attune.Page{})[0]
		require.Equal(t, place.Sequence, logged.Sequence, "the log keeps the place that was granted")
		require.Equal(t, place.EnqueuedAt, logged.EnqueuedAt)
		require.Equal(t, attempt, logged.Attempt)
		require.Equal(t, b.attempts(t, message.Execution)[attempt-1].FinishedAt, *logged.ReleasedAt)
		stats := b.stats(t)
		require.EqualValues(t, attempt, stats.TotalCompleted)
		require.EqualValues(t, 3, stats.QueueLength)
		require.Zero(t, stats.ActiveCount)
		require.NoError(t, addsUp(stats))

		require.Equal(t, []attune.EnforcementID{message.Enforcement}, b.announced(t))
		b.requireNoChange(t, func() {
			require.Empty(t, cmp.Diff(completion, b.fail(t, message)))
			require.Equal(t, []attune.Ticket{next}, b.admit(t, message.Enforcement))
		})
		waiting, err := b.queues.Tickets(t.Context(), queueKey, 1, 99)
		require.NoError(t, err)
		require.Equal(t, []attune.Ticket{tickets[1], tickets[2], next}, waiting)
		require.EqualValues(t, 3, b.waiting(t, message.Enforcement).Position())

		place, message = next, b.run(t, b.nextGrant(t, next))
		require.Equal(t, attempt+1, message.Attempt)
	}
	require.Equal(t, attune.CompletionFinished, b.fail(t, message).Effect)
	require.EqualValues(t, 3, b.stats(t).TotalCompleted)
	require.NoError(t, addsUp(b.stats(t)))
	require.Empty(t, b.announced(t))
	require.Equal(t, []int64{3, 2, 1}, numbersOf(b.grants(t, attune.Page{})))
}

// TestExecutions_FinishPark gives the slot back, and waits for a person.
func TestExecutions_FinishPark(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryPark)
	ticket, message := b.runFirst(t)
	granted := b.enforcement(t, ticket.Enforcement)
	b.takeOutbox(t)
	completion := b.fail(t, message)
	require.Empty(t, cmp.Diff(attune.Completion{
		Execution: message.Execution, Queue: queueKey, Ticket: ticket, Effect: attune.CompletionParked,
	}, completion))
	granted.Status = attune.EnforcementParked
	require.Empty(t, cmp.Diff(granted, b.enforcement(t, ticket.Enforcement)))
	require.Equal(t, b.attempts(t, message.Execution)[0].FinishedAt, *b.grants(t, attune.Page{})[0].ReleasedAt)
	stats := b.stats(t)
	require.EqualValues(t, 1, stats.TotalCompleted)
	require.Zero(t, stats.ActiveCount)
	require.NoError(t, addsUp(stats))
	require.Empty(t, b.announced(t))
	b.requireNoChange(t, func() {
		require.Empty(t, cmp.Diff(completion, b.fail(t, message)))
		admissions, err := b.enforcements.Admit(t.Context(), []attune.EnforcementID{ticket.Enforcement})
		require.NoError(t, err)
		require.Empty(t, admissions, "it does not wait in line")
	})
	parked, err := b.enforcements.List(t.Context(), attune.EnforcementFilter{Status: attune.EnforcementParked}, attune.Page{})
	require.NoError(t, err)
	require.Len(t, parked, 1)
}

// TestExecutions_FinishByThePolicyOfThatMoment changes the policy while an attempt runs.
func TestExecutions_FinishByThePolicyOfThatMoment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tickets := b.admit(t, b.created(t, deploy, 2)...)
	first, second := b.run(t, grant(tickets[0])), b.run(t, grant(tickets[1]))
	b.policy(t, retries(attune.RetryPark))
	require.Equal(t, attune.CompletionParked, b.fail(t, first).Effect)
	b.policy(t, &attune.Policy{RetryPlacement: new(attune.RetryPark)})
	require.Equal(t, attune.CompletionFinished, b.fail(t, second).Effect)
	require.Equal(t, attune.EnforcementParked, b.enforcement(t, first.Enforcement).Status, "what is parked stays so")
}

// TestExecutions_FinishMixedBatch finishes a batch in its order: the first report about an attempt counts.
func TestExecutions_FinishMixedBatch(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryBack)
	messages := b.requested(t, 4)
	b.takeOutbox(t)
	stale := failed(messages[3])
	stale.Attempt = 2
	completions := b.finish(t,
		failed(messages[2]), reportOf(messages[2]), failed(messages[0]), reportOf(messages[1]), failed(messages[1]),
		failed(messages[0]), stale, attune.ExecutionCompletedMessage{Execution: 4711, Attempt: 1, Status: attune.ExecutionFailed},
	)
	effects := make([]attune.CompletionEffect, len(completions))
	tickets := make([]attune.Ticket, len(completions))
	for i, c := range completions {
		effects[i], tickets[i] = c.Effect, c.Ticket
	}
	require.Equal(t, []attune.CompletionEffect{
		attune.CompletionRequeued, attune.CompletionRequeued, attune.CompletionRequeued, attune.CompletionFinished,
		attune.CompletionRepeated, attune.CompletionRequeued, attune.CompletionStale, attune.CompletionUnknown,
	}, effects)
	require.Equal(t, []int64{5, 5, 6, 2, 2, 6, 4, 0}, sequencesOf(tickets))
	require.Equal(t, []attune.EnforcementID{messages[2].Enforcement, messages[0].Enforcement}, b.announced(t))
	require.EqualValues(t, 3, b.stats(t).TotalCompleted)
	require.NoError(t, addsUp(b.stats(t)))
	require.Equal(t, attune.ExecutionSucceeded, b.execution(t, messages[1].Execution).Status)
}

func TestExecutions_FinishIsSetBased(t *testing.T) {
	t.Parallel()
	for _, placement := range []attune.RetryPlacement{attune.RetryHold, attune.RetryBack, attune.RetryPark} {
		t.Run(string(placement), func(t *testing.T) {
			t.Parallel()
			b := setupRetries(t, placement)
			var reports []attune.ExecutionCompletedMessage
			for i, message := range b.running(t, 200) {
				reports = append(reports, failed(message))
				if i%2 == 0 {
					reports[i] = reportOf(message)
				}
			}
			counted := new(counter)
			tracing := open(t, postgres.Config{URL: b.url, Tracer: counted})
			before := counted.statements.Load()
			_, err := tracing.executions.Executions.Finish(t.Context(), reports)
			require.NoError(t, err)
			// begin, lock queues, lock executions, read, end executions, journal, end enforcements, new places, announce, commit
			require.LessOrEqual(t, counted.statements.Load()-before, int64(10))
			require.EqualValues(t, 100, b.count(t, `SELECT count(*) FROM execution_attempts`))
			require.NoError(t, addsUp(b.stats(t)))
		})
	}
}
