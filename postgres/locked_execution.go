package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// lockedExecution is an execution that holds or held a slot of its queue, with its enforcement. Until the transaction ends, the rows of
// queue and execution are locked.
type lockedExecution struct {
	id                attune.ExecutionID
	installation      attune.InstallationID
	status            attune.ExecutionStatus
	attempt           int
	pool              string
	queueID           attune.QueueID
	queue             *lockedQueue
	enforcementStatus attune.EnforcementStatus
	ticket            attune.Ticket // the place of the enforcement; without Attempt
	worker            string        // empty before the claim
	key               []byte        // of the worker; empty before the claim
	requestedAt       time.Time
	startedAt         time.Time // zero before the claim
	leaseUntil        time.Time // zero unless the attempt runs
	retryAt           time.Time // zero unless the execution holds its slot for the next attempt
	lockedAt          time.Time // PostgreSQL's clock after the lock was taken
	cancelled         bool      // a cancel was requested
}

// lockQueuesOfExecutionsSQL locks the queues of executions, in the order of ids like lockQueuesByIDSQL.
const lockQueuesOfExecutionsSQL = `
WITH q AS MATERIALIZED (
	SELECT * FROM queues WHERE id IN (SELECT queue_id FROM executions WHERE id = ANY ($1::bigint[]))
	ORDER BY id FOR NO KEY UPDATE
)` + lockedQueueColumns + lockedQueueTables

// lockedExecutionsSQL runs after the statement that locks the rows: a statement that waits for a lock can read old values.
const lockedExecutionsSQL = `
SELECT x.id, (SELECT id::text FROM installation), x.status, x.attempt, x.pool, x.queue_id, x.worker, x.claim_key, x.requested_at,
	x.started_at, x.lease_until, x.retry_at, clock_timestamp(), x.cancel_requested_at IS NOT NULL,
	e.id, e.action_id, e.sequence, e.lane, e.queued_at, e.status
FROM executions x JOIN enforcements e ON e.id = x.enforcement_id WHERE x.id = ANY ($1::bigint[])`

// lockExecutions locks the queues of the executions, and then the executions. It does not resolve the policies of the queues again.
func lockExecutions(ctx context.Context, tx pgx.Tx, ids []attune.ExecutionID) (map[attune.ExecutionID]*lockedExecution, error) {
	queues := make(map[attune.QueueID]*lockedQueue)
	executions := make(map[attune.ExecutionID]*lockedExecution, len(ids))
	batch := new(pgx.Batch)
	batch.Queue(lockQueuesOfExecutionsSQL, ids).Query(func(rows pgx.Rows) error {
		locked, err := pgx.CollectRows(rows, scanLockedQueue)
		for _, queue := range locked {
			queues[queue.id] = queue
		}
		return err
	})
	batch.Queue(lockExecutionsByIDSQL, ids)
	batch.Queue(lockedExecutionsSQL, ids).Query(func(rows pgx.Rows) error {
		locked, err := pgx.CollectRows(rows, scanLockedExecution)
		for _, l := range locked {
			l.queue = queues[l.queueID]
			executions[l.id] = l
		}
		return err
	})
	err := tx.SendBatch(ctx, batch).Close() // fills executions
	return executions, err
}

func scanLockedExecution(row pgx.CollectableRow) (*lockedExecution, error) {
	var l lockedExecution
	var startedAt, leaseUntil, retryAt *time.Time
	err := row.Scan(&l.id, &l.installation, &l.status, &l.attempt, &l.pool, &l.queueID, &l.worker, &l.key, &l.requestedAt,
		&startedAt, &leaseUntil, &retryAt, &l.lockedAt, &l.cancelled, &l.ticket.Enforcement, &l.ticket.Action,
		&l.ticket.Sequence, &l.ticket.Lane, &l.ticket.EnqueuedAt, &l.enforcementStatus)
	l.startedAt, l.leaseUntil, l.retryAt = orZeroTime(startedAt), orZeroTime(leaseUntil), orZeroTime(retryAt)
	return &l, err
}

