package postgres_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestExecutions_Cancel(t *testing.T) {
	t.Parallel()

	t.Run("an unclaimed execution ends at once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.requested(t, 1)[0]
		b.takeOutbox(t)
		execution, err := b.executions.Cancel(t.Context(), message.Execution, ada)
		require.NoError(t, err)
		require.Equal(t, attune.ExecutionCancelled, execution.Status)
		require.Equal(t, attune.ReasonCancelled, execution.Reason)
		require.NotNil(t, execution.FinishedAt)
		require.Equal(t, attune.EnforcementExecuted, b.enforcement(t, message.Enforcement).Status)
		require.EqualValues(t, 1, b.stats(t).TotalCompleted)
		require.False(t, b.claim(t, message, "worker-1").Granted, "no worker starts it any more")

		// The message in the outbox releases the slot like a worker's report, and changes nothing else.
		rows := b.takeOutbox(t)
		require.Len(t, rows, 1)
		require.Equal(t, attune.KeyExecutionEnded, rows[0].RoutingKey)
		var ended attune.ExecutionEndedMessage
		require.NoError(t, json.Unmarshal(rows[0].Body, &ended))
		require.Equal(t, rows[0].MessageID, ended.MessageID())
		require.NoError(t, ended.Validate())
		completion := b.end(t, ended)[0]
		require.Equal(t, attune.CompletionRepeated, completion.Effect)
		require.Equal(t, message.Enforcement, completion.Ticket.Enforcement)
		require.Equal(t, queueKey, completion.Queue)
		require.EqualValues(t, 1, b.stats(t).TotalCompleted)
	})

	t.Run("a running execution is asked to stop, every time", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.requested(t, 1)[0]
		require.True(t, b.claim(t, message, "worker-1").Granted)
		b.takeOutbox(t)
		var first time.Time
		for i := range 2 {
			execution, err := b.executions.Cancel(t.Context(), message.Execution, ada)
			require.NoError(t, err)
			require.Equal(t, attune.ExecutionRunning, execution.Status)
			if require.NotNil(t, execution.CancelRequestedAt); i == 0 {
				first = *execution.CancelRequestedAt
			}
			require.Equal(t, first, *execution.CancelRequestedAt)
			rows := b.takeOutbox(t)
			require.Len(t, rows, 1)
			require.Equal(t, attune.KeyExecutionCancel, rows[0].RoutingKey)
			var request attune.ExecutionCancelMessage
			require.NoError(t, json.Unmarshal(rows[0].Body, &request))
			require.Equal(t, attune.ExecutionCancelMessage{Installation: message.Installation, Execution: message.Execution, Attempt: 1}, request)
		}
		require.Len(t, b.changesOf(t, message.Execution), 1, "asking again changes nothing")
		require.Equal(t, attune.EnforcementGranted, b.enforcement(t, message.Enforcement).Status)
	})

	t.Run("the author and the result of a cancel are recorded", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		messages := b.requested(t, 2)
		require.True(t, b.claim(t, messages[0], "worker-1").Granted)
		bob := attune.Author{Principal: ada.Principal, OnBehalfOf: "bob", Note: "not needed"}
		for i, author := range []attune.Author{ada, bob} {
			_, err := b.executions.Cancel(t.Context(), messages[i].Execution, author)
			require.NoError(t, err)
		}
		_, err := b.executions.Cancel(t.Context(), messages[0].Execution, attune.Author{Note: "no principal"})
		requireCode(t, attune.CodeInvalid, err, "principal")
		nul := attune.Author{Principal: ada.Principal, Note: "not \x00 needed"}
		_, err = b.executions.Cancel(t.Context(), messages[0].Execution, nul)
		requireCode(t, attune.CodeInvalid, err, "U+0000")
		require.Equal(t, []attune.ExecutionChange{{
			Author: ada, Kind: attune.ExecutionCancelRequested, Attempt: 1, From: "running", To: "cancelling",
		}}, b.changesOf(t, messages[0].Execution))
		require.Equal(t, []attune.ExecutionChange{{
			Author: bob, Kind: attune.ExecutionCancelRequested, Attempt: 1, From: "requested", To: "cancelled",
		}}, b.changesOf(t, messages[1].Execution))
	})

	t.Run("the cancel of an ended execution is a conflict", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.requested(t, 1)[0]
		b.finish(t, reportOf(message))
		b.takeOutbox(t)
		_, err := b.executions.Cancel(t.Context(), message.Execution, ada)
		requireCode(t, attune.CodeConflict, err, message.Execution, "succeeded")
		_, err = b.executions.Cancel(t.Context(), 4711, ada)
		requireCode(t, attune.CodeNotFound, err, "4711")
		require.Empty(t, b.takeOutbox(t))
	})
}

// changesOf returns the changes of an execution without their times, which must be recent.
func (b *bundle) changesOf(t *testing.T, id attune.ExecutionID) []attune.ExecutionChange {
	t.Helper()
	changes, err := b.executions.Changes(t.Context(), id)
	require.NoError(t, err)
	for i := range changes {
		require.WithinDuration(t, time.Now(), changes[i].At, time.Hour)
		changes[i].At = time.Time{}
	}
	return changes
}
