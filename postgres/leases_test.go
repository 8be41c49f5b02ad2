package postgres_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// running makes n executions of the deploy action that worker-1 has claimed.
func (b *bundle) running(t *testing.T, n int) []attune.ExecutionRequestedMessage {
	t.Helper()
	messages := b.requested(t, n)
	claims := make([]attune.ExecutionClaimMessage, n)
	for i, message := range messages {
		claims[i] = claimOf(message, "worker-1")
	}
	_, err := b.executions.Claim(t.Context(), claims, lease)
	require.NoError(t, err)
	return messages
}

// runOut makes the lease of an execution expire.
func (b *bundle) runOut(t *testing.T, id attune.ExecutionID) {
	t.Helper()
	b.exec(t, `UPDATE executions SET lease_until = clock_timestamp() - interval '1 second' WHERE id = $1`, id)
}

func (b *bundle) leaseOf(t *testing.T, id attune.ExecutionID) *time.Time {
	t.Helper()
	return b.execution(t, id).LeaseUntil
}

func attemptOf(m attune.ExecutionRequestedMessage) attune.AttemptID {
	return attune.AttemptID{Execution: m.Execution, Attempt: m.Attempt}
}

// renew renews attempts of worker-1, and returns the lost ones, and then the ones that it has not claimed.
func (b *bundle) renew(t *testing.T, attempts ...attune.AttemptID) []attune.AttemptID {
	t.Helper()
	replies, err := b.executions.Renew(t.Context(), []attune.ExecutionRenewMessage{renewalOf("worker-1", attempts...)}, lease)
	require.NoError(t, err)
	require.Len(t, replies, 1)
	require.Equal(t, attune.Duration(lease), replies[0].Reply.Lease)
	require.Empty(t, replies[0].Reply.Late)
	require.Empty(t, replies[0].OtherPool)
	return append(replies[0].Reply.Lost, replies[0].Forged...)
}

func (b *bundle) expireLeases(t *testing.T, limit int) int {
	t.Helper()
	n, err := b.executions.ExpireLeases(t.Context(), limit)
	require.NoError(t, err)
	return n
}

// reported returns the ends that wait in the outbox, and empties it.
func (b *bundle) reported(t *testing.T) []attune.ExecutionEndedMessage {
	t.Helper()
	var reports []attune.ExecutionEndedMessage
	for _, row := range b.takeOutbox(t) {
		if row.RoutingKey != attune.KeyExecutionEnded {
			continue
		}
		var report attune.ExecutionEndedMessage
		require.NoError(t, json.Unmarshal(row.Body, &report))
		require.Equal(t, row.MessageID, report.MessageID())
		require.NoError(t, report.Validate())
		reports = append(reports, report)
	}
	return reports
}

// inFullSQL counts the leases that end within a lease from now, but later than a lease from the start of their attempt.
const inFullSQL = `
SELECT count(*) FROM executions
WHERE lease_until BETWEEN started_at + interval '1 minute' AND clock_timestamp() + interval '1 minute'`