// report returns attune's own report about the current attempt, in place of a worker's. The caller sets the times.
func (l *lockedExecution) report(status attune.ExecutionStatus, reason attune.Reason, message string) attune.ExecutionCompletedMessage {
	return attune.ExecutionCompletedMessage{
		Installation: l.installation, Execution: l.id, Attempt: l.attempt, Status: status, Reason: reason, Error: message,
	}
}

// ended returns the message that tells the bridge of the end of the attempt by attune's own report.
func (l *lockedExecution) ended(report attune.ExecutionCompletedMessage) attune.ExecutionEndedMessage {
	return attune.ExecutionEndedMessage{
		Installation: report.Installation, Execution: report.Execution, Attempt: report.Attempt, Status: report.Status,
	}
}

// retries reports whether another attempt follows the attempt that a report ends.
func (l *lockedExecution) retries(report attune.ExecutionCompletedMessage) bool {
	switch report.Status {
	case attune.ExecutionFailed, attune.ExecutionTimedOut, attune.ExecutionAbandoned:
		return l.attempt < l.policy().MaxAttempts && !l.cancelled
	default:
		return false
	}
}

// policy returns the policy of the action in its queue.
func (l *lockedExecution) policy() attune.ActionPolicy { return l.queue.policy.Of(l.ticket.Action) }

// retry moves the enforcement to the place where the policy lets it wait for its next attempt.
func (l *lockedExecution) retry() {
	l.status = attune.ExecutionRetrying
	switch p := l.policy(); p.RetryPlacement {
	case attune.RetryBack:
		l.requeue()
	case attune.RetryPark:
		l.enforcementStatus = attune.EnforcementParked
	default:
		l.retryAt = l.queue.now.Add(p.DelayBefore(l.attempt + 1))
	}
}

// requeue gives the enforcement a new place at the end of its line.
func (l *lockedExecution) requeue() {
	place := l.queue.nextPlace(l.ticket.EnqueuedAt)
	l.enforcementStatus = attune.EnforcementQueued
	l.ticket.Sequence, l.ticket.EnqueuedAt = place.Sequence, place.EnqueuedAt
}

// underWay reports whether the current attempt waits for a worker or runs.
func (l *lockedExecution) underWay() bool {
	return l.status == attune.ExecutionRequested || l.status == attune.ExecutionRunning
}

// completionOf returns the completion of an attempt that should have ended. l is nil for an unknown execution.
func (l *lockedExecution) completionOf(id attune.ExecutionID, attempt int) attune.Completion {
	switch {
	case l == nil:
		return attune.Completion{Execution: id, Effect: attune.CompletionUnknown}
	case attempt != l.attempt || l.underWay():
		return attune.Completion{Execution: id, Queue: l.queue.key, Ticket: l.ticket, Effect: attune.CompletionStale}
	default:
		return l.completion()
	}
}

// completion returns the completion of an execution whose current attempt has ended.
func (l *lockedExecution) completion() attune.Completion {
	c := attune.Completion{Execution: l.id, Queue: l.queue.key, Ticket: l.ticket, Effect: attune.CompletionRepeated}
	if l.status != attune.ExecutionRetrying {
		return c
	}
	switch l.enforcementStatus {
	case attune.EnforcementParked:
		c.Effect = attune.CompletionParked
	case attune.EnforcementQueued:
		c.Effect, c.Ticket.Attempt = attune.CompletionRequeued, l.attempt+1
	default:
		c.Effect, c.Ticket.Attempt, c.NotBefore = attune.CompletionRetrying, l.attempt+1, l.retryAt
	}
	return c
}

// leaseExpired reports whether the lease of the attempt had expired when the execution was locked.
func (l *lockedExecution) leaseExpired() bool {
	return !l.leaseUntil.IsZero() && !l.leaseUntil.After(l.lockedAt)
}

// workerLost returns the report that the worker did not renew its lease.
func (l *lockedExecution) workerLost() attune.ExecutionCompletedMessage {
	report := l.report(attune.ExecutionAbandoned, attune.ReasonWorkerLost, fmt.Sprintf(
		"the lease expired at %s: worker %q did not renew it in time", l.leaseUntil.Format(time.RFC3339), l.worker))
	report.Worker, report.StartedAt, report.FinishedAt = l.worker, l.startedAt, l.lockedAt
	return report
}
