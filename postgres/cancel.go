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
//   - requested: the execution is cancelled at once. Its report goes through the outbox, so the queue releases the slot as
//     usual.
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
		slots, err := lockSlots(ctx, tx, []attune.ExecutionID{id})
		if err != nil {
			return err
		}
		s := slots[id]
		if s == nil {
			return attune.Errorf(attune.CodeNotFound, "execution %d does not exist", id)
		}
		from := s.status
		if err := cancel(ctx, tx, s); err != nil {
			return err
		}
		if execution, err = getExecution(ctx, tx, id); err != nil {
			return err
		}
		to := string(execution.Status)
		if execution.Status == attune.ExecutionRunning {
			if s.cancelled {
				return nil
			}
			to = attune.ExecutionCancelling
		}
		return recordChange(ctx, tx, s, author, attune.ExecutionCancelRequested, string(from), to)
	})
	return execution, err
}

func cancel(ctx context.Context, tx pgx.Tx, s *slot) error {
	switch {
	case s.status.Terminal():
		return attune.Errorf(attune.CodeConflict, "execution %d cannot be cancelled: it has ended (%s)", s.execution, s.status)
	case s.status == attune.ExecutionRetrying && s.enforcement == attune.EnforcementQueued:
		return attune.Errorf(attune.CodeConflict, "execution %d cannot be cancelled: it waits in queue %q for its next attempt; "+
			"cancel enforcement %d instead", s.execution, s.queue.key, s.ticket.Enforcement)
	case s.status == attune.ExecutionRetrying && s.enforcement == attune.EnforcementParked:
		return giveUp(ctx, tx, s)
	case s.status == attune.ExecutionRetrying:
		return cancelInPlace(ctx, tx, s, cancelledBeforeRetry)
	case s.status == attune.ExecutionRunning:
		return askToStop(ctx, tx, s)
	}
	return cancelInPlace(ctx, tx, s, cancelledBeforeStart)
}

const askToStopSQL = `
UPDATE executions SET cancel_requested_at = COALESCE(cancel_requested_at, GREATEST(clock_timestamp(), started_at))
WHERE id = $1`

func askToStop(ctx context.Context, tx pgx.Tx, s *slot) error {
	if _, err := tx.Exec(ctx, askToStopSQL, s.execution); err != nil {
		return err
	}
	return post(ctx, tx, attune.ExecutionCancelMessage{Execution: s.execution, Attempt: s.attempt})
}

// cancelInPlace ends an execution that no worker runs, with a report of its own.
func cancelInPlace(ctx context.Context, tx pgx.Tx, s *slot, message string) error {
	report := s.report(attune.ExecutionCancelled, attune.ReasonCancelled, message)
	report.StartedAt, report.FinishedAt = s.requestedAt, s.requestedAt // a duration of zero: no process ran
	s.status, s.enforcement, s.retryAt = report.Status, attune.EnforcementExecuted, time.Time{}
	var finished finishedAttempts
	finished.add(s, report)
	if err := finished.store(ctx, tx); err != nil {
		return err
	}
	return post(ctx, tx, report)
}
