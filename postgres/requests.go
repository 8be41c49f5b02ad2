package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// grantSQL makes the execution and the entry in the log of grants in the same statement as the change that allows them.
//
// A number that another enforcement has is replaced by the next free one. That happens when a queue was rebuilt while grants
// that its earlier run had decided were on their way: both runs have counted on from the same number.
const grantSQL = `
WITH granted AS (
	UPDATE enforcements SET status = 'granted', granted_at = $4, grant_number = CASE
		WHEN EXISTS (SELECT FROM enforcements t WHERE t.queue_key = $1 AND t.grant_number = $3::bigint)
		THEN (SELECT max(t.grant_number) + 1 FROM enforcements t WHERE t.queue_key = $1 AND t.grant_number IS NOT NULL)
		ELSE $3::bigint END
	WHERE id = $2 AND queue_key = $1 AND status = 'queued'
	RETURNING id, action_id, queue_key, sequence, grant_number, granted_at
), requested AS (
	INSERT INTO executions (enforcement_id, action_id, queue_key, attempt, status, pool, timeout_ms, command, env)
	SELECT g.id, g.action_id, g.queue_key, $5::integer, 'requested', a.pool, a.timeout_ms, a.command, a.env
	FROM granted g JOIN actions a ON a.id = g.action_id
	ON CONFLICT (enforcement_id) DO NOTHING
	RETURNING enforcement_id, attempt, requested_at
)
INSERT INTO grants (queue_key, number, sequence, enforcement_id, attempt, policy_revision, concurrency_limit, granted_at,
	requested_at)
SELECT g.queue_key, g.grant_number, g.sequence, g.id, r.attempt, $7, $6, g.granted_at, r.requested_at
FROM granted g JOIN requested r ON r.enforcement_id = g.id
ON CONFLICT (queue_key, number) DO NOTHING`

const requestSQL = `
SELECT e.status, COALESCE(e.queue_key, ''), e.action_id, a.ref, e.parameters, COALESCE(x.id, 0), COALESCE(x.status, ''),
	COALESCE(x.attempt, 0), COALESCE(x.pool, ''), COALESCE(x.command, '{}'), COALESCE(x.env, '{}'), COALESCE(x.timeout_ms, 0)
FROM enforcements e JOIN actions a ON a.id = e.action_id LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.id = $1`

// Request acts upon a grant: in one transaction the enforcement becomes granted, its execution is requested, as the
// action is declared at that moment, and the grant is logged. The answer holds the message to publish while the execution
// is requested, so the call can be repeated until the message is out.
//
// Nothing is changed, and Ended is set, when the enforcement has ended: its slot must be released. An unknown
// enforcement is [attune.CodeNotFound]; one that does not wait in this queue is [attune.CodeConflict].
func (x *Executions) Request(ctx context.Context, key attune.QueueKey, grant attune.Grant) (attune.ExecutionRequest, error) {
	if grant.Number < 1 || grant.Attempt < 1 {
		return attune.ExecutionRequest{}, attune.Errorf(attune.CodeInvalid,
			"grant of enforcement %d: number %d and attempt %d start at 1", grant.Enforcement, grant.Number, grant.Attempt)
	}
	var state requestState
	batch := new(pgx.Batch)
	batch.Queue(grantSQL, key, grant.Enforcement, grant.Number, grant.GrantedAt, grant.Attempt,
		grant.Limit, grant.Revision)
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
	execution   attune.ExecutionStatus // empty: there is none
	message     attune.ExecutionRequestedMessage
}

func (s *requestState) scan(row pgx.Row) error {
	var timeoutMS int64
	m := &s.message
	err := row.Scan(&s.enforcement, &s.queue, &m.ActionID, &m.Action, &m.Parameters, &m.Execution, &s.execution,
		&m.Attempt, &m.Pool, &m.Command, &m.Env, &timeoutMS)
	m.Timeout = fromMilliseconds(timeoutMS)
	return err
}