// TestExecutions_ClaimLeases claims an attempt again that worker-1 has claimed.
func TestExecutions_ClaimLeases(t *testing.T) {
	t.Parallel()
	running := attune.ExecutionRunning
	refused := attune.ExecutionClaimReply{Status: running}
	granted := attune.ExecutionClaimReply{Status: running, Granted: true, Lease: attune.Duration(lease)}
	tests := map[string]struct {
		before  func(*bundle, *testing.T, attune.ExecutionID)
		worker  string
		want    attune.ExecutionClaimReply
		renewed bool
	}{
		"the owner claims again": {worker: "worker-1", want: granted, renewed: true},
		"another worker claims":  {worker: "worker-2", want: refused},
		"the lease has expired": {
			before: (*bundle).runOut,
			worker: "worker-1", want: refused,
		},
		"another worker claims, and the lease has expired": {
			before: (*bundle).runOut,
			worker: "worker-2", want: refused,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			message := b.requested(t, 1)[0]
			require.Nil(t, b.leaseOf(t, message.Execution))
			require.Equal(t, attune.Duration(lease), b.claim(t, message, "worker-1").Lease)
			require.EqualValues(t, 1, b.count(t, inFullSQL))
			if test.before != nil {
				test.before(b, t, message.Execution)
			}
			test.want.Execution, test.want.Attempt = message.Execution, 1
			ask := func() { require.Equal(t, test.want, b.claim(t, message, test.worker)) }
			if !test.renewed {
				b.requireNoChange(t, ask)
				return
			}
			before := b.execution(t, message.Execution)
			ask()
			after := b.execution(t, message.Execution)
			require.True(t, after.LeaseUntil.After(*before.LeaseUntil))
			after.LeaseUntil = before.LeaseUntil
			require.Empty(t, cmp.Diff(before, after))
		})
	}

	t.Run("the owner's repeated claim renews the lease, although another worker asks first", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.running(t, 1)[0]
		before := *b.leaseOf(t, message.Execution)
		decisions, err := b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{
			claimOf(message, "worker-2"), claimOf(message, "worker-1"), claimOf(message, "worker-1"),
		}, lease)
		require.NoError(t, err)
		reply := refused
		reply.Execution, reply.Attempt = message.Execution, 1
		want := []attune.ExecutionClaimReply{reply, granted, granted}
		for i := range want {
			want[i].Execution, want[i].Attempt = message.Execution, 1
		}
		require.Equal(t, want, repliesOf(decisions))
		require.True(t, b.leaseOf(t, message.Execution).After(before))
	})

	t.Run("the next attempt has its own lease", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryHold)
		_, message := b.runFirst(t)
		completion := b.fail(t, message)
		require.Nil(t, b.leaseOf(t, message.Execution))
		given := grant(completion.Ticket)
		second := b.run(t, given)
		require.Equal(t, 2, second.Attempt)
		require.EqualValues(t, 1, b.count(t, inFullSQL))
		before := *b.leaseOf(t, message.Execution)
		require.Equal(t, []attune.AttemptID{attemptOf(message)}, b.renew(t, attemptOf(message)))
		require.Equal(t, before, *b.leaseOf(t, message.Execution))
		require.Empty(t, b.renew(t, attemptOf(second)))
		require.True(t, b.leaseOf(t, message.Execution).After(before))
	})

	t.Run("a claim without a lease is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.requested(t, 1)[0]
		for _, none := range []time.Duration{0, -time.Second} {
			_, err := b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{claimOf(message, "worker-1")}, none)
			requireCode(t, attune.CodeInvalid, err, attune.KeyExecutionClaim, none)
		}
		require.Equal(t, attune.ExecutionRequested, b.execution(t, message.Execution).Status)
	})
}

