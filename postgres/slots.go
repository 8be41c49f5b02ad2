package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// slot is an execution that holds or held a slot of its queue. Execution, enforcement and queue are locked.
type slot struct {
	execution   attune.ExecutionID
	status      attune.ExecutionStatus
	attempt     int
	actionID    attune.ActionID
	queueID     attune.QueueID
	queue       *lockedQueue
	enforcement attune.EnforcementStatus
	ticket      attune.Ticket // the place of the enforcement; without Attempt
	worker      string        // empty before one has claimed it
	requestedAt time.Time
	startedAt   time.Time // zero before a worker has claimed it
	leaseUntil  time.Time // zero unless it runs
	retryAt     time.Time // zero unless it holds its slot for the next attempt
	lockedAt    time.Time // PostgreSQL's clock after the lock was taken
	cancelled   bool      // a cancel was requested
}

// lockQueuesOfSQL is lockQueuesSQL for the queues of executions.
const lockQueuesOfSQL = `
WITH q AS MATERIALIZED (
	SELECT * FROM queues WHERE id IN (SELECT queue_id FROM executions WHERE id = ANY ($1::bigint[]))
	ORDER BY id FOR NO KEY UPDATE
)` + lockedQueueColumns + lockedQueueTables

// slotsSQL reads what a statement before it has locked: what a statement reads while it waits for a lock can be old.
const slotsSQL = `
SELECT x.id, x.status, x.attempt, x.action_id, x.queue_id, x.worker, x.requested_at, x.started_at, x.lease_until, x.retry_at,
	clock_timestamp(), x.cancel_requested_at IS NOT NULL, e.id, e.sequence, e.lane, e.queued_at, e.status
FROM executions x JOIN enforcements e ON e.id = x.enforcement_id WHERE x.id = ANY ($1::bigint[])`

// lockSlots locks the queues of the executions, and then the executions. The policies of the queues are as they were stored.
func lockSlots(ctx context.Context, tx pgx.Tx, ids []attune.ExecutionID) (map[attune.ExecutionID]*slot, error) {
	queues := make(map[attune.QueueID]*lockedQueue)
	slots := make(map[attune.ExecutionID]*slot, len(ids))
	batch := new(pgx.Batch)
	batch.Queue(lockQueuesOfSQL, ids).Query(func(rows pgx.Rows) error {
		locked, err := pgx.CollectRows(rows, scanLockedQueue)
		for _, queue := range locked {
			queues[queue.id] = queue
		}
		return err
	})
	batch.Queue(lockExecutionsSQL, ids)
	batch.Queue(slotsSQL, ids).Query(func(rows pgx.Rows) error {
		locked, err := pgx.CollectRows(rows, scanSlot)
		for _, s := range locked {
			s.queue = queues[s.queueID]
			slots[s.execution] = s
		}
		return err
	})
	return slots, tx.SendBatch(ctx, batch).Close()
}

func scanSlot(row pgx.CollectableRow) (*slot, error) {
	var s slot
	var startedAt, leaseUntil, retryAt *time.Time
	err := row.Scan(&s.execution, &s.status, &s.attempt, &s.actionID, &s.queueID, &s.worker, &s.requestedAt, &startedAt,
		&leaseUntil, &retryAt, &s.lockedAt, &s.cancelled, &s.ticket.Enforcement, &s.ticket.Sequence,
		&s.ticket.Lane, &s.ticket.EnqueuedAt, &s.enforcement)
	s.startedAt, s.leaseUntil, s.retryAt = orZeroTime(startedAt), orZeroTime(leaseUntil), orZeroTime(retryAt)
	return &s, err
}

// report is a report about the current attempt that no worker has made. When it ran is for the caller to say.
func (s *slot) report(status attune.ExecutionStatus, reason attune.Reason, message string) attune.ExecutionCompletedMessage {
	return attune.ExecutionCompletedMessage{
		Execution: s.execution, Enforcement: s.ticket.Enforcement, ActionID: s.actionID, Attempt: s.attempt,
		Status: status, Reason: reason, Error: message,
	}
}