func (s *requestState) answer(key attune.QueueKey, grant attune.Grant) (attune.ExecutionRequest, error) {
	switch {
	case s.enforcement.Terminal():
		return attune.ExecutionRequest{Ended: true}, nil
	case s.enforcement != attune.EnforcementGranted || s.queue != key:
		return attune.ExecutionRequest{}, attune.Errorf(attune.CodeConflict,
			"enforcement %d cannot be granted by queue %q: it is %s in queue %q", grant.Enforcement, key, s.enforcement, s.queue)
	case s.execution != attune.ExecutionRequested:
		return attune.ExecutionRequest{}, nil
	}
	message := s.message
	message.Enforcement = grant.Enforcement
	return attune.ExecutionRequest{Message: &message}, nil
}

// lockExecutionsSQL takes the locks in ascending order, so that claims and reports cannot deadlock.
const lockExecutionsSQL = `SELECT id FROM executions WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE`

const claimSQL = `
UPDATE executions x SET status = 'running', worker = u.worker, started_at = clock_timestamp()
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS u (id, attempt, worker)
WHERE x.id = u.id AND x.attempt = u.attempt AND x.status = 'requested'`

const claimedSQL = `SELECT id, attempt, status, worker FROM executions WHERE id = ANY ($1::bigint[])`

// Claim lets workers start executions: each attempt goes to the worker that asks first, in the order of the messages.
// The answers come in the same order. A worker that asks again about the attempt that it runs gets the same answer; an
// execution that does not exist is answered with an empty status.
func (x *Executions) Claim(ctx context.Context, claims []attune.ExecutionClaimMessage) ([]attune.ExecutionClaimReply, error) {
	ids, first, err := firstClaims(claims)
	if err != nil {
		return nil, err
	}
	standing := make(map[attune.ExecutionID]claimState, len(ids))
	batch := new(pgx.Batch)
	batch.Queue(lockExecutionsSQL, ids)
	batch.Queue(claimSQL, first.ids, first.attempts, first.workers)
	batch.Queue(claimedSQL, ids).Query(func(rows pgx.Rows) error {
		var id attune.ExecutionID
		var s claimState
		_, err := pgx.ForEachRow(rows, []any{&id, &s.attempt, &s.status, &s.worker}, func() error {
			standing[id] = s
			return nil
		})
		return err
	})
	if err := x.db.send(ctx, "claim executions", batch); err != nil {
		return nil, err
	}
	replies := make([]attune.ExecutionClaimReply, len(claims))
	for i, claim := range claims {
		replies[i] = standing[claim.Execution].reply(claim)
	}
	return replies, nil
}

// claimState is where an execution stands after the claims.
type claimState struct {
	attempt int
	status  attune.ExecutionStatus
	worker  string
}

func (s claimState) reply(claim attune.ExecutionClaimMessage) attune.ExecutionClaimReply {
	return attune.ExecutionClaimReply{
		Execution: claim.Execution, Attempt: claim.Attempt, Status: s.status,
		Granted: s.status == attune.ExecutionRunning && s.attempt == claim.Attempt && s.worker == claim.Worker,
	}
}

// claimColumns are claims as columns.
type claimColumns struct {
	ids      []attune.ExecutionID
	attempts []int64
	workers  []string
}

// firstClaims returns every execution asked for, and the first claim of each attempt: a batch may hold several.
func firstClaims(claims []attune.ExecutionClaimMessage) (ids []attune.ExecutionID, first claimColumns, err error) {
	type attempt struct {
		execution attune.ExecutionID
		number    int
	}
	seen := make(map[attempt]bool, len(claims))
	for _, c := range claims {
		if c.Execution <= 0 || c.Attempt <= 0 || c.Worker == "" {
			return nil, first, attune.Errorf(attune.CodeInvalid,
				"%s needs an execution, an attempt and a worker; got %d, %d, %q", c.RoutingKey(), c.Execution, c.Attempt, c.Worker)
		}
		ids = append(ids, c.Execution)
		if key := (attempt{c.Execution, c.Attempt}); !seen[key] {
			seen[key] = true
			first.ids = append(first.ids, c.Execution)
			first.attempts = append(first.attempts, int64(c.Attempt))
			first.workers = append(first.workers, c.Worker)
		}
	}
	return ids, first, nil
}
