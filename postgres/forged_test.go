package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestExecutions_ClaimKey claims an attempt again, with the key that worker-1 has pinned and with other keys.
func TestExecutions_ClaimKey(t *testing.T) {
	t.Parallel()

	decide := func(t *testing.T, b *bundle, claim attune.ExecutionClaimMessage) attune.ClaimDecision {
		t.Helper()
		decisions, err := b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{claim}, lease)
		require.NoError(t, err)
		return decisions[0]
	}

	t.Run("only the pinned key gets the input", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.requested(t, 1)[0]
		first := decide(t, b, claimOf(message, "worker-1"))
		require.Equal(t, attune.ExecutionInput{
			Enforcement: message.Enforcement, Action: deploy, ActionDigest: demoPack().Actions[0].Digest(),
			Parameters: b.enforcement(t, message.Enforcement).Parameters,
		}, first.Input)
		require.Empty(t, cmp.Diff(first, decide(t, b, claimOf(message, "worker-1"))))

		other := claimOf(message, "worker-1") // the same name
		other.Key = keyOf("another process")
		b.requireNoChange(t, func() {
			refused := decide(t, b, other)
			require.Equal(t, attune.ClaimDecision{
				Reply:    attune.ExecutionClaimReply{Execution: message.Execution, Attempt: 1, Status: attune.ExecutionRunning},
				OtherKey: true,
			}, refused)
		})
	})

	t.Run("a copy of a claim gets what is left of the lease, and renews nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.requested(t, 1)[0]
		claim := claimOf(message, "worker-1")
		first := decide(t, b, claim)
		b.exec(t, `UPDATE executions SET lease_until = lease_until - interval '20 s' WHERE id = $1`, message.Execution)
		b.requireNoChange(t, func() {
			again := decide(t, b, claim)
			require.True(t, again.Reply.Granted)
			require.Less(t, again.Reply.Lease, first.Reply.Lease-attune.Duration(19*time.Second))
			require.Equal(t, first.Input, again.Input)
		})
		b.runOut(t, message.Execution)
		b.requireNoChange(t, func() {
			require.Equal(t, attune.ClaimDecision{
				Reply: attune.ExecutionClaimReply{Execution: message.Execution, Attempt: 1, Status: attune.ExecutionRunning},
			}, decide(t, b, claim))
		})
	})

	t.Run("the highest serial of a batch is pinned", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.requested(t, 1)[0]
		first, second := claimOf(message, "worker-1"), claimOf(message, "worker-1")
		decisions, err := b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{first, second}, lease)
		require.NoError(t, err)
		require.True(t, decisions[0].Reply.Granted && decisions[1].Reply.Granted)
		b.requireNoChange(t, func() { decide(t, b, second) })
	})

	t.Run("the next attempt accepts another key", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryHold)
		_, message := b.runFirst(t)
		request, err := b.executions.Request(t.Context(), queueKey, grant(b.fail(t, message).Ticket))
		require.NoError(t, err)
		early := reportOf(*request.Message)
		completions, err := b.executions.Executions.Finish(t.Context(), []attune.ExecutionCompletedMessage{early})
		require.NoError(t, err)
		require.Equal(t, attune.CompletionForged, completions[0].Effect, "worker-1 has claimed only the first attempt")
		require.Equal(t, []attune.AttemptID{attemptOf(*request.Message)}, b.renew(t, attemptOf(*request.Message)))
		require.True(t, decide(t, b, claimOf(*request.Message, "worker-2")).Reply.Granted)
		require.False(t, decide(t, b, claimOf(*request.Message, "worker-1")).Reply.Granted)
	})
}

// TestExecutions_RenewSerial sends renewals of worker-1 again.
func TestExecutions_RenewSerial(t *testing.T) {
	t.Parallel()
	b := setup(t)
	messages := b.running(t, 2)
	x0, x1 := attemptOf(messages[0]), attemptOf(messages[1])
	renew := func(t *testing.T, renewals ...attune.ExecutionRenewMessage) []attune.Renewal {
		t.Helper()
		answers, err := b.executions.Renew(t.Context(), renewals, lease)
		require.NoError(t, err)
		for i := range answers {
			answers[i].Reply.Lease = 0
		}
		return answers
	}
	old, last := renewalOf("worker-1", x0, x1), renewalOf("worker-1", x0)
	require.Equal(t, []attune.Renewal{{}}, renew(t, last))
	require.Equal(t, []attune.Renewal{{Reply: attune.ExecutionRenewReply{Late: []attune.AttemptID{x0}}}}, renew(t, old), "x1 has not seen a later one")
	b.requireNoChange(t, func() {
		require.Equal(t, []attune.Renewal{
			{Reply: attune.ExecutionRenewReply{Late: []attune.AttemptID{x0, x1}}}, {Reply: attune.ExecutionRenewReply{Late: []attune.AttemptID{x0}}},
		}, renew(t, old, last))
	})
	b.runOut(t, x0.Execution)
	require.Equal(t, []attune.Renewal{{Reply: attune.ExecutionRenewReply{Lost: []attune.AttemptID{x0}}}}, renew(t, last),
		"a lease that is over is lost, also for a copy")
}

