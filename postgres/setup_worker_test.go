package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// claim claims the attempt of a message for a worker.
func (b *bundle) claim(t *testing.T, m attune.ExecutionRequestedMessage, worker string) attune.ExecutionClaimReply {
	t.Helper()
	decisions, err := b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{claimOf(m, worker)}, lease)
	require.NoError(t, err)
	require.Len(t, decisions, 1)
	return decisions[0].Reply
}

func claimOf(m attune.ExecutionRequestedMessage, worker string) attune.ExecutionClaimMessage {
	return attune.ExecutionClaimMessage{
		Installation: m.Installation, Execution: m.Execution, Attempt: m.Attempt, Worker: worker, Serial: nextSerial(),
		ReplyKey: replyKey(), Key: keyOf(worker), Pool: m.Pool,
	}
}

// renewalOf is a renewal of attempts of a worker.
func renewalOf(worker string, attempts ...attune.AttemptID) attune.ExecutionRenewMessage {
	return attune.ExecutionRenewMessage{Worker: worker, Attempts: attempts, Serial: nextSerial(), Key: keyOf(worker), Pool: attune.DefaultPool}
}

// repliesOf returns the replies of decisions.
func repliesOf(decisions []attune.ClaimDecision) []attune.ExecutionClaimReply {
	replies := make([]attune.ExecutionClaimReply, len(decisions))
	for i, d := range decisions {
		replies[i] = d.Reply
	}
	return replies
}

// reportOf is a report of worker-1 that an execution succeeded.
func reportOf(m attune.ExecutionRequestedMessage) attune.ExecutionCompletedMessage {
	return attune.ExecutionCompletedMessage{
		Installation: m.Installation, Execution: m.Execution, Attempt: m.Attempt, Worker: "worker-1", Key: keyOf("worker-1"),
		Status: attune.ExecutionSucceeded, ExitCode: new(0), StartedAt: time.Now(), FinishedAt: time.Now(), Pool: m.Pool,
	}
}

func (b *bundle) finish(t testing.TB, reports ...attune.ExecutionCompletedMessage) []attune.Completion {
	t.Helper()
	completions, err := b.executions.Finish(t.Context(), reports)
	require.NoError(t, err)
	require.Len(t, completions, len(reports))
	return completions
}

// end reads the completions of attempts that attune itself has ended.
func (b *bundle) end(t testing.TB, ended ...attune.ExecutionEndedMessage) []attune.Completion {
	t.Helper()
	completions, err := b.executions.Ended(t.Context(), ended)
	require.NoError(t, err)
	require.Len(t, completions, len(ended))
	return completions
}
