package postgres_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestExecutions_RequestNext requests the second attempt after each placement.
func TestExecutions_RequestNext(t *testing.T) {
	t.Parallel()
	for _, placement := range []attune.RetryPlacement{attune.RetryHold, attune.RetryBack, attune.RetryPark} {
		t.Run(string(placement), func(t *testing.T) {
			t.Parallel()
			b := setupRetries(t, placement)
			_, message := b.runFirst(t)
			given := b.grants(t, attune.Page{})[0].Grant
			completion := b.fail(t, message)
			given.Ticket = completion.Ticket
			if placement == attune.RetryPark {
				_, err := b.enforcements.Retry(t.Context(), message.Enforcement, ada)
				require.NoError(t, err)
			}
			if placement != attune.RetryHold {
				given = b.nextGrant(t, b.admit(t, message.Enforcement)[0])
			}
			pack := demoPack() // the action has changed in between
			pack.Digest, pack.Policy = "demo-2", retries(placement)
			pack.Actions[0].Command, pack.Actions[0].Env, pack.Actions[0].Pool = []string{"./other.sh"}, []string{"PATH"}, "other"
			pack.Actions[0].Timeout = time.Hour
			b.install(t, pack)

			request, err := b.executions.Request(t.Context(), queueKey, given)
			require.NoError(t, err)
			want := message
			want.Attempt, want.Pool = 2, "other"
			require.Empty(t, cmp.Diff(attune.ExecutionRequest{Message: &want}, request))

			enforcement, execution := b.enforcement(t, message.Enforcement), b.execution(t, message.Execution)
			require.Empty(t, cmp.Diff(attune.Execution{
				ID: message.Execution, Enforcement: message.Enforcement, Action: deploy, ActionID: enforcement.ActionID, Queue: queueKey,
				Sequence: enforcement.Sequence, Attempt: 2, Status: attune.ExecutionRequested, Pool: "other",
				Parameters: enforcement.Parameters, Timeout: attune.Duration(time.Hour), RequestedAt: execution.RequestedAt,
			}, execution), "nothing of the attempt before is left")
			require.Equal(t, attune.EnforcementGranted, enforcement.Status)
			require.Equal(t, given.Number, enforcement.GrantNumber)
			logged := b.grants(t, attune.Page{})[0]
			require.Equal(t, 2, logged.Attempt)
			require.Equal(t, given.Number, logged.Number)
			require.Nil(t, logged.ReleasedAt)
			require.Equal(t, placement != attune.RetryHold, logged.RequestedAt.Equal(execution.RequestedAt))
			require.Len(t, b.attempts(t, message.Execution), 1)
			require.NoError(t, addsUp(b.stats(t)))

			b.requireNoChange(t, func() {
				repeated, err := b.executions.Request(t.Context(), queueKey, given)
				require.NoError(t, err)
				require.Empty(t, cmp.Diff(request, repeated))
			})
			decisions, err := b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{claimOf(want, "worker-2")}, lease)
			require.NoError(t, err)
			require.True(t, decisions[0].Reply.Granted)
			require.Equal(t, attune.ExecutionInput{
				Enforcement: message.Enforcement, Action: deploy, ActionDigest: pack.Actions[0].Digest(), Parameters: enforcement.Parameters,
			}, decisions[0].Input, "the digest is that of the changed action")
			require.False(t, b.claim(t, message, "worker-1").Granted, "the first attempt is over")
			b.requireNoChange(t, func() {
				repeated, err := b.executions.Request(t.Context(), queueKey, given)
				require.NoError(t, err)
				require.Empty(t, cmp.Diff(attune.ExecutionRequest{}, repeated))
				require.Equal(t, attune.CompletionStale, b.fail(t, message).Effect)
			})
			report := reportOf(want)
			require.Equal(t, attune.CompletionForged, b.finish(t, report)[0].Effect, "the worker of the first attempt")
			report.Key = keyOf("worker-2")
			require.Equal(t, attune.CompletionFinished, b.finish(t, report)[0].Effect)
			require.Equal(t, "worker-2", b.execution(t, message.Execution).Worker)
		})
	}
}