// TestExecutions_RenewTwoBridges renews an attempt through a bridge with a short lease. The broker then delivers the renewal again, to a
// bridge with a long lease. Its reply must not promise more than the row holds.
func TestExecutions_RenewTwoBridges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const short, long = time.Minute, time.Hour
	message := b.requested(t, 1)[0]
	_, err := b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{claimOf(message, "worker-1")}, short)
	require.NoError(t, err)
	x := attemptOf(message)
	renewal := []attune.ExecutionRenewMessage{renewalOf("worker-1", x)}
	answers, err := b.executions.Renew(t.Context(), renewal, short)
	require.NoError(t, err)
	require.Equal(t, []attune.Renewal{{Reply: attune.ExecutionRenewReply{Lease: attune.Duration(short)}}}, answers)
	before := *b.leaseOf(t, x.Execution)
	answers, err = b.executions.Renew(t.Context(), renewal, long)
	require.NoError(t, err)
	require.Equal(t, []attune.AttemptID{x}, answers[0].Reply.Late, "the long lease is not that of the attempt")
	require.Equal(t, before, *b.leaseOf(t, x.Execution))
}

// TestExecutions_Pools sends messages of worker-1 with the pool of another worker. The action deploy runs in the pool default.
func TestExecutions_Pools(t *testing.T) {
	t.Parallel()

	t.Run("a claim for another pool gets nothing and takes nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.requested(t, 1)[0]
		foreign, honest := claimOf(message, "thief"), claimOf(message, "worker-1")
		foreign.Pool = "small"
		want := attune.ClaimDecision{
			Reply:     attune.ExecutionClaimReply{Execution: message.Execution, Attempt: 1, Status: attune.ExecutionRequested},
			OtherPool: true,
		}
		b.requireNoChange(t, func() {
			decisions, err := b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{foreign, foreign}, lease)
			require.NoError(t, err)
			require.Equal(t, []attune.ClaimDecision{want, want}, decisions)
		})
		decisions, err := b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{foreign, honest}, lease)
		require.NoError(t, err)
		require.True(t, decisions[1].Reply.Granted, "the first claim of its pool")
		require.True(t, decisions[0].OtherPool)
		require.Empty(t, decisions[0].Input)

		own := honest // the pinned key, with the routing key of another pool
		own.Pool, own.Serial = "small", nextSerial()
		b.requireNoChange(t, func() {
			decisions, err := b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{own}, lease)
			require.NoError(t, err)
			require.True(t, decisions[0].OtherPool && !decisions[0].Reply.Granted)
		})
	})

	t.Run("a renewal for another pool renews nothing and loses nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		x := attemptOf(b.running(t, 1)[0])
		foreign := renewalOf("worker-1", x)
		foreign.Pool = "small"
		b.requireNoChange(t, func() {
			answers, err := b.executions.Renew(t.Context(), []attune.ExecutionRenewMessage{foreign}, lease)
			require.NoError(t, err)
			require.Equal(t, []attune.Renewal{
				{Reply: attune.ExecutionRenewReply{Lease: attune.Duration(lease)}, OtherPool: []attune.AttemptID{x}},
			}, answers)
		})
		answers, err := b.executions.Renew(t.Context(), []attune.ExecutionRenewMessage{foreign, renewalOf("worker-1", x)}, lease)
		require.NoError(t, err)
		require.Equal(t, []attune.AttemptID{x}, answers[0].OtherPool, "also in a batch with an honest one")
		require.Empty(t, answers[1].OtherPool)
	})

	t.Run("a report for another pool changes nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		report := reportOf(b.running(t, 1)[0])
		foreign, none := report, report
		foreign.Pool, none.Pool = "small", ""
		b.requireNoChange(t, func() {
			completions, err := b.executions.Executions.Finish(t.Context(), []attune.ExecutionCompletedMessage{foreign, none})
			require.NoError(t, err)
			require.Equal(t, []attune.CompletionEffect{attune.CompletionForeign, attune.CompletionForeign}, effectsOf(completions))
		})
		require.Equal(t, attune.CompletionFinished, b.finish(t, report)[0].Effect)
	})
}

// TestExecutions_FinishKey reports attempts with keys that have not claimed them.
func TestExecutions_FinishKey(t *testing.T) {
	t.Parallel()
	finish := func(t *testing.T, b *bundle, reports ...attune.ExecutionCompletedMessage) []attune.CompletionEffect {
		t.Helper()
		completions, err := b.executions.Executions.Finish(t.Context(), reports) // claims nothing before
		require.NoError(t, err)
		return effectsOf(completions)
	}

	t.Run("an unclaimed attempt has no report", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		report := reportOf(b.requested(t, 1)[0])
		unsigned := report
		unsigned.Key = attune.WorkerKey{}
		b.requireNoChange(t, func() {
			require.Equal(t, []attune.CompletionEffect{attune.CompletionForged, attune.CompletionForged}, finish(t, b, report, unsigned))
		})
	})

	t.Run("a report with another key changes nothing, before the end and after it", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		report := reportOf(b.running(t, 1)[0])
		forged, unsigned := report, report
		forged.Key, forged.Status, unsigned.Key = keyOf("worker-2"), attune.ExecutionFailed, attune.WorkerKey{}
		b.requireNoChange(t, func() {
			require.Equal(t, []attune.CompletionEffect{attune.CompletionForged, attune.CompletionForged}, finish(t, b, forged, unsigned))
		})
		require.Equal(t, []attune.CompletionEffect{
			attune.CompletionForged, attune.CompletionFinished, attune.CompletionForged, attune.CompletionRepeated,
		}, finish(t, b, forged, report, forged, report))
		require.Equal(t, attune.ExecutionSucceeded, b.execution(t, report.Execution).Status)
	})

	t.Run("a message about an end changes nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.running(t, 1)[0]
		ended := attune.ExecutionEndedMessage{Execution: message.Execution, Attempt: 1, Status: attune.ExecutionAbandoned}
		unknown := ended
		unknown.Execution = 4711
		b.requireNoChange(t, func() {
			require.Equal(t, []attune.CompletionEffect{attune.CompletionStale, attune.CompletionUnknown},
				effectsOf(b.end(t, ended, unknown)), "the attempt runs")
		})
	})
}
