package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestExecutions_Resend asks for the requests of attempts that no worker has claimed.
func TestExecutions_Resend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	messages := b.requested(t, 4)
	b.claim(t, messages[1], "worker-1")
	const age = time.Minute
	unclaimed := func() map[string]int {
		found, err := b.executions.Unclaimed(t.Context(), age)
		require.NoError(t, err)
		return found
	}
	resend := func(pool string, limit int) []attune.ExecutionRequestedMessage {
		found, err := b.executions.Resend(t.Context(), pool, age, limit)
		require.NoError(t, err)
		return found
	}
	require.Empty(t, unclaimed(), "every request is new")
	require.Empty(t, resend(attune.DefaultPool, 10))

	b.exec(t, `UPDATE executions SET requested_at = requested_at - interval '1 min'`)
	require.Equal(t, map[string]int{attune.DefaultPool: 3}, unclaimed(), "one attempt is claimed")
	require.Empty(t, resend("small", 10), "the attempts are those of another pool")
	require.Equal(t, []attune.ExecutionRequestedMessage{messages[0], messages[2]}, resend(attune.DefaultPool, 2), "the oldest first, as they were")
	require.Equal(t, []attune.ExecutionRequestedMessage{messages[3]}, resend(attune.DefaultPool, 2))
	require.Empty(t, resend(attune.DefaultPool, 2), "each was published again a moment ago")
	require.Equal(t, map[string]int{attune.DefaultPool: 3}, unclaimed())

	b.exec(t, `UPDATE executions SET resent_at = resent_at - interval '1 min'`)
	require.Len(t, resend(attune.DefaultPool, 10), 3)
	require.True(t, b.claim(t, messages[0], "worker-1").Granted, "a request that is published again can be claimed")
}

// TestExecutions_ResendAttempt asks for the request of a second attempt.
func TestExecutions_ResendAttempt(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryHold)
	_, message := b.runFirst(t)
	b.exec(t, `UPDATE executions SET resent_at = clock_timestamp()`)
	request, err := b.executions.Request(t.Context(), queueKey, grant(b.fail(t, message).Ticket))
	require.NoError(t, err)
	b.exec(t, `UPDATE executions SET requested_at = requested_at - interval '1 min'`)
	found, err := b.executions.Resend(t.Context(), attune.DefaultPool, time.Minute, 10)
	require.NoError(t, err)
	require.Equal(t, []attune.ExecutionRequestedMessage{*request.Message}, found, "the request of the attempt before does not count")
}
