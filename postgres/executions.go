package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Executions stores executions, their attempts and their leases.
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

// Get returns an execution with its output, or [attune.CodeNotFound].
func (x *Executions) Get(ctx context.Context, id attune.ExecutionID) (attune.Execution, error) {
	execution, err := getExecution(ctx, x.db.pool, id)
	return execution, wrap("read execution", err)
}

func getExecution(ctx context.Context, q querier, id attune.ExecutionID) (attune.Execution, error) {
	execution, err := one(ctx, q, scanExecution, executionSQL, id)
	return execution, orNotFound(err, "execution %d does not exist", id)
}

const listExecutionsSQL = executionColumns + executionTables + `
WHERE ($1::bigint = 0 OR x.id < $1)
	AND ($3::bigint = 0 OR x.enforcement_id = $3)
	AND ($4::text = '' OR x.action_id = (SELECT id FROM actions WHERE ref = $4))
	AND ($5::text = '' OR x.queue_id = (SELECT id FROM queues WHERE key = $5))
	AND ($6::text = '' OR x.status = $6)
	AND ($7::text = '' OR x.worker = $7)
ORDER BY x.id DESC LIMIT $2::bigint`

// List returns a page of executions without Result, Stdout and Stderr. These can be large and are stored apart from the row, so
// only [Executions.Get] reads them.
func (x *Executions) List(ctx context.Context, filter attune.ExecutionFilter, page attune.Page) ([]attune.Execution, error) {
	return list(ctx, x.db, "list executions", page, scanExecutionWithoutOutput, listExecutionsSQL,
		filter.Enforcement, filter.Action, filter.Queue, filter.Status, filter.Worker)
}

func scanExecution(row pgx.CollectableRow) (attune.Execution, error) {
	var ex attune.Execution
	err := scanInto(row, &ex, &ex.Result, &ex.Stdout, &ex.Stderr)
	return ex, err
}

func scanExecutionWithoutOutput(row pgx.CollectableRow) (attune.Execution, error) {
	var ex attune.Execution
	err := scanInto(row, &ex)
	return ex, err
}

// scanInto reads executionColumns into ex, and the columns after them into output.
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

// insertAttemptsSQL copies the results of the current attempts into the journal of attempts.
const insertAttemptsSQL = `
INSERT INTO execution_attempts (execution_id, attempt, status, reason, error, exit_code, worker, started_at, finished_at)
SELECT x.id, x.attempt, x.attempt_status, x.reason, x.error, x.exit_code, x.worker, x.started_at,
	GREATEST(clock_timestamp(), x.requested_at, x.started_at)
FROM executions x WHERE x.id = ANY ($1::bigint[])`

const attemptsSQL = `
SELECT a.attempt, a.status, a.reason, a.error, a.exit_code, a.worker, a.started_at, a.finished_at
FROM execution_attempts a WHERE a.execution_id = $1 ORDER BY a.attempt`

// Attempts returns the attempts of an execution that ended and were to be retried, in their order. An unknown execution, or one
// without retries, has none.
func (x *Executions) Attempts(ctx context.Context, id attune.ExecutionID) ([]attune.ExecutionAttempt, error) {
	attempts, err := collect(ctx, x.db.pool, pgx.RowToStructByPos[attune.ExecutionAttempt], attemptsSQL, id)
	return attempts, wrap("read attempts of execution", err)
}

const insertExecutionChangeSQL = `
INSERT INTO execution_changes (execution_id, attempt, at, principal, auth_method, on_behalf_of, note, kind, "from", "to")
VALUES ($1, $2, clock_timestamp(), $3, $4, $5, $6, $7, $8, $9)`

// recordChange records a manual change of an execution, in the transaction that makes the change.
func recordChange(
	ctx context.Context, tx pgx.Tx, l *lockedExecution, author attune.Author, kind attune.ExecutionChangeKind, from, to string,
) error {
	_, err := tx.Exec(ctx, insertExecutionChangeSQL, l.id, l.attempt, author.Principal.Name, author.Principal.Method,
		author.OnBehalfOf, author.Note, kind, from, to)
	return err
}

const executionChangesSQL = `
SELECT c.at, c.principal, c.auth_method, c.on_behalf_of, c.note, c.kind, c.attempt, c."from", c."to"
FROM execution_changes c WHERE c.execution_id = $1 ORDER BY c.id`

// Changes returns the manual changes of an execution, oldest first.
func (x *Executions) Changes(ctx context.Context, id attune.ExecutionID) ([]attune.ExecutionChange, error) {
	changes, err := collect(ctx, x.db.pool, scanExecutionChange, executionChangesSQL, id)
	return changes, wrap("read changes of execution", err)
}

func scanExecutionChange(row pgx.CollectableRow) (attune.ExecutionChange, error) {
	var c attune.ExecutionChange
	err := row.Scan(&c.At, &c.Principal.Name, &c.Principal.Method, &c.OnBehalfOf, &c.Note, &c.Kind, &c.Attempt, &c.From, &c.To)
	return c, err
}
