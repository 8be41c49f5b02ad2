package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// shareGenerationSQL makes [Queues.Rebuild] wait until this transaction ends. If this transaction reads the old generation, the
// rebuild sees its changes.
const shareGenerationSQL = `SELECT pg_advisory_xact_lock_shared($1::integer, hashtext($2))`

// grantSQL updates the enforcement, its execution and the log of grants in one statement. It creates the execution, or prepares
// it for its next attempt. Its parts:
//
//   - granted: the enforcement waited at the grant's place and now gets the slot.
//   - kept: the enforcement kept its slot for the grant's attempt. The query starts at the execution, because only that row
//     knows the attempt, and because a queue can have many holders.
//   - requested: the execution with its new attempt.
//   - continued: the log entry of a kept slot, with the new attempt. The last INSERT adds the log entry of a new grant.
//   - started: the entry of the attempt in the journal of starts, in a queue with rates of starts.
//
// grants.granted_at is the unchanged time of the queue's clock, comparable with the queue's other decisions.
// enforcements.granted_at is that time, limited to the range between queued_at and the database's clock.
//
// If another grant has the same number, the statement uses the next free one. That happens after a person reset the queue's
// workflow to an earlier point: the workflow then counts from there.
const grantSQL = `
WITH queue AS (
	SELECT id FROM queues WHERE key = $1 AND generation <= $9
), granted AS (
	UPDATE enforcements e SET status = 'granted', granted_at = GREATEST(e.queued_at, LEAST($5, clock_timestamp())), grant_number = CASE
		WHEN EXISTS (SELECT FROM grants t WHERE t.queue_id = q.id AND t.number = $4::bigint)
		THEN (SELECT max(t.number) + 1 FROM grants t WHERE t.queue_id = q.id)
		ELSE $4::bigint END
	FROM queue q WHERE e.id = $2 AND e.queue_id = q.id AND e.sequence = $3 AND e.status = 'queued'
	RETURNING e.id, e.action_id, e.queue_id, e.sequence, e.lane, e.queued_at, e.grant_number, e.granted_at
), kept AS (
	SELECT e.id, e.action_id, e.queue_id, e.grant_number, e.granted_at
	FROM queue q JOIN executions x ON x.queue_id = q.id JOIN enforcements e ON e.id = x.enforcement_id AND e.sequence = $3
	WHERE x.enforcement_id = $2 AND x.attempt = $6::integer - 1 AND x.retry_at IS NOT NULL
), requested AS (
	INSERT INTO executions AS x (enforcement_id, action_id, queue_id, attempt, status, pool, timeout_ms, action_digest,
		requested_at)
	SELECT g.id, g.action_id, g.queue_id, 1, 'requested', a.pool, a.timeout_ms, a.digest,
		GREATEST(clock_timestamp(), g.granted_at)
	FROM (SELECT id, action_id, queue_id, granted_at FROM granted
			UNION ALL SELECT id, action_id, queue_id, granted_at FROM kept) g
		JOIN actions a ON a.id = g.action_id
	ON CONFLICT (enforcement_id) DO UPDATE SET
		status = 'requested', attempt = x.attempt + 1, requested_at = GREATEST(EXCLUDED.requested_at, x.requested_at),
		pool = EXCLUDED.pool, timeout_ms = EXCLUDED.timeout_ms, action_digest = EXCLUDED.action_digest, attempt_status = '',
		resent_at = NULL, retry_at = NULL, reason = '', error = '', worker = '', claim_key = NULL, claim_serial = 0, started_at = NULL,
		exit_code = NULL, result = NULL, stdout = '', stderr = '', truncated = false
	WHERE x.status = 'retrying'
	RETURNING enforcement_id, attempt, requested_at
), started AS (
	INSERT INTO starts (queue_id, number, attempt, action_id, at)
	SELECT g.queue_id, g.grant_number, r.attempt, g.action_id, $11::timestamptz
	FROM (SELECT id, action_id, queue_id, grant_number FROM granted
			UNION ALL SELECT id, action_id, queue_id, grant_number FROM kept) g
		JOIN requested r ON r.enforcement_id = g.id
	WHERE $11::timestamptz IS NOT NULL
), continued AS (
	UPDATE grants g SET attempt = r.attempt FROM kept k JOIN requested r ON r.enforcement_id = k.id
	WHERE g.queue_id = k.queue_id AND g.number = k.grant_number
)
INSERT INTO grants (queue_id, number, sequence, lane, queued_at, enforcement_id, attempt, generation, policy_revision,
	concurrency_limit, freed, changes, granted_at, requested_at)
SELECT g.queue_id, g.grant_number, g.sequence, g.lane, g.queued_at, g.id, r.attempt, $9, $8, $7, COALESCE($10::bigint[], '{}'), $12, $5,
	r.requested_at
FROM granted g JOIN requested r ON r.enforcement_id = g.id`

