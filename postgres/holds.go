package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// hold is an execution that is locked, with its enforcement, in a queue that is locked, too.
type hold struct {
	execution   attune.ExecutionID
	status      attune.ExecutionStatus
	attempt     int
	actionID    attune.ActionID
	queue       attune.QueueID
	enforcement attune.EnforcementStatus
	ticket      attune.Ticket // the place of the enforcement; without Attempt
	worker      string        // empty before one has claimed it
	requestedAt time.Time
	startedAt   time.Time // zero before a worker has claimed it
	leaseUntil  time.Time // zero unless it runs
	retryAt     time.Time // zero unless it holds its slot for the next attempt
	lockedAt    time.Time // PostgreSQL's clock after the lock was taken
	cancelled   bool      // somebody has asked to cancel it
	line        *line
}

// lockLinesOfSQL is lockLinesSQL for the queues of executions.
const lockLinesOfSQL = `
WITH q AS MATERIALIZED (
	SELECT * FROM queues WHERE id IN (SELECT queue_id FROM executions WHERE id = ANY ($1::bigint[]))
	ORDER BY id FOR NO KEY UPDATE
)` + lineColumns + lineTables

// holdsSQL reads what a statement before it has locked: what a statement reads while it waits for a lock can be old.
const holdsSQL = `
SELECT x.id, x.status, x.attempt, x.action_id, x.queue_id, x.worker, x.requested_at, x.started_at, x.lease_until, x.retry_at,
	clock_timestamp(), x.cancel_requested_at IS NOT NULL, e.id, e.sequence, e.lane, e.queued_at, e.status
FROM executions x JOIN enforcements e ON e.id = x.enforcement_id WHERE x.id = ANY ($1::bigint[])`

// lockHolds locks the queues of the executions, and then the executions. The policies of the queues are as they were stored.
func lockHolds(ctx context.Context, tx pgx.Tx, ids []attune.ExecutionID) (map[attune.ExecutionID]*hold, error) {
	lines := make(map[attune.QueueID]*line)
	holds := make(map[attune.ExecutionID]*hold, len(ids))
	batch := new(pgx.Batch)
	batch.Queue(lockLinesOfSQL, ids).Query(func(rows pgx.Rows) error {
		locked, err := pgx.CollectRows(rows, scanLine)
		for _, line := range locked {
			lines[line.id] = line
		}
		return err
	})
	batch.Queue(lockExecutionsSQL, ids)
	batch.Queue(holdsSQL, ids).Query(func(rows pgx.Rows) error {
		locked, err := pgx.CollectRows(rows, scanHold)
		for _, h := range locked {
			h.line = lines[h.queue]
			holds[h.execution] = h
		}
		return err
	})
	return holds, tx.SendBatch(ctx, batch).Close()
}

func scanHold(row pgx.CollectableRow) (*hold, error) {
	var h hold
	var startedAt, leaseUntil, retryAt *time.Time
	err := row.Scan(&h.execution, &h.status, &h.attempt, &h.actionID, &h.queue, &h.worker, &h.requestedAt, &startedAt,
		&leaseUntil, &retryAt, &h.lockedAt, &h.cancelled, &h.ticket.Enforcement, &h.ticket.Sequence,
		&h.ticket.Lane, &h.ticket.EnqueuedAt, &h.enforcement)
	h.startedAt, h.leaseUntil, h.retryAt = orZeroTime(startedAt), orZeroTime(leaseUntil), orZeroTime(retryAt)
	return &h, err
}

// report is a report about the current attempt that no worker has made. When it ran is for the caller to say.
func (h *hold) report(status attune.ExecutionStatus, reason attune.Reason, message string) attune.ExecutionCompletedMessage {
	return attune.ExecutionCompletedMessage{
		Execution: h.execution, Enforcement: h.ticket.Enforcement, ActionID: h.actionID, Attempt: h.attempt,
		Status: status, Reason: reason, Error: message,
	}
}