// TestExecutions_RequestHeld requests attempts under a kept grant at the wrong time.
func TestExecutions_RequestHeld(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryHold)
	_, message := b.runFirst(t)
	given := b.grants(t, attune.Page{})[0].Grant
	ask := func(attempt int) attune.ExecutionRequest {
		again := given
		again.Attempt = attempt
		request, err := b.executions.Request(t.Context(), queueKey, again)
		require.NoError(t, err)
		return request
	}
	b.requireNoChange(t, func() { require.Equal(t, attune.ExecutionRequest{}, ask(2), "the first one runs") })
	b.fail(t, message)
	b.requireNoChange(t, func() {
		for _, attempt := range []int{0, 1, 3} {
			require.Equal(t, attune.ExecutionRequest{}, ask(attempt), "attempt %d", attempt)
		}
	})
	require.Equal(t, 2, ask(2).Message.Attempt)
	b.requireNoChange(t, func() { require.Equal(t, 2, ask(1).Message.Attempt, "what is requested can be published again") })
}

// TestExecutions_RequestFenced repeats grants of former places.
func TestExecutions_RequestFenced(t *testing.T) {
	t.Parallel()

	requireFenced := func(t *testing.T, b *bundle, given attune.Grant) {
		t.Helper()
		b.requireNoChange(t, func() {
			request, err := b.executions.Request(t.Context(), queueKey, given)
			require.NoError(t, err)
			require.Equal(t, attune.ExecutionRequest{Fenced: true}, request)
		})
	}

	t.Run("a grant of a former place is fenced off", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryBack)
		ticket, message := b.runFirst(t)
		next := b.fail(t, message).Ticket
		requireFenced(t, b, grant(ticket))
		second := grant(ticket)
		second.Attempt = 2
		requireFenced(t, b, second)
		future := next
		future.Sequence++
		requireFenced(t, b, b.nextGrant(t, future))
		second = b.nextGrant(t, next)
		message = b.run(t, second)
		requireFenced(t, b, grant(ticket))
		b.finish(t, reportOf(message))
		request, err := b.executions.Request(t.Context(), queueKey, grant(ticket))
		require.NoError(t, err)
		require.Equal(t, attune.ExecutionRequest{Ended: true}, request)
	})

	t.Run("the grant of a parked enforcement is fenced off", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryPark)
		ticket, message := b.runFirst(t)
		b.fail(t, message)
		requireFenced(t, b, grant(ticket))
		second := grant(ticket)
		second.Attempt = 2
		requireFenced(t, b, second)
	})

	t.Run("a grant of an earlier generation is fenced off", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryHold)
		tickets := b.admit(t, b.created(t, deploy, 2)...)
		message := b.run(t, grant(tickets[0]))
		retried := b.fail(t, message)
		snapshot := b.rebuild(t)
		require.EqualValues(t, 1, snapshot.Generation)
		requireFenced(t, b, grant(tickets[1]))
		requireFenced(t, b, grant(tickets[0]))
		old := grant(tickets[0])
		old.Ticket = retried.Ticket
		requireFenced(t, b, old)

		// The rebuilt queue keeps the retry, and grants the other ticket again.
		message = b.run(t, snapshot.Holders[0])
		require.Equal(t, 2, message.Attempt)
		require.Zero(t, b.grants(t, attune.Page{})[0].Generation, "the log says who decided it")
		renewed := grant(snapshot.Waiting[0])
		renewed.Generation = snapshot.Generation
		b.run(t, renewed)
		require.EqualValues(t, 1, b.grants(t, attune.Page{})[0].Generation)
		b.finish(t, reportOf(message))
		request, err := b.executions.Request(t.Context(), queueKey, old)
		require.NoError(t, err)
		require.Equal(t, attune.ExecutionRequest{Ended: true}, request)
	})

	t.Run("the generation of another queue has no effect", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.admitOther(t)
		_, err := b.queues.Rebuild(t.Context(), "demo.notify")
		require.NoError(t, err)
		ticket := b.admit(t, b.created(t, deploy, 1)...)[0]
		b.run(t, grant(ticket))
	})
}