// requestsSQL reads enforcements with the requests for their executions.
const requestsSQL = `
SELECT e.id, e.status, COALESCE(q.key, ''), COALESCE(e.sequence, 0), COALESCE(q.generation, 0), a.ref, COALESCE(x.id, 0),
	COALESCE(x.status, ''), COALESCE(x.attempt, 0), COALESCE(x.pool, ''), (SELECT id::text FROM installation)
FROM enforcements e JOIN actions a ON a.id = e.action_id LEFT JOIN queues q ON q.id = e.queue_id
	LEFT JOIN executions x ON x.enforcement_id = e.id`

const requestSQL = requestsSQL + ` WHERE e.id = $1`

// Request acts upon a grant in one transaction. If the enforcement waits at the grant's place, it becomes granted and the grant
// is logged. If the enforcement kept its slot for the grant's attempt, its grant stays. In both cases the execution becomes
// requested, with the action's current declaration. The result contains the message to publish as long as the execution is
// requested, so the caller can repeat the call until the message is published.
//
// In two cases nothing changes. Ended is set if the enforcement has ended; the caller must release its slot. Fenced is set if
// the enforcement is parked, has another place than the grant's, or if the queue was rebuilt after the grant.
//
// An unknown enforcement is [attune.CodeNotFound], an enforcement of another queue [attune.CodeConflict].
func (x *Executions) Request(ctx context.Context, key attune.QueueKey, grant attune.Grant) (attune.ExecutionRequest, error) {
	grant.Attempt = max(grant.Attempt, 1)
	if grant.Number < 1 || grant.Sequence < 1 {
		return attune.ExecutionRequest{}, attune.Errorf(attune.CodeInvalid,
			"grant of enforcement %d: number %d and sequence %d start at 1", grant.Enforcement, grant.Number, grant.Sequence)
	}
	var state requestState
	batch := new(pgx.Batch)
	batch.Queue(shareGenerationSQL, generationLock, key)
	batch.Queue(lockExecutionsByEnforcementSQL, []attune.EnforcementID{grant.Enforcement}) // the execution before its enforcement
	batch.Queue(grantSQL, key, grant.Enforcement, grant.Sequence, grant.Number, grant.GrantedAt, grant.Attempt,
		grant.Limit, grant.Revision, grant.Generation, grant.Freed, orNullTime(grant.StartedAt), grant.Changes)
	batch.Queue(requestSQL, grant.Enforcement).QueryRow(state.scan)
	if err := x.db.send(ctx, "request execution", batch); err != nil {
		return attune.ExecutionRequest{}, orNotFound(err, "enforcement %d does not exist", grant.Enforcement)
	}
	return state.answer(key, grant)
}

// requestState is the state of an enforcement and its execution after grantSQL.
type requestState struct {
	enforcementStatus attune.EnforcementStatus
	queue             attune.QueueKey
	sequence          int64
	generation        int64                  // of the queue
	executionStatus   attune.ExecutionStatus // empty without an execution
	message           attune.ExecutionRequestedMessage
}

func (s *requestState) scan(row pgx.Row) error {
	m := &s.message
	return row.Scan(&m.Enforcement, &s.enforcementStatus, &s.queue, &s.sequence, &s.generation, &m.Action, &m.Execution,
		&s.executionStatus, &m.Attempt, &m.Pool, &m.Installation)
}

func (s *requestState) answer(key attune.QueueKey, grant attune.Grant) (attune.ExecutionRequest, error) {
	switch {
	case s.enforcementStatus.Terminal():
		return attune.ExecutionRequest{Ended: true}, nil
	case s.queue != key || s.enforcementStatus == attune.EnforcementCreated:
		return attune.ExecutionRequest{}, attune.Errorf(attune.CodeConflict,
			"enforcement %d cannot be granted by queue %q: it is %s in queue %q", grant.Enforcement, key, s.enforcementStatus, s.queue)
	case s.generation > grant.Generation, s.sequence != grant.Sequence, s.enforcementStatus == attune.EnforcementParked:
		return attune.ExecutionRequest{Fenced: true}, nil
	case s.executionStatus != attune.ExecutionRequested:
		return attune.ExecutionRequest{}, nil
	}
	return attune.ExecutionRequest{Message: &s.message}, nil
}
