package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const insertExecutionChangeSQL = `
INSERT INTO execution_changes (execution_id, attempt, at, principal, auth_method, on_behalf_of, note, kind, "from", "to")
VALUES ($1, $2, clock_timestamp(), $3, $4, $5, $6, $7, $8, $9)`

// recordChange takes down, in the transaction that does it, what somebody does to an execution by hand.
func recordChange(
	ctx context.Context, tx pgx.Tx, h *hold, author attune.Author, kind attune.ExecutionChangeKind, from, to string,
) error {
	_, err := tx.Exec(ctx, insertExecutionChangeSQL, h.execution, h.attempt, author.Principal.Name, author.Principal.Method,
		author.OnBehalfOf, author.Note, kind, from, to)
	return err
}

const executionChangesSQL = `
SELECT c.at, c.principal, c.auth_method, c.on_behalf_of, c.note, c.kind, c.attempt, c."from", c."to"
FROM execution_changes c WHERE c.execution_id = $1 ORDER BY c.id`

// Changes returns what people have done to an execution by hand, oldest first.
func (x *Executions) Changes(ctx context.Context, id attune.ExecutionID) ([]attune.ExecutionChange, error) {
	changes, err := collect(ctx, x.db.pool, scanExecutionChange, executionChangesSQL, id)
	return changes, wrap("read changes of execution", err)
}

func scanExecutionChange(row pgx.CollectableRow) (attune.ExecutionChange, error) {
	var c attune.ExecutionChange
	err := row.Scan(&c.At, &c.Principal.Name, &c.Principal.Method, &c.OnBehalfOf, &c.Note, &c.Kind, &c.Attempt, &c.From, &c.To)
	return c, err
}