// TestExecutions_RequestNumberOfTheLog checks that a number that only the log has is not used again.
func TestExecutions_RequestNumberOfTheLog(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryBack)
	tickets := b.admit(t, b.created(t, deploy, 2)...)
	message := b.run(t, grant(tickets[0]))
	b.fail(t, message)
	taken := grant(tickets[1])
	taken.Number = 1
	b.run(t, taken)
	require.EqualValues(t, 2, b.enforcement(t, tickets[1].Enforcement).GrantNumber)
	require.Equal(t, []int64{2, 1}, numbersOf(b.grants(t, attune.Page{})))
	require.EqualValues(t, 2, b.rebuild(t).LastGrant)
}

// TestExecutions_RequestNextAtOnce requests the same next attempt concurrently.
func TestExecutions_RequestNextAtOnce(t *testing.T) {
	t.Parallel()
	for _, placement := range []attune.RetryPlacement{attune.RetryHold, attune.RetryBack} {
		t.Run(string(placement), func(t *testing.T) {
			t.Parallel()
			b := setupRetries(t, placement)
			_, message := b.runFirst(t)
			given := b.grants(t, attune.Page{})[0].Grant
			given.Ticket = b.fail(t, message).Ticket
			if placement == attune.RetryBack {
				given = b.nextGrant(t, given.Ticket)
			}
			requests, errs := make([]attune.ExecutionRequest, 12), make([]error, 12)
			var wg sync.WaitGroup
			for i := range requests {
				wg.Go(func() { requests[i], errs[i] = b.executions.Request(t.Context(), queueKey, given) })
			}
			wg.Wait()
			require.NoError(t, errors.Join(errs...))
			for _, request := range requests {
				require.Empty(t, cmp.Diff(requests[0], request))
			}
			require.Equal(t, 2, requests[0].Message.Attempt)
		})
	}
}

// TestQueues_RebuildWithRetries rebuilds a queue whose tickets wait for different attempts.
func TestQueues_RebuildWithRetries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tickets := b.admit(t, b.created(t, deploy, 5)...)
	var messages []attune.ExecutionRequestedMessage
	for _, ticket := range tickets[:4] {
		messages = append(messages, b.run(t, grant(ticket)))
	}
	b.policy(t, retries(attune.RetryBack))
	requeued := b.fail(t, messages[0])
	b.policy(t, retries(attune.RetryPark))
	b.fail(t, messages[1])
	b.policy(t, retries(attune.RetryHold))
	held := b.fail(t, messages[2])

	snapshot := b.rebuild(t)
	require.EqualValues(t, 6, snapshot.LastSequence)
	require.EqualValues(t, 4, snapshot.LastGrant)
	requireRetries(t, snapshot.Policy, attune.RetryHold)
	require.Equal(t, []attune.Ticket{tickets[4], requeued.Ticket}, snapshot.Waiting)
	require.Len(t, snapshot.Holders, 2)
	require.Equal(t, held.Ticket, snapshot.Holders[0].Ticket)
	require.Equal(t, held.NotBefore, snapshot.Holders[0].NotBefore)
	running := tickets[3]
	running.Attempt = 1
	require.Equal(t, running, snapshot.Holders[1].Ticket)
	require.Zero(t, snapshot.Holders[1].NotBefore)

	// A queue with its state inspects only the holders that it knows.
	var suspects []attune.Grant
	for _, ticket := range tickets {
		suspects = append(suspects, grant(ticket))
	}
	suspects = append(suspects, grant(requeued.Ticket))
	ended, waiting, err := b.enforcements.Inspect(t.Context(), queueKey, suspects)
	require.NoError(t, err)
	require.Equal(t, []attune.Ticket{suspects[0].Ticket, suspects[1].Ticket}, ended, "given up, and parked")
	require.Equal(t, []attune.Ticket{tickets[4], requeued.Ticket}, waiting)
	b.run(t, attune.Grant{Ticket: requeued.Ticket, Generation: 1, Number: 5, GrantedAt: time.Now()})
	ended, waiting, err = b.enforcements.Inspect(t.Context(), queueKey, suspects)
	require.NoError(t, err)
	require.Equal(t, []attune.Ticket{suspects[0].Ticket, suspects[1].Ticket}, ended, "granted at another place, and parked")
	require.Equal(t, []attune.Ticket{tickets[4]}, waiting)
}
