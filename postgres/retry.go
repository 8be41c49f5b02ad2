package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Retry leads an enforcement that is parked back to the end of its line, where it waits for its next attempt like a new one,
// and returns it. It may be the last attempt or not: a person decides, and that is recorded: see [Executions.Changes]. One that
// is not parked is [attune.CodeConflict], an unknown one [attune.CodeNotFound], and an author who is nobody [attune.CodeInvalid].
func (e *Enforcements) Retry(ctx context.Context, id attune.EnforcementID, author attune.Author) (attune.Enforcement, error) {
	return e.unpark(ctx, "retry enforcement", id, author, attune.ExecutionRetried, func(tx pgx.Tx, h *hold) error {
		h.toTheBack()
		batch := new(pgx.Batch)
		batch.Queue(requeueSQL, id, h.ticket.Sequence, h.ticket.EnqueuedAt)
		addLines(batch, []*line{h.line})
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		return post(ctx, tx, attune.EnforcementCreatedMessage{Enforcement: id})
	})
}

// GiveUp ends an enforcement that is parked, and its execution with the status of its last attempt, and returns it. It is
// recorded and refused like [Enforcements.Retry].
func (e *Enforcements) GiveUp(ctx context.Context, id attune.EnforcementID, author attune.Author) (attune.Enforcement, error) {
	return e.unpark(ctx, "give up enforcement", id, author, attune.ExecutionGivenUp, func(tx pgx.Tx, h *hold) error {
		return giveUp(ctx, tx, h)
	})
}

const requeueSQL = `
UPDATE enforcements SET status = 'queued', sequence = $2, queued_at = $3, grant_number = NULL, granted_at = NULL
WHERE id = $1 AND status = 'parked'`

const executionOfSQL = `
SELECT e.status, COALESCE(x.id, 0) FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id WHERE e.id = $1`

// unpark does something with an enforcement that is parked, while everything about it is locked.
func (e *Enforcements) unpark(
	ctx context.Context, what string, id attune.EnforcementID, author attune.Author, kind attune.ExecutionChangeKind,
	do func(pgx.Tx, *hold) error,
) (attune.Enforcement, error) {
	var enforcement attune.Enforcement
	if err := author.Validate(); err != nil {
		return enforcement, err
	}
	err := e.db.inTx(ctx, what, func(tx pgx.Tx) error {
		var status attune.EnforcementStatus
		var execution attune.ExecutionID
		if err := tx.QueryRow(ctx, executionOfSQL, id).Scan(&status, &execution); err != nil {
			return found(err, "enforcement %d does not exist", id)
		}
		holds, err := lockHolds(ctx, tx, []attune.ExecutionID{execution})
		if err != nil {
			return err
		}
		h := holds[execution]
		if h != nil {
			status = h.enforcement
		}
		if h == nil || status != attune.EnforcementParked {
			return attune.Errorf(attune.CodeConflict, "enforcement %d is not parked: it is %s", id, status)
		}
		if err := do(tx, h); err != nil {
			return err
		}
		if enforcement, err = one(ctx, tx, scanEnforcement, enforcementSQL, id); err != nil {
			return err
		}
		return recordChange(ctx, tx, h, author, kind, string(status), string(enforcement.Status))
	})
	return enforcement, err
}

// giveUpSQL ends both at the same time. The slot was given back when the enforcement was parked; that the queue has changed
// is for those who read its rows one after the other.
const giveUpSQL = `
WITH ended AS (
	UPDATE enforcements e SET status = 'executed', finished_at = GREATEST(clock_timestamp(), x.requested_at, x.started_at)
	FROM executions x WHERE e.id = $1 AND e.status = 'parked' AND x.enforcement_id = e.id
	RETURNING e.id, e.queue_id, e.finished_at
), changed AS (
	UPDATE queues q SET updated_at = clock_timestamp() FROM ended e WHERE q.id = e.queue_id
)
UPDATE executions x SET status = x.attempt_status, attempt_status = '', finished_at = e.finished_at
FROM ended e WHERE x.enforcement_id = e.id AND x.status = 'retrying'`

// giveUp ends what is parked and locked.
func giveUp(ctx context.Context, tx pgx.Tx, h *hold) error {
	_, err := tx.Exec(ctx, giveUpSQL, h.ticket.Enforcement)
	return err
}
