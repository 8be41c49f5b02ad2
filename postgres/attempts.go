package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// insertAttemptsSQL takes down how the current attempts of executions have ended.
const insertAttemptsSQL = `
INSERT INTO execution_attempts (execution_id, attempt, status, reason, error, exit_code, worker, started_at, finished_at)
SELECT x.id, x.attempt, x.attempt_status, x.reason, x.error, x.exit_code, x.worker, x.started_at,
	GREATEST(clock_timestamp(), x.requested_at, x.started_at)
FROM executions x WHERE x.id = ANY ($1::bigint[])`

const attemptsSQL = `
SELECT a.attempt, a.status, a.reason, a.error, a.exit_code, a.worker, a.started_at, a.finished_at
FROM execution_attempts a WHERE a.execution_id = $1 ORDER BY a.attempt`

// Attempts returns the attempts of an execution that have ended and were to be tried again, in their order. An execution
// that does not exist, or that was never to be tried again, has none.
func (x *Executions) Attempts(ctx context.Context, id attune.ExecutionID) ([]attune.ExecutionAttempt, error) {
	attempts, err := collect(ctx, x.db.pool, pgx.RowToStructByPos[attune.ExecutionAttempt], attemptsSQL, id)
	return attempts, wrap("read attempts of execution", err)
}
