package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Enforcements stores enforcements and their places in the queues.
type Enforcements struct {
	db       *DB
	rejected reached
}

// NewEnforcements returns the enforcements of a database.
func NewEnforcements(db *DB) *Enforcements { return &Enforcements{db: db, rejected: unobserved} }

// reached learns how many enforcements have reached a status, and why.
type reached func(ctx context.Context, n int, status attune.EnforcementStatus, reason attune.Reason)

func unobserved(context.Context, int, attune.EnforcementStatus, attune.Reason) {}

// Observe returns enforcements that tell rejected how many enforcements Admit has rejected, and why.
func (e *Enforcements) Observe(
	rejected func(ctx context.Context, n int, status attune.EnforcementStatus, reason attune.Reason),
) *Enforcements {
	return &Enforcements{db: e.db, rejected: rejected}
}

// enforcementSelect takes the author of a direct run from its event. An enforcement of a rule has no author.
const enforcementSelect = `
SELECT e.id, e.event_id, COALESCE(r.ref, ''), a.ref, e.action_id, e.parameters, e.status, e.reason, e.detail,
	COALESCE(q.key, ''), e.lane_name, e.lane, COALESCE(e.sequence, 0), COALESCE(e.grant_number, 0), e.charged, e.units, e.refusal,
	` + authorColumns + `, e.created_at, e.queued_at, e.granted_at, e.finished_at
FROM enforcements e JOIN actions a ON a.id = e.action_id LEFT JOIN rules r ON r.id = e.rule_id
	LEFT JOIN queues q ON q.id = e.queue_id LEFT JOIN events ev ON ev.id = e.event_id AND e.rule_id IS NULL`

const enforcementSQL = enforcementSelect + ` WHERE e.id = $1`

// Get returns an enforcement, or [attune.CodeNotFound].
func (e *Enforcements) Get(ctx context.Context, id attune.EnforcementID) (attune.Enforcement, error) {
	enforcement, err := one(ctx, e.db.pool, scanEnforcement, enforcementSQL, id)
	return enforcement, wrap("read enforcement", orNotFound(err, "enforcement %d does not exist", id))
}

const listEnforcementsSQL = enforcementSelect + `
WHERE ($1::bigint = 0 OR e.id < $1)
	AND ($3::bigint = 0 OR e.event_id = $3)
	AND ($4::text = '' OR e.rule_id = (SELECT id FROM rules WHERE ref = $4))
	AND ($5::text = '' OR e.action_id = (SELECT id FROM actions WHERE ref = $5))
	AND ($6::text = '' OR e.queue_id = (SELECT id FROM queues WHERE key = $6))
	AND ($7::text = '' OR e.status = $7)
	AND ($8::text = '' OR e.reason = $8)
ORDER BY e.id DESC LIMIT $2::bigint`

// List returns a page of enforcements.
func (e *Enforcements) List(
	ctx context.Context, filter attune.EnforcementFilter, page attune.Page,
) ([]attune.Enforcement, error) {
	return list(ctx, e.db, "list enforcements", page, scanEnforcement, listEnforcementsSQL,
		filter.Event, filter.Rule, filter.Action, filter.Queue, filter.Status, filter.Reason)
}

func scanEnforcement(row pgx.CollectableRow) (attune.Enforcement, error) {
	var e attune.Enforcement
	var author authorValues
	err := row.Scan(&e.ID, &e.Event, &e.Rule, &e.Action, &e.ActionID, &e.Parameters, &e.Status, &e.Reason, &e.Detail,
		&e.Queue, &e.LaneName, &e.Lane, &e.Sequence, &e.GrantNumber, &e.Charges, &e.Units, &e.Refusal,
		&author.principal, &author.method, &author.onBehalfOf, &author.note,
		&e.CreatedAt, &e.QueuedAt, &e.GrantedAt, &e.FinishedAt)
	e.Author = author.author()
	if r := e.Refusal; r != nil && r.Kind == attune.GateQueue && attune.BoundName(r.Name).PerKey() {
		r.Key = keyText(e.LaneName)
	}
	return e, err
}

