package postgres_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// retryDelay is how long the second attempt waits in the tests of retries.
const retryDelay = time.Minute

// retries is a policy of three attempts.
func retries(placement attune.RetryPlacement) *attune.Policy {
	return &attune.Policy{
		MaxAttempts: new(3), RetryDelay: new(attune.Duration(retryDelay)), RetryPlacement: new(placement),
	}
}

// setupRetries is setup with a policy of three attempts.
func setupRetries(t testing.TB, placement attune.RetryPlacement) *bundle {
	t.Helper()
	b := setup(t)
	b.policy(t, retries(placement))
	return b
}

// policy sets the policy of the demo pack, and so of its queues.
func (b *bundle) policy(t testing.TB, p *attune.Policy) {
	t.Helper()
	pack := demoPack()
	said, err := json.Marshal(p)
	require.NoError(t, err)
	pack.Digest, pack.Policy = string(said), p
	b.install(t, pack)
	_, err = b.queues.ApplyPolicies(t.Context())
	require.NoError(t, err)
}

// requireRetries checks that the policy in force is that of retries.
func requireRetries(t testing.TB, p attune.QueuePolicy, placement attune.RetryPlacement) {
	t.Helper()
	require.Len(t, p.Actions, 1)
	require.Equal(t, 3, p.Actions[0].MaxAttempts)
	require.Equal(t, attune.Duration(retryDelay), p.Actions[0].RetryDelay)
	require.Equal(t, placement, p.Actions[0].RetryPlacement)
}

// endOf returns a worker's report of a failed attempt, with all kinds of output.
func endOf(m attune.ExecutionRequestedMessage, status attune.ExecutionStatus) attune.ExecutionCompletedMessage {
	report := reportOf(m)
	report.Status, report.Reason, report.Error, report.ExitCode = status, attune.ReasonExitCode, "no luck", new(3)
	report.Result, report.Stdout, report.Stderr, report.Truncated = json.RawMessage(`{"a": 1}`), "out", "err", true
	return report
}

// failed returns a worker's report of a failed attempt.
func failed(m attune.ExecutionRequestedMessage) attune.ExecutionCompletedMessage {
	return endOf(m, attune.ExecutionFailed)
}

// run acts upon a grant and claims the execution.
func (b *bundle) run(t *testing.T, given attune.Grant) attune.ExecutionRequestedMessage {
	t.Helper()
	request, err := b.executions.Request(t.Context(), queueKey, given)
	require.NoError(t, err)
	require.NotNil(t, request.Message, "request of %+v: %+v", given, request)
	require.True(t, b.claim(t, *request.Message, "worker-1").Granted)
	return *request.Message
}

// fail reports a failed attempt and returns the completion.
func (b *bundle) fail(t *testing.T, m attune.ExecutionRequestedMessage) attune.Completion {
	t.Helper()
	return b.finish(t, failed(m))[0]
}

// runFirst creates an enforcement whose first attempt runs.
func (b *bundle) runFirst(t *testing.T) (attune.Ticket, attune.ExecutionRequestedMessage) {
	t.Helper()
	ticket := b.admit(t, b.created(t, deploy, 1)...)[0]
	return ticket, b.run(t, grant(ticket))
}

// nextGrant returns the grant of a place that the queue would decide after the logged grants.
func (b *bundle) nextGrant(t *testing.T, ticket attune.Ticket) attune.Grant {
	t.Helper()
	given := grant(ticket)
	given.Number = 1 + b.count(t, `SELECT COALESCE(max(number), 0) FROM grants`)
	given.Generation = b.count(t, `SELECT generation FROM queues WHERE key = 'demo.deploy'`)
	return given
}

// rows returns all rows that a change can affect, as text.
func (b *bundle) rows(t *testing.T) (text string) {
	t.Helper()
	require.NoError(t, b.conn(t).QueryRow(t.Context(), `
		SELECT concat_ws(E'\n',
			(SELECT string_agg(r::text, E'\n' ORDER BY r.key) FROM queues r),
			(SELECT string_agg(r::text, E'\n' ORDER BY r.id) FROM enforcements r),
			(SELECT string_agg(r::text, E'\n' ORDER BY r.id) FROM executions r),
			(SELECT string_agg(r::text, E'\n' ORDER BY r.execution_id, r.attempt) FROM execution_attempts r),
			(SELECT string_agg(r::text, E'\n' ORDER BY r.number) FROM grants r),
			(SELECT string_agg(r::text, E'\n' ORDER BY r.id) FROM outbox r))`).Scan(&text))
	return text
}

// requireNoChange checks that a repeated call changes no row.
func (b *bundle) requireNoChange(t *testing.T, do func()) {
	t.Helper()
	before := b.rows(t)
	for range 3 {
		do()
		require.Equal(t, before, b.rows(t))
	}
}

// announced returns the enforcements that the outbox announces, and empties it.
func (b *bundle) announced(t *testing.T) []attune.EnforcementID {
	t.Helper()
	var ids []attune.EnforcementID
	for _, row := range b.takeOutbox(t) {
		require.Equal(t, attune.KeyEnforcementCreated, row.RoutingKey)
		var message attune.EnforcementCreatedMessage
		require.NoError(t, json.Unmarshal(row.Body, &message))
		require.Equal(t, row.MessageID, message.MessageID())
		ids = append(ids, message.Enforcement)
	}
	return ids
}

func (b *bundle) attempts(t *testing.T, id attune.ExecutionID) []attune.ExecutionAttempt {
	t.Helper()
	attempts, err := b.executions.Attempts(t.Context(), id)
	require.NoError(t, err)
	return attempts
}
