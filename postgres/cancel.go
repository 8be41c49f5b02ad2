package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Why an execution that no worker reported has ended, for a person.
const (
	cancelledBeforeStart = "cancelled before a worker started it"
	cancelledBeforeRetry = "cancelled before its next attempt"
)

// Cancel ends an execution and returns it as it then stands.
//
// One that no worker has claimed is cancelled at once, and its report goes into the outbox so that its slot is released
// like any other. One that runs is asked to stop: the request goes to the workers through the outbox, and the worker
// that runs it reports the end. Asking again sends the request again; that changes nothing, so it is not recorded. Should the
// worker be gone, its lease runs out: see [Executions.ExpireLeases].
//
// One that keeps its slot for its next attempt is cancelled at once, too. One that is parked ends with the status of its last
// attempt, like with [Enforcements.GiveUp]. One that waits in its line again is [attune.CodeConflict]: there only the queue
// can cancel it, as an enforcement. One that has ended is [attune.CodeConflict], an unknown one [attune.CodeNotFound], and an
// author who is nobody [attune.CodeInvalid]. Who asked, and what became of it, is recorded: see [Executions.Changes].
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

// cancelInPlace ends an execution in the place of the worker that would have reported it.
func cancelInPlace(ctx context.Context, tx pgx.Tx, s *slot, message string) error {
	report := s.report(attune.ExecutionCancelled, attune.ReasonCancelled, message)
	report.StartedAt, report.FinishedAt = s.requestedAt, s.requestedAt // nobody knows of any time spent running
	s.status, s.enforcement, s.retryAt = report.Status, attune.EnforcementExecuted, time.Time{}
	var ends attemptEnds
	ends.add(s, report)
	if err := ends.store(ctx, tx); err != nil {
		return err
	}
	return post(ctx, tx, report)
}