// Retry moves a parked enforcement to the end of its line, where it waits for its next attempt, and returns it. The policy's
// maximum of attempts does not apply. Retry records the author: see [Executions.Changes]. An enforcement that is not parked is
// [attune.CodeConflict], an unknown one [attune.CodeNotFound], and an invalid author [attune.CodeInvalid].
func (e *Enforcements) Retry(ctx context.Context, id attune.EnforcementID, author attune.Author) (attune.Enforcement, error) {
	return e.unpark(ctx, "retry enforcement", id, author, attune.ExecutionRetried, func(tx pgx.Tx, l *lockedExecution) error {
		l.requeue()
		batch := new(pgx.Batch)
		batch.Queue(requeueSQL, id, l.ticket.Sequence, l.ticket.EnqueuedAt)
		addChangedQueues(batch, l.queue)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		return post(ctx, tx, attune.EnforcementCreatedMessage{Enforcement: id})
	})
}

// GiveUp ends a parked enforcement and returns it. Its execution ends with the status of the last attempt. GiveUp records the
// author and returns the same errors as [Enforcements.Retry].
func (e *Enforcements) GiveUp(ctx context.Context, id attune.EnforcementID, author attune.Author) (attune.Enforcement, error) {
	return e.unpark(ctx, "give up enforcement", id, author, attune.ExecutionGivenUp, func(tx pgx.Tx, l *lockedExecution) error {
		return giveUp(ctx, tx, l)
	})
}

const requeueSQL = `
UPDATE enforcements SET status = 'queued', sequence = $2, queued_at = $3, grant_number = NULL, granted_at = NULL
WHERE id = $1 AND status = 'parked'`

const executionOfSQL = `
SELECT e.status, COALESCE(x.id, 0) FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id WHERE e.id = $1`

// unpark runs do on a parked enforcement while its queue, execution and enforcement are locked, and records the change.
func (e *Enforcements) unpark(
	ctx context.Context, operation string, id attune.EnforcementID, author attune.Author, kind attune.ExecutionChangeKind,
	do func(pgx.Tx, *lockedExecution) error,
) (attune.Enforcement, error) {
	var enforcement attune.Enforcement
	if err := author.Validate(); err != nil {
		return enforcement, err
	}
	err := e.db.inTx(ctx, operation, func(tx pgx.Tx) error {
		var status attune.EnforcementStatus
		var execution attune.ExecutionID
		if err := tx.QueryRow(ctx, executionOfSQL, id).Scan(&status, &execution); err != nil {
			return orNotFound(err, "enforcement %d does not exist", id)
		}
		locked, err := lockExecutions(ctx, tx, []attune.ExecutionID{execution})
		if err != nil {
			return err
		}
		l := locked[execution]
		if l != nil {
			status = l.enforcementStatus
		}
		if l == nil || status != attune.EnforcementParked {
			return attune.Errorf(attune.CodeConflict, "enforcement %d is not parked: it is %s", id, status)
		}
		if err := do(tx, l); err != nil {
			return err
		}
		if enforcement, err = one(ctx, tx, scanEnforcement, enforcementSQL, id); err != nil {
			return err
		}
		return recordChange(ctx, tx, l, author, kind, string(status), string(enforcement.Status))
	})
	return enforcement, err
}

// giveUpSQL ends the enforcement and its execution with the same time. The slot was given back when the enforcement was parked.
// Setting updated_at tells a reader of several pages that the queue has changed in between.
const giveUpSQL = `
WITH finished AS (
	UPDATE enforcements e SET status = 'executed', encrypted = NULL, finished_at = GREATEST(clock_timestamp(), x.requested_at, x.started_at)
	FROM executions x WHERE e.id = $1 AND e.status = 'parked' AND x.enforcement_id = e.id
	RETURNING e.id, e.queue_id, e.finished_at
), changed AS (
	UPDATE queues q SET updated_at = clock_timestamp() FROM finished e WHERE q.id = e.queue_id
)
UPDATE executions x SET status = x.attempt_status, attempt_status = '', finished_at = e.finished_at
FROM finished e WHERE x.enforcement_id = e.id AND x.status = 'retrying'`

// giveUp ends a parked enforcement whose execution is locked.
func giveUp(ctx context.Context, tx pgx.Tx, l *lockedExecution) error {
	_, err := tx.Exec(ctx, giveUpSQL, l.ticket.Enforcement)
	return err
}
