package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Executions keeps the runs of actions.
type Executions struct{ db *DB }

// NewExecutions returns the executions of a database.
func NewExecutions(db *DB) *Executions { return &Executions{db: db} }

const executionColumns = `
SELECT x.id, x.enforcement_id, a.ref, x.action_id, q.key, e.sequence, x.attempt, x.status, x.reason, x.error,
	x.attempt_status, x.retry_at, x.pool, x.worker, e.parameters, x.timeout_ms, x.exit_code, x.truncated, x.requested_at,
	x.started_at, x.lease_until, x.cancel_requested_at, x.finished_at`

const executionTables = `
FROM executions x JOIN enforcements e ON e.id = x.enforcement_id JOIN actions a ON a.id = x.action_id
	JOIN queues q ON q.id = x.queue_id`

const executionSQL = executionColumns + `, x.result, x.stdout, x.stderr` + executionTables + ` WHERE x.id = $1`

// Get returns an execution with all that it printed, or [attune.CodeNotFound].
func (x *Executions) Get(ctx context.Context, id attune.ExecutionID) (attune.Execution, error) {
	execution, err := getExecution(ctx, x.db.pool, id)
	return execution, wrap("read execution", err)
}

func getExecution(ctx context.Context, q querier, id attune.ExecutionID) (attune.Execution, error) {
	execution, err := one(ctx, q, scanExecution, executionSQL, id)
	return execution, found(err, "execution %d does not exist", id)
}

const listExecutionsSQL = executionColumns + executionTables + `
WHERE ($1::bigint = 0 OR x.id < $1)
	AND ($3::bigint = 0 OR x.enforcement_id = $3)
	AND ($4::text = '' OR x.action_id = (SELECT id FROM actions WHERE ref = $4))
	AND ($5::text = '' OR x.queue_id = (SELECT id FROM queues WHERE key = $5))
	AND ($6::text = '' OR x.status = $6)
	AND ($7::text = '' OR x.worker = $7)
ORDER BY x.id DESC LIMIT $2::bigint`

// List returns a page of executions without Result, Stdout and Stderr: those are stored apart from the rest of a row and
// can be large, so only [Executions.Get] reads them.
func (x *Executions) List(ctx context.Context, filter attune.ExecutionFilter, page attune.Page) ([]attune.Execution, error) {
	return list(ctx, x.db, "list executions", page, scanQuietExecution, listExecutionsSQL,
		filter.Enforcement, filter.Action, filter.Queue, filter.Status, filter.Worker)
}

func scanExecution(row pgx.CollectableRow) (attune.Execution, error) {
	var ex attune.Execution
	err := scanInto(row, &ex, &ex.Result, &ex.Stdout, &ex.Stderr)
	return ex, err
}

// scanQuietExecution reads an execution without what it printed.
func scanQuietExecution(row pgx.CollectableRow) (attune.Execution, error) {
	var ex attune.Execution
	err := scanInto(row, &ex)
	return ex, err
}

// scanInto reads executionColumns, and after them what output asks for.
func scanInto(row pgx.CollectableRow, ex *attune.Execution, output ...any) error {
	var timeoutMS int64
	err := row.Scan(append([]any{
		&ex.ID, &ex.Enforcement, &ex.Action, &ex.ActionID, &ex.Queue, &ex.Sequence, &ex.Attempt, &ex.Status, &ex.Reason,
		&ex.Error, &ex.AttemptStatus, &ex.RetryAt, &ex.Pool, &ex.Worker, &ex.Parameters, &timeoutMS, &ex.ExitCode,
		&ex.Truncated, &ex.RequestedAt, &ex.StartedAt, &ex.LeaseUntil, &ex.CancelRequestedAt, &ex.FinishedAt,
	}, output...)...)
	ex.Timeout = fromMilliseconds(timeoutMS)
	return err
}
