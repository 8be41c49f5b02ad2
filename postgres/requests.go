package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// shareGenerationSQL keeps [Queues.Rebuild] waiting until the transaction has ended. What is read after it is either of the
// old generation, and then the rebuild sees what this transaction does, or of the new one.
const shareGenerationSQL = `SELECT pg_advisory_xact_lock_shared($1::integer, hashtext($2))`

// lockExecutionOfSQL keeps the order of locks: executions before enforcements.
const lockExecutionOfSQL = `SELECT id FROM executions WHERE enforcement_id = $1 FOR NO KEY UPDATE`

// grantSQL makes the execution, or leads it on to its next attempt, and makes or updates the entry in the log of grants in
// the same statement as the change that allows them. granted is who has waited at the place that the grant is for; kept is who
// has kept the slot for the attempt that the grant is for, which only its execution says: enforcements that hold slots can
// be many, and an index over them must not tempt anybody.
//
// granted_at of the log is the time of the queue's clock, as it is, for comparisons with what the queue decided before and
// after. That of the enforcement is the same time, moved between the times that the database's clock has before and after.
//
// A number that another grant has is replaced by the next free one. That happens when somebody has reset the queue's workflow
// to an earlier point: it counts on from there.
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
	INSERT INTO executions AS x (enforcement_id, action_id, queue_id, attempt, status, pool, timeout_ms, command, env,
		requested_at)
	SELECT g.id, g.action_id, g.queue_id, 1, 'requested', a.pool, a.timeout_ms, a.command, a.env,
		GREATEST(clock_timestamp(), g.granted_at)
	FROM (SELECT id, action_id, queue_id, granted_at FROM granted
			UNION ALL SELECT id, action_id, queue_id, granted_at FROM kept) g
		JOIN actions a ON a.id = g.action_id
	ON CONFLICT (enforcement_id) DO UPDATE SET
		status = 'requested', attempt = x.attempt + 1, requested_at = GREATEST(EXCLUDED.requested_at, x.requested_at),
		pool = EXCLUDED.pool, timeout_ms = EXCLUDED.timeout_ms, command = EXCLUDED.command, env = EXCLUDED.env,
		attempt_status = '', retry_at = NULL, reason = '', error = '', worker = '', started_at = NULL, exit_code = NULL,
		result = NULL, stdout = '', stderr = '', truncated = false
	WHERE x.status = 'retrying'
	RETURNING enforcement_id, attempt, requested_at
), continued AS (
	UPDATE grants g SET attempt = r.attempt FROM kept k JOIN requested r ON r.enforcement_id = k.id
	WHERE g.queue_id = k.queue_id AND g.number = k.grant_number
)
INSERT INTO grants (queue_id, number, sequence, lane, queued_at, enforcement_id, attempt, generation, policy_revision,
	concurrency_limit, granted_at, requested_at)
SELECT g.queue_id, g.grant_number, g.sequence, g.lane, g.queued_at, g.id, r.attempt, $9, $8, $7, $5, r.requested_at
FROM granted g JOIN requested r ON r.enforcement_id = g.id`

const requestSQL = `
SELECT e.status, COALESCE(q.key, ''), COALESCE(e.sequence, 0), COALESCE(q.generation, 0), e.action_id, a.ref,
	e.parameters, COALESCE(x.id, 0), COALESCE(x.status, ''), COALESCE(x.attempt, 0), COALESCE(x.pool, ''),
	COALESCE(x.command, '{}'), COALESCE(x.env, '{}'), COALESCE(x.timeout_ms, 0)
FROM enforcements e JOIN actions a ON a.id = e.action_id LEFT JOIN queues q ON q.id = e.queue_id
	LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.id = $1`

// Request acts upon a grant, in one transaction. An enforcement that waits at the place of the grant becomes granted, and the
// grant is logged; one that has kept its slot for the attempt of the grant keeps what it has. Either way the attempt is
// requested, as the action is declared at that moment. The answer holds the message to publish while the execution is
// requested, so the call can be repeated until the message is out.
//
// Nothing is changed, and Ended is set, when the enforcement has ended: its slot must be released. Nothing is changed, and
// Fenced is set, when the enforcement is parked or has another place than that of the grant, or when the queue has been
// rebuilt since the grant was decided. An unknown enforcement is [attune.CodeNotFound], one of another queue
// [attune.CodeConflict].
func (x *Executions) Request(ctx context.Context, key attune.QueueKey, grant attune.Grant) (attune.ExecutionRequest, error) {
	grant.Attempt = max(grant.Attempt, 1)
	if grant.Number < 1 || grant.Sequence < 1 {
		return attune.ExecutionRequest{}, attune.Errorf(attune.CodeInvalid,
			"grant of enforcement %d: number %d and sequence %d start at 1", grant.Enforcement, grant.Number, grant.Sequence)
	}
	var state requestState
	batch := new(pgx.Batch)
	batch.Queue(shareGenerationSQL, generationLock, key)
	batch.Queue(lockExecutionOfSQL, grant.Enforcement)
	batch.Queue(grantSQL, key, grant.Enforcement, grant.Sequence, grant.Number, grant.GrantedAt, grant.Attempt,
		grant.Limit, grant.Revision, grant.Generation)
	batch.Queue(requestSQL, grant.Enforcement).QueryRow(state.scan)
	if err := x.db.send(ctx, "request execution", batch); err != nil {
		return attune.ExecutionRequest{}, found(err, "enforcement %d does not exist", grant.Enforcement)
	}
	return state.answer(key, grant)
}

// requestState is where a granted enforcement and its execution stand.
type requestState struct {
	enforcement attune.EnforcementStatus
	queue       attune.QueueKey
	sequence    int64
	generation  int64                  // of the queue
	execution   attune.ExecutionStatus // empty: there is none
	message     attune.ExecutionRequestedMessage
}

func (s *requestState) scan(row pgx.Row) error {
	var timeoutMS int64
	m := &s.message
	err := row.Scan(&s.enforcement, &s.queue, &s.sequence, &s.generation, &m.ActionID, &m.Action, &m.Parameters,
		&m.Execution, &s.execution, &m.Attempt, &m.Pool, &m.Command, &m.Env, &timeoutMS)
	m.Timeout = fromMilliseconds(timeoutMS)
	return err
}

func (s *requestState) answer(key attune.QueueKey, grant attune.Grant) (attune.ExecutionRequest, error) {
	switch {
	case s.enforcement.Terminal():
		return attune.ExecutionRequest{Ended: true}, nil
	case s.queue != key || s.enforcement == attune.EnforcementCreated:
		return attune.ExecutionRequest{}, attune.Errorf(attune.CodeConflict,
			"enforcement %d cannot be granted by queue %q: it is %s in queue %q", grant.Enforcement, key, s.enforcement, s.queue)
	case s.generation > grant.Generation, s.sequence != grant.Sequence, s.enforcement == attune.EnforcementParked:
		return attune.ExecutionRequest{Fenced: true}, nil
	case s.execution != attune.ExecutionRequested:
		return attune.ExecutionRequest{}, nil
	}
	message := s.message
	message.Enforcement = grant.Enforcement
	return attune.ExecutionRequest{Message: &message}, nil
}