func TestExecutions_Renew(t *testing.T) {
	t.Parallel()

	t.Run("a renewal lists the lost attempts", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryHold)
		messages := b.running(t, 6)
		requested := b.request(t, b.admit(t, b.created(t, deploy, 1)...)[0])
		other := b.request(t, b.admit(t, b.created(t, deploy, 1)...)[0])
		require.True(t, b.claim(t, other, "worker-2").Granted)
		kept, alsoKept, over, ended, retrying, abandoned :=
			messages[0], messages[1], messages[2], messages[3], messages[4], messages[5]
		b.runOut(t, over.Execution)
		b.finish(t, reportOf(ended), failed(retrying), endOf(abandoned, attune.ExecutionAbandoned))
		wrongAttempt, unknown := attemptOf(kept), attune.AttemptID{Execution: 4711, Attempt: 1}
		wrongAttempt.Attempt = 2
		before := []time.Time{
			*b.leaseOf(t, kept.Execution), *b.leaseOf(t, alsoKept.Execution), *b.leaseOf(t, over.Execution), *b.leaseOf(t, other.Execution),
		}

		require.Equal(t, []attune.AttemptID{
			unknown, wrongAttempt, attemptOf(retrying), attemptOf(ended), attemptOf(over), attemptOf(abandoned), attemptOf(over),
			attemptOf(other), attemptOf(requested),
		}, b.renew(t, unknown, attemptOf(other), attemptOf(kept), wrongAttempt, attemptOf(requested),
			attemptOf(retrying), attemptOf(ended), attemptOf(over), attemptOf(alsoKept), attemptOf(kept), attemptOf(abandoned),
			attemptOf(over)))
		require.True(t, b.leaseOf(t, kept.Execution).After(before[0]))
		require.True(t, b.leaseOf(t, alsoKept.Execution).After(before[1]))
		require.Equal(t, before[2], *b.leaseOf(t, over.Execution))
		require.Equal(t, before[3], *b.leaseOf(t, other.Execution), "the lease of another worker")
		require.EqualValues(t, 3, b.count(t, inFullSQL))
		require.Nil(t, b.leaseOf(t, requested.Execution))
	})

	t.Run("replies keep the order of the renewals", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		messages := b.running(t, 2)
		x0, x1 := attemptOf(messages[0]), attemptOf(messages[1])
		b.runOut(t, x1.Execution)
		replies, err := b.executions.Renew(t.Context(), []attune.ExecutionRenewMessage{
			renewalOf("worker-2", x1, x0), renewalOf("worker-3"), renewalOf("worker-1", x0, x1), renewalOf("worker-1", x0),
		}, lease)
		require.NoError(t, err)
		full := attune.Duration(lease)
		reply := attune.ExecutionRenewReply{Lease: full}
		require.Empty(t, cmp.Diff([]attune.Renewal{
			{Reply: reply, Forged: []attune.AttemptID{x1, x0}}, {Reply: reply},
			{Reply: attune.ExecutionRenewReply{Lease: full, Lost: []attune.AttemptID{x1}}}, {Reply: reply},
		}, replies))
		replies, err = b.executions.Renew(t.Context(), nil, lease)
		require.NoError(t, err)
		require.Empty(t, replies)
	})

	t.Run("a lease is never shortened", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.running(t, 1)[0]
		renewal := []attune.ExecutionRenewMessage{renewalOf("worker-1", attemptOf(message))}
		before := *b.leaseOf(t, message.Execution)
		replies, err := b.executions.Renew(t.Context(), renewal, time.Second)
		require.NoError(t, err)
		require.Equal(t, []attune.Renewal{{Reply: attune.ExecutionRenewReply{Lease: attune.Duration(time.Second)}}}, replies)
		require.Equal(t, before, *b.leaseOf(t, message.Execution))
		_, err = b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{claimOf(message, "worker-1")}, time.Second)
		require.NoError(t, err)
		require.Equal(t, before, *b.leaseOf(t, message.Execution))
	})

	t.Run("an invalid renewal is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		asked := []attune.AttemptID{attemptOf(b.running(t, 1)[0])}
		tests := map[string]struct {
			renewal  attune.ExecutionRenewMessage
			lease    time.Duration
			mentions []any
		}{
			"the worker is missing":    {renewalOf("", asked...), lease, []any{"worker"}},
			"the serial is missing":    {attune.ExecutionRenewMessage{Worker: "w", Attempts: asked, Key: keyOf("w")}, lease, []any{`"w"`, "serial"}},
			"the key is missing":       {attune.ExecutionRenewMessage{Worker: "w", Attempts: asked, Serial: 1}, lease, []any{`"w"`, "key"}},
			"the execution is missing": {renewalOf("w", attune.AttemptID{Attempt: 3}), lease, []any{`"w"`, "0, 3"}},
			"the attempt is missing":   {renewalOf("w", attune.AttemptID{Execution: 3}), lease, []any{`"w"`, "3, 0"}},
			"the lease is 0":           {renewalOf("w", asked...), 0, []any{"lease", "0s"}},
			"the lease is negative":    {renewalOf("w", asked...), -time.Second, []any{"lease", "-1s"}},
		}
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				good := renewalOf("worker-1", asked...)
				b.requireNoChange(t, func() {
					_, err := b.executions.Renew(t.Context(), []attune.ExecutionRenewMessage{good, test.renewal}, test.lease)
					requireCode(t, attune.CodeInvalid, err, append(test.mentions, attune.KeyExecutionRenew)...)
				})
			})
		}
	})
}
