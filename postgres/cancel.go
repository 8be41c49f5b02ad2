package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Why an execution that no worker reported has ended, for a person.
const (
	cancelledBeforeStart = "cancelled before a worker started it"
	givenUp              = "its worker was asked to stop more than a minute ago and has not reported the end: given up"
)

// Cancel ends an execution and returns it as it then stands.
//
// One that no worker has claimed is cancelled at once, and its report goes into the outbox so that its slot is released
// like any other. One that runs is asked to stop: the request goes to the workers through the outbox, and the worker
// that runs it reports the end; asking again sends the request again. Asking again more than a minute later gives the
// execution up: its worker is gone, and the slot must not be held for ever. Should the worker live after all, its late
// report changes nothing. One that has ended is [attune.CodeConflict], an unknown one [attune.CodeNotFound].
func (x *Executions) Cancel(ctx context.Context, id attune.ExecutionID) (attune.Execution, error) {
	var execution attune.Execution
	err := x.db.inTx(ctx, "cancel execution", func(tx pgx.Tx) error {
		holds, err := lockHolds(ctx, tx, []attune.ExecutionID{id})
		if err != nil {
			return err
		}
		switch h := holds[id]; {
		case h == nil:
			err = attune.Errorf(attune.CodeNotFound, "execution %d does not exist", id)
		case h.status.Terminal():
			err = attune.Errorf(attune.CodeConflict, "execution %d cannot be cancelled: it has ended (%s)", id, h.status)
		case h.status == attune.ExecutionRunning && h.overdue:
			err = endInPlace(ctx, tx, h, attune.ExecutionAbandoned, attune.ReasonWorkerLost, givenUp)
		case h.status == attune.ExecutionRunning:
			err = askToStop(ctx, tx, h)
		default:
			err = endInPlace(ctx, tx, h, attune.ExecutionCancelled, attune.ReasonCancelled, cancelledBeforeStart)
		}
		if err != nil {
			return err
		}
		execution, err = getExecution(ctx, tx, id)
		return err
	})
	return execution, err
}

const askToStopSQL = `
UPDATE executions SET cancel_requested_at = COALESCE(cancel_requested_at, clock_timestamp()) WHERE id = $1`

func askToStop(ctx context.Context, tx pgx.Tx, h *hold) error {
	if _, err := tx.Exec(ctx, askToStopSQL, h.execution); err != nil {
		return err
	}
	return post(ctx, tx, attune.ExecutionCancelMessage{Execution: h.execution, Attempt: h.attempt})
}

// endInPlace ends an execution in the place of the worker that would have reported it.
func endInPlace(
	ctx context.Context, tx pgx.Tx, h *hold, status attune.ExecutionStatus, reason attune.Reason, message string,
) error {
	report := attune.ExecutionCompletedMessage{
		Execution: h.execution, Enforcement: h.ticket.Enforcement, ActionID: h.actionID, Attempt: h.attempt,
		Status: status, Reason: reason, Error: message,
		StartedAt: h.requestedAt, FinishedAt: h.requestedAt, // nobody knows of any time spent running
	}
	var ends endColumns
	ends.add(report)
	if err := storeEnds(ctx, tx, ends); err != nil {
		return err
	}
	return post(ctx, tx, report)
}
