package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// The error texts of executions that attune itself ended.
const (
	cancelledBeforeStart = "cancelled before a worker started it"
	cancelledBeforeRetry = "cancelled before its next attempt"
)

// Cancel cancels an execution, or asks its worker to stop it, and returns the execution afterwards. The status decides:
//
//   - requested: the execution is cancelled at once. A message in the outbox tells the queue, which releases the slot.
//   - running: the outbox sends the workers a request to stop, and the worker reports the end. Another Cancel sends the request
//     again and records nothing. If the worker is lost, its lease expires: see [Executions.ExpireLeases].
//   - retrying with a slot: the execution is cancelled at once.
//   - retrying, parked: the execution ends with the status of its last attempt, as with [Enforcements.GiveUp].
//   - retrying, waiting in line: [attune.CodeConflict]. Only the queue can cancel a waiting enforcement.
//   - ended: [attune.CodeConflict].
//
// An unknown execution is [attune.CodeNotFound], an invalid author [attune.CodeInvalid]. Cancel records the author and the
// change of status: see [Executions.Changes].
func (x *Executions) Cancel(ctx context.Context, id attune.ExecutionID, author attune.Author) (attune.Execution, error) {
	var execution attune.Execution
	if err := author.Validate(); err != nil {
		return execution, err
	}
	err := x.db.inTx(ctx, "cancel execution", func(tx pgx.Tx) error {
		locked, err := lockExecutions(ctx, tx, []attune.ExecutionID{id})
		if err != nil {
			return err
		}
		l := locked[id]
		if l == nil {
			return attune.Errorf(attune.CodeNotFound, "execution %d does not exist", id)
		}
		from := l.status
		if err := cancel(ctx, tx, l); err != nil {
			return err
		}
		if execution, err = getExecution(ctx, tx, id); err != nil {
			return err
		}
		to := string(execution.Status)
		if execution.Status == attune.ExecutionRunning {
			if l.cancelled {
				return nil
			}
			to = attune.ExecutionCancelling
		}
		return recordChange(ctx, tx, l, author, attune.ExecutionCancelRequested, string(from), to)
	})
	return execution, err
}

func cancel(ctx context.Context, tx pgx.Tx, l *lockedExecution) error {
	switch {
	case l.status.Terminal():
		return attune.Errorf(attune.CodeConflict, "execution %d cannot be cancelled: it has ended (%s)", l.id, l.status)
	case l.status == attune.ExecutionRetrying && l.enforcementStatus == attune.EnforcementQueued:
		return attune.Errorf(attune.CodeConflict, "execution %d cannot be cancelled: it waits in queue %q for its next attempt; "+
			"cancel enforcement %d instead", l.id, l.queue.key, l.ticket.Enforcement)
	case l.status == attune.ExecutionRetrying && l.enforcementStatus == attune.EnforcementParked:
		return giveUp(ctx, tx, l)
	case l.status == attune.ExecutionRetrying:
		return cancelInPlace(ctx, tx, l, cancelledBeforeRetry)
	case l.status == attune.ExecutionRunning:
		return askToStop(ctx, tx, l)
	}
	return cancelInPlace(ctx, tx, l, cancelledBeforeStart)
}

const askToStopSQL = `
UPDATE executions SET cancel_requested_at = COALESCE(cancel_requested_at, GREATEST(clock_timestamp(), started_at))
WHERE id = $1`

func askToStop(ctx context.Context, tx pgx.Tx, l *lockedExecution) error {
	if _, err := tx.Exec(ctx, askToStopSQL, l.id); err != nil {
		return err
	}
	return post(ctx, tx, attune.ExecutionCancelMessage{Installation: l.installation, Execution: l.id, Attempt: l.attempt})
}

// cancelInPlace ends an execution that no worker runs, with a report of its own.
func cancelInPlace(ctx context.Context, tx pgx.Tx, l *lockedExecution, message string) error {
	report := l.report(attune.ExecutionCancelled, attune.ReasonCancelled, message)
	report.StartedAt, report.FinishedAt = l.requestedAt, l.requestedAt // a duration of zero: no process ran
	l.status, l.enforcementStatus, l.retryAt = report.Status, attune.EnforcementExecuted, time.Time{}
	var finished finishedAttempts
	finished.add(l, report)
	if err := finished.store(ctx, tx); err != nil {
		return err
	}
	return post(ctx, tx, l.ended(report))
}
