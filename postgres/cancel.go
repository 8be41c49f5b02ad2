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
		holds, err := lockHolds(ctx, tx, []attune.ExecutionID{id})
		if err != nil {
			return err
		}
		h := holds[id]
		if h == nil {
			return attune.Errorf(attune.CodeNotFound, "execution %d does not exist", id)
		}
		from := h.status
		if err := cancel(ctx, tx, h); err != nil {
			return err
		}
		if execution, err = getExecution(ctx, tx, id); err != nil {
			return err
		}
		to := string(execution.Status)
		if execution.Status == attune.ExecutionRunning {
			if h.cancelled {
				return nil
			}
			to = attune.ExecutionCancelling
		}
		return recordChange(ctx, tx, h, author, attune.ExecutionCancelAsked, string(from), to)
	})
	return execution, err
}

func cancel(ctx context.Context, tx pgx.Tx, h *hold) error {
	switch {
	case h.status.Terminal():
		return attune.Errorf(attune.CodeConflict, "execution %d cannot be cancelled: it has ended (%s)", h.execution, h.status)
	case h.status == attune.ExecutionRetrying && h.enforcement == attune.EnforcementQueued:
		return attune.Errorf(attune.CodeConflict, "execution %d cannot be cancelled: it waits in queue %q for its next attempt; "+
			"cancel enforcement %d instead", h.execution, h.line.key, h.ticket.Enforcement)
	case h.status == attune.ExecutionRetrying && h.enforcement == attune.EnforcementParked:
		return giveUp(ctx, tx, h)
	case h.status == attune.ExecutionRetrying:
		return cancelInPlace(ctx, tx, h, cancelledBeforeRetry)
	case h.status == attune.ExecutionRunning:
		return askToStop(ctx, tx, h)
	}
	return cancelInPlace(ctx, tx, h, cancelledBeforeStart)
}

const askToStopSQL = `
UPDATE executions SET cancel_requested_at = COALESCE(cancel_requested_at, GREATEST(clock_timestamp(), started_at))
WHERE id = $1`

func askToStop(ctx context.Context, tx pgx.Tx, h *hold) error {
	if _, err := tx.Exec(ctx, askToStopSQL, h.execution); err != nil {
		return err
	}
	return post(ctx, tx, attune.ExecutionCancelMessage{Execution: h.execution, Attempt: h.attempt})
}

// cancelInPlace ends an execution in the place of the worker that would have reported it.
func cancelInPlace(ctx context.Context, tx pgx.Tx, h *hold, message string) error {
	report := h.report(attune.ExecutionCancelled, attune.ReasonCancelled, message)
	report.StartedAt, report.FinishedAt = h.requestedAt, h.requestedAt // nobody knows of any time spent running
	h.status, h.enforcement, h.retryAt = report.Status, attune.EnforcementExecuted, time.Time{}
	var ends ends
	ends.add(h, report)
	if err := ends.store(ctx, tx); err != nil {
		return err
	}
	return post(ctx, tx, report)
}
