package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// cancelledBeforeStart tells a person why an execution that nobody ran has ended.
const cancelledBeforeStart = "cancelled before a worker started it"

// Cancel ends an execution and returns it as it then stands.
//
// One that no worker has claimed is cancelled at once, and its report goes into the outbox so that its slot is released
// like any other. One that runs is asked to stop: the request goes to the workers through the outbox, and the worker
// that runs it reports the end; asking again sends the request again. One that has ended is [attune.CodeConflict], an
// unknown one [attune.CodeNotFound].
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
		case h.status == attune.ExecutionRunning:
			err = askToStop(ctx, tx, h)
		default:
			err = cancelWaiting(ctx, tx, h)
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

// cancelWaiting ends an execution in the place of the worker that would have reported it.
func cancelWaiting(ctx context.Context, tx pgx.Tx, h *hold) error {
	report := attune.ExecutionCompletedMessage{
		Execution: h.execution, Enforcement: h.ticket.Enforcement, ActionID: h.actionID, Attempt: h.attempt,
		Status: attune.ExecutionCancelled, Reason: attune.ReasonCancelled, Error: cancelledBeforeStart,
		StartedAt: h.requestedAt, FinishedAt: h.requestedAt, // no time was spent running
	}
	var ends endColumns
	ends.add(report)
	if err := storeEnds(ctx, tx, ends); err != nil {
		return err
	}
	return post(ctx, tx, report)
}
